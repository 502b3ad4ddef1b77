package importer

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/inventory/registry"
)

// draft is a RemoteCluster in the making.
type draft struct {
	run  *run
	from string // the object of the input, in words
	wish string // the name that it should have
	id   string // what tells it from all others of the input

	server, serverName, proxy string
	bearer                    string // a token that becomes a kubeconfig
	ca                        []byte
	auth                      v1alpha1.Auth
	secret                    map[string][]byte // of the input Secret
	role                      *awsRole
	labels                    map[string]string
	capabilities              []v1alpha1.Capability
	allowed                   *v1alpha1.AllowedNamespaces
	inputs                    []*fields // whose rest has no counterpart
	notes                     []Note
}

// awsRole is a role that is assumed for a cluster.
type awsRole struct{ arn, sessionName, externalID string }

func (r *run) draft(from, wish, id string) *draft {
	return &draft{run: r, from: from, wish: wish, id: id}
}

func (d *draft) note(kind NoteKind, field, format string, args ...any) {
	d.notes = append(d.notes, Note{kind, d.from, field, fmt.Sprintf(format, args...)})
}

// read remembers an input, so that what is left of it is told of.
func (d *draft) read(f *fields) *fields {
	d.inputs = append(d.inputs, f)
	return f
}

// dismiss leaves the whole cluster out, and says why.
func (d *draft) dismiss(why error) {
	d.run.leaveOut(d.from, "%s", why)
}

// add makes the objects and returns the name of the cluster. It leaves the cluster out, and returns none, where an
// API server would refuse them.
func (d *draft) add() string {
	if err := d.endpoint(); err != nil {
		d.dismiss(err)
		return ""
	}
	var identity *v1alpha1.AWSIdentity
	if d.auth.Type == v1alpha1.AuthEKS {
		var err error
		if identity, err = d.eks(); err != nil {
			d.dismiss(err)
			return ""
		}
	}
	name := d.run.name(d.wish, d.id)
	if err := d.fill(name); err != nil {
		d.dismiss(err)
		return ""
	}
	rc := d.remoteCluster(name)
	for _, f := range d.inputs {
		f.rest(func(path, why string) { d.note(NoCounterpart, path, "%s", why) })
	}
	items := &d.run.result.Items
	if identity != nil {
		*items = append(*items, Item{Object: identity})
	}
	if len(d.secret) > 0 && d.run.WithSecrets {
		*items = append(*items, Item{Object: d.run.inputSecret(rc.Name, d.secret)})
	}
	*items = append(*items, Item{rc, d.notes})
	return name
}

func (d *draft) remoteCluster(name string) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: d.labels},
	}
	if rc.Name != d.wish {
		d.note(ToDo, "", "it is called %s: %q is taken, or no DNS label of at most 50 characters", rc.Name, d.wish)
	}
	rc.Spec.Auth, rc.Spec.Capabilities, rc.Spec.AllowedNamespaces = d.auth, d.capabilities, d.allowed
	if d.auth.Type == v1alpha1.AuthEKS && d.auth.EKS.ClusterName == rc.Name {
		rc.Spec.Auth.EKS.ClusterName = ""
	}
	if d.auth.Type == v1alpha1.AuthKubeconfig || d.auth.Type == v1alpha1.AuthInCluster { // which bring their own
		return rc
	}
	rc.Spec.Server, rc.Spec.TLSServerName, rc.Spec.ProxyURL = d.server, d.serverName, d.proxy
	rc.Spec.CAData = base64.StdEncoding.EncodeToString(d.ca)
	return rc
}

// fill says where the credential is, or has to be put.
func (d *draft) fill(name string) error {
	if d.auth.Type == v1alpha1.AuthKubeconfig && d.auth.Kubeconfig == nil {
		d.auth.Kubeconfig = &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Name: v1alpha1.InputSecretName(name), Key: v1alpha1.DefaultKubeconfigKey}}
		text, err := d.kubeconfig(name)
		if err != nil {
			return err
		}
		d.secret = map[string][]byte{v1alpha1.DefaultKubeconfigKey: text}
	}
	if len(d.secret) > 0 && !d.run.WithSecrets {
		d.note(ToDo, "", "its credential is not printed: make one of Hawser's own with hawser join %s --remote-context CONTEXT, or have Secret %s (%s) printed by --with-secrets",
			name, v1alpha1.InputSecretName(name), strings.Join(slices.Sorted(maps.Keys(d.secret)), ", "))
	}
	return nil
}

// kubeconfig is the credential as a kubeconfig.
func (d *draft) kubeconfig(name string) ([]byte, error) {
	text, err := yaml.Marshal(clientcmdapiv1.Config{
		APIVersion: "v1", Kind: "Config", CurrentContext: name,
		Clusters: []clientcmdapiv1.NamedCluster{{Name: name, Cluster: clientcmdapiv1.Cluster{
			Server: d.server, CertificateAuthorityData: d.ca, TLSServerName: d.serverName, ProxyURL: d.proxy,
		}}},
		AuthInfos: []clientcmdapiv1.NamedAuthInfo{{Name: name, AuthInfo: clientcmdapiv1.AuthInfo{Token: d.bearer}}},
		Contexts:  []clientcmdapiv1.NamedContext{{Name: name, Context: clientcmdapiv1.Context{Cluster: name, AuthInfo: name}}},
	})
	if err != nil {
		return nil, errors.New("it cannot be written as a kubeconfig")
	}
	return text, nil
}

func (r *run) inputSecret(cluster string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: v1alpha1.InputSecretName(cluster),
			Labels: map[string]string{v1alpha1.CredentialsLabel: "true"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

// endpoint checks the address as the API does, and leaves out of it what may be left out.
func (d *draft) endpoint() error {
	if d.auth.Kubeconfig != nil || d.auth.Type == v1alpha1.AuthInCluster { // which bring their own
		return nil
	}
	if err := checkServer(d.server); err != nil {
		return err
	}
	if d.proxy != "" {
		d.proxy = d.proxyURL(d.proxy)
	}
	if d.serverName != "" && validHost(d.serverName) != nil {
		d.note(NoCounterpart, "", "the TLS server name is no host name")
		d.serverName = ""
	}
	if len(d.ca) > 0 {
		if d.ca = certificates(d.ca); len(d.ca) == 0 || len(d.ca) > maxCA {
			d.ca = nil
			d.note(NoCounterpart, "", "the CA is no PEM certificate: put the right one into spec.caData, without which the system's roots are used")
		}
	}
	return nil
}

func checkServer(server string) error {
	u, err := url.Parse(server)
	switch {
	case server == "":
		return errors.New("it names no server")
	case err != nil || u.Hostname() == "" || len(server) > 2048 || validHost(u.Hostname()) != nil:
		return errors.New("its server is no URL")
	case u.Scheme != "https":
		return errors.New("its server is not https://: Hawser sends credentials over https only")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.ContainsAny(server, "#@"):
		return errors.New("its server has a user, query or fragment")
	}
	return nil
}

// maxCA is what fits into spec.caData.
const maxCA = 1 << 20 * 3 / 4

func validHost(host string) error {
	if len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0 || len(validation.IsValidIP(nil, host)) == 0 {
		return nil
	}
	return errors.New("it is neither a name nor an address")
}

// proxyURL is a proxy without the password that it may have, which a RemoteCluster would show to everybody.
func (d *draft) proxyURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "socks5") || validHost(u.Hostname()) != nil || len(text) > 2048 {
		d.note(NoCounterpart, "", "the proxy is left out: spec.proxyURL takes http:// or socks5:// with a host")
		return ""
	}
	if u.User != nil {
		u.User = nil
		d.note(NoCounterpart, "", "user and password of the proxy are left out: spec.proxyURL is no place for secrets")
	}
	return u.String()
}

// certificates are the certificates of a PEM bundle. A key that strayed into it does not get through.
func certificates(bundle []byte) []byte {
	var kept []byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			kept = append(kept, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return kept
}

// token takes a bearer token: as bearerToken where it can renew itself, otherwise as a kubeconfig that is watched.
func (d *draft) token(token string) error {
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("its token has characters that no HTTP header can carry")
	}
	c := credential.NewToken(token, "")
	switch {
	case !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(d.run.Now):
		d.note(ToDo, "", "its token ended at %s: hawser join makes a new one", c.ExpiresAt.UTC().Format("2006-01-02 15:04:05Z"))
	case c.ExpiresAt.IsZero():
		d.note(ToDo, "", "its token names no end: hawser join makes one that ends and is renewed; delete the old one in the remote cluster then")
	}
	if strings.HasPrefix(c.Subject, "system:serviceaccount:") {
		d.auth = v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
		d.secret = map[string][]byte{v1alpha1.BearerTokenKey: []byte(token)}
		d.note(ToDo, "", "its account in the remote cluster must be allowed to mint tokens of itself, or the token ends unrenewed: hawser join makes an account that is")
		return nil
	}
	d.auth, d.bearer = v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig}, token
	d.note(ToDo, "", "its token is of no service account, so that nobody can renew it: put a new one into the Secret in time")
	return nil
}

// certificate takes a client certificate.
func (d *draft) certificate(certPEM, keyPEM []byte) error {
	c, err := credential.NewCertificate(certPEM, credential.NewSecret(string(keyPEM)), "")
	if err != nil {
		return errors.New("its client certificate and key are no pair of PEM files")
	}
	if c.ExpiresAt.Before(d.run.Now) {
		d.note(ToDo, "", "its certificate ended at %s: hawser join --auth mtls makes a new one", c.ExpiresAt.UTC().Format("2006-01-02 15:04:05Z"))
	}
	d.auth = v1alpha1.Auth{Type: v1alpha1.AuthMTLS, MTLS: &v1alpha1.MTLSAuth{Renew: v1alpha1.RenewByWatch}}
	d.secret = map[string][]byte{v1alpha1.TLSCertKey: certPEM, v1alpha1.TLSKeyKey: keyPEM}
	return nil
}

var (
	eksName   = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	awsRegion = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)
	roleARN   = regexp.MustCompile(`^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)
	eksHost   = regexp.MustCompile(`\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.eks\.amazonaws\.com(?:\.cn)?$`)
	session   = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	external  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

// eks checks the EKS settings, and makes the identity where a role is assumed that no other cluster had before.
func (d *draft) eks() (*v1alpha1.AWSIdentity, error) {
	eks := d.auth.EKS
	if eks.Region == "" {
		if u, err := url.Parse(d.server); err == nil {
			if found := eksHost.FindStringSubmatch(u.Hostname()); found != nil {
				eks.Region = found[1]
			}
		}
	}
	switch {
	case !eksName.MatchString(eks.ClusterName):
		return nil, errors.New("it names no EKS cluster that there could be")
	case !awsRegion.MatchString(eks.Region) || len(eks.Region) > 32:
		return nil, errors.New("it names no region of the EKS cluster, and its server is no address of EKS: hawser join NAME --auth eks --region REGION")
	case d.role == nil:
		return nil, nil
	case !roleARN.MatchString(d.role.arn) || len(d.role.arn) > 2048:
		return nil, errors.New("its role is no ARN of an IAM role")
	}
	if d.role.sessionName != "" && !session.MatchString(d.role.sessionName) {
		d.note(NoCounterpart, "", "the session name of its role is none that AWS takes")
		d.role.sessionName = ""
	}
	if d.role.externalID != "" && (!external.MatchString(d.role.externalID) || len(d.role.externalID) > 1224) {
		return nil, errors.New("the external id of its role is none that AWS takes")
	}
	return d.identity(eks), nil
}

// identity names the AWSIdentity of the role, and makes it the first time.
func (d *draft) identity(eks *v1alpha1.EKSAuth) *v1alpha1.AWSIdentity {
	id := fmt.Sprintf("%q", *d.role)
	name, known := d.run.identities[id]
	if !known {
		path := d.role.arn[strings.LastIndex(d.role.arn, "/")+1:]
		name = registry.Name(path, id, func(name string) bool { return slices.Contains(slices.Collect(maps.Values(d.run.identities)), name) })
		d.run.identities[id] = name
	}
	eks.IdentityRef = &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: name}
	if known {
		return nil
	}
	return &v1alpha1.AWSIdentity{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AWSIdentity"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AWSIdentitySpec{
			Type: v1alpha1.AWSRoleIdentity,
			Role: &v1alpha1.AWSRole{RoleARN: d.role.arn, SessionName: d.role.sessionName, ExternalID: d.role.externalID},
		},
	}
}
