package rights_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
	"github.com/hawser-io/hawser/member"
)

// startManager starts the manager with every feature switched on.
func (w *world) startManager(more ...string) {
	w.t.Helper()
	args := []string{
		"manager", "--cluster-name", hub, "--probe-interval", "1s", "--publish-clusterprofiles", "hawser-clusterprofiles", "--cluster-api",
		"--exec-providers", w.dir + "/providers.json", "--upgrade-crds",
	}
	w.start(w.primary, manager, append(args, more...)...)
	w.eventually("the manager to act", func() error {
		var cm corev1.ConfigMap
		return w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.ManagerConfigMap}, &cm)
	})
}

// bind gives roles of ours to a person: those of the cluster, and those of namespace hawser of the same name.
func (w *world) bind(c client.Client, name string, roles ...string) {
	w.t.Helper()
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "person:" + name}}
	for _, role := range roles {
		named := metav1.ObjectMeta{Name: role + "-" + name}
		w.create(c, &rbacv1.ClusterRoleBinding{ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}})
		named.Namespace = v1alpha1.Namespace
		if c.Get(w.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: role}, &rbacv1.Role{}) == nil {
			w.create(c, &rbacv1.RoleBinding{ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role}})
		}
	}
}

// join connects both clusters by the command, as somebody with the role hawser-admin here.
func (w *world) join(ada *rest.Config) {
	w.t.Helper()
	w.hawser(ada, "join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints")
	w.hawser(ada, "join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints", "--lifetime", "30m", "--replace") // again, with something to change
	w.hawser(ada, "join", "beta", "--remote-context", "beta", "--auth", "mtls", "--renew", "csr")
	w.hawser(ada, "rotate", "alpha")
	w.hawser(ada, "rotate", "beta")
	w.hawser(ada, "check", "alpha")
	w.others()
}

// others may enter beta besides: an account of ours, whose issuer the API server trusts, and whoever an access entry names.
func (w *world) others() {
	w.t.Helper()
	for _, obj := range member.Objects(member.Options{
		Local: hub, Identity: member.RenewedCertificate, Users: []string{"primary:system:serviceaccount:hawser:hawser"}, Groups: []string{v1alpha1.MembersGroup},
	}) {
		if text, err := member.YAML([]client.Object{obj}); err != nil || w.beta.Apply(w.t.Context(), text) != nil {
			w.t.Fatalf("applying %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

// otherWays enters the same clusters by every other way to authenticate, and leaves again.
func (w *world) otherWays(c *cloud) {
	w.t.Helper()
	token := w.memberToken(w.alpha)
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: w.alpha.Server, CertificateAuthorityData: w.alpha.CA()}
	file.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: token}
	file.Contexts["c"], file.CurrentContext = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}, "c"
	text, err := clientcmd.Write(*file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.create(w.admin, inputSecret("by-file", map[string]string{v1alpha1.DefaultKubeconfigKey: string(text)}))
	w.file("token", token, 0o600)
	nowhere := func(rc *v1alpha1.RemoteCluster) { rc.Spec.Server, rc.Spec.CAData = "", "" }
	made := []client.Object{
		w.tie(w.admin, "by-file", w.alpha, v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Name: v1alpha1.InputSecretName("by-file")}}}, nowhere),
		w.tie(w.admin, "by-plugin", w.alpha, v1alpha1.Auth{Type: v1alpha1.AuthExec, Exec: &v1alpha1.ExecAuth{Provider: "files", Parameters: map[string]string{"who": "token"}}}),
		w.tie(w.admin, "by-trust", w.beta, v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount, Audience: "hawser:beta"}}),
		w.tie(w.admin, "by-cloud", w.beta, v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: c.cluster.Name, Region: region, IdentityRef: &v1alpha1.AWSIdentityRef{Name: "member"}}}),
	}
	w.delete(w.admin, made...)
	w.delete(w.admin, inputSecret("by-file", nil))
}

// plugins writes the operator's file of exec plugins.
func (w *world) plugins() {
	w.t.Helper()
	plugin := w.file("plugin", "#!/bin/sh\n"+`printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat "$1/$2")"`+"\n", 0o700)
	w.file("providers.json", fmt.Sprintf(`{"providers":[{"name":"files","execConfig":{"apiVersion":"client.authentication.k8s.io/v1","command":%q,"args":[%q,"$(who)"]},"parameters":[{"name":"who"}]}]}`, plugin, w.dir), 0o600)
}

// grants lets namespace shop, and our manager through the gate, into alpha.
func (w *world) grants(gus client.Client) {
	w.t.Helper()
	jwks, err := w.primary.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: hub}, Spec: v1alpha1.TrustedIssuerSpec{URL: w.primary.Server, JWKS: string(jwks), Prefix: "hub:"}}
	entry := v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: hub, Subject: "system:serviceaccount:hawser:hawser"}}
	shop := v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: w.shop}}
	ags := []*v1alpha1.AccessGrant{
		{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: v1alpha1.AccessGrantSpec{Subjects: []v1alpha1.GrantSubject{shop}, ClusterRoles: []string{"view"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{w.theirs}}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "entry"}, Spec: v1alpha1.AccessGrantSpec{Subjects: []v1alpha1.GrantSubject{entry}, ClusterRoles: []string{"hawser-connect"}, WholeCluster: true}},
	}
	w.create(w.far, ti, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "binder"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{"view", "hawser-connect"}, Verbs: []string{"bind"}}},
	})
	w.is(w.far, ti, func() []metav1.Condition { return ti.Status.Conditions }, metav1.ConditionTrue)
	w.bind(w.far, "gus", "binder", "hawser-grants-author")
	for _, ag := range ags {
		ag.Finalizers = []string{v1alpha1.GrantFinalizer}
		w.create(gus, ag)
		w.is(w.far, ag, func() []metav1.Condition { return ag.Status.Conditions }, metav1.ConditionTrue)
	}
}

// changes gives grants something to put right: other subjects, an owner that is missing, what earlier versions left.
func (w *world) changes(gus client.Client) {
	w.t.Helper()
	for _, name := range []string{"shop", "entry"} {
		ag := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: name}}
		w.released(w.far, ag)
		before := ag.DeepCopy()
		ag.Spec.Subjects = append(ag.Spec.Subjects, v1alpha1.GrantSubject{User: "jane"})
		if err := gus.Patch(w.t.Context(), ag, client.MergeFrom(before)); err != nil {
			w.t.Fatal(err)
		}
	}
	ours := client.HasLabels{v1alpha1.GrantLabel}
	in := client.InNamespace(v1alpha1.GrantsNamespace)
	for _, list := range []client.ObjectList{&corev1.ServiceAccountList{}, &rbacv1.RoleList{}} {
		if err := w.far.List(w.t.Context(), list, ours, in); err != nil {
			w.t.Fatal(err)
		}
		_ = meta.EachListItem(list, func(o runtime.Object) error {
			obj := o.(client.Object)
			if err := w.far.Patch(w.t.Context(), obj, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))); err != nil {
				w.t.Error(err)
			}
			return nil
		})
	}
	w.eventually("a grant's account to be put right", func() error {
		var all corev1.ServiceAccountList
		if err := w.far.List(w.t.Context(), &all, ours, in); err != nil {
			return err
		}
		for _, sa := range all.Items {
			if len(sa.OwnerReferences) == 0 {
				return fmt.Errorf("%s has no owner", sa.Name)
			}
		}
		return nil
	})
}

// released waits until the finalizer, which an earlier version put on, is taken off.
func (w *world) released(admin client.Client, obj client.Object) {
	w.t.Helper()
	w.eventually("the finalizer of "+obj.GetName()+" to be off", func() error {
		if err := admin.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil || len(obj.GetFinalizers()) > 0 {
			return fmt.Errorf("it has %v, or: %w", obj.GetFinalizers(), err)
		}
		return nil
	})
}

// requests asks for the grant in every format.
func (w *world) requests(rita client.Client) {
	w.t.Helper()
	w.create(w.admin, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: "hawser-requests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requests"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.Namespace, Name: manager}},
	}, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: "hawser-requester"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requester"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "person:rita"}},
	})
	var alpha v1alpha1.RemoteCluster
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: "alpha"}, &alpha); err != nil {
		w.t.Fatal(err)
	}
	before := alpha.DeepCopy()
	alpha.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{w.shop}}
	if err := w.admin.Patch(w.t.Context(), &alpha, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	var made []client.Object
	for _, format := range []v1alpha1.OutputFormat{
		v1alpha1.OutputKubeconfig, v1alpha1.OutputArgoCD, v1alpha1.OutputFlux, v1alpha1.OutputCalico, v1alpha1.OutputIstio, v1alpha1.OutputLinkerd,
		v1alpha1.OutputMulticlusterRuntime, v1alpha1.OutputClusterProfile, v1alpha1.OutputTemplate,
	} {
		ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: "as-" + strings.ToLower(string(format))}}
		ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = "alpha", "shop", format
		if format == v1alpha1.OutputTemplate {
			ar.Spec.Output.Template = &v1alpha1.OutputTemplateSpec{Data: map[string]string{"it": "{{.Server}}"}}
		}
		ar.Finalizers = []string{v1alpha1.RequestFinalizer}
		w.create(rita, ar)
		made = append(made, ar)
	}
	for _, obj := range made {
		ar := obj.(*v1alpha1.AccessRequest)
		w.is(w.admin, ar, func() []metav1.Condition { return ar.Status.Conditions }, metav1.ConditionTrue)
	}
	// Another lifetime is another token, in the same Secret.
	first := made[0].(*v1alpha1.AccessRequest)
	name := first.Status.SecretName
	was := w.secret(w.shop, name)
	patched := first.DeepCopy()
	patched.Spec.Lifetime = &metav1.Duration{Duration: 20 * time.Minute}
	if err := rita.Patch(w.t.Context(), patched, client.MergeFrom(first)); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("another token", func() error {
		if now := w.secret(w.shop, name); string(now.Data["token"]) == string(was.Data["token"]) {
			return fmt.Errorf("it is the same")
		}
		return nil
	})
	w.released(w.admin, &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: first.Name}})
	// A namespace that is not allowed any more loses what was written.
	if err := w.admin.Patch(w.t.Context(), &alpha, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"allowedNamespaces":null}}`))); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("the output to be gone", func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.shop, Name: name}, &corev1.Secret{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there, or: %w", err)
		}
		return nil
	})
	w.eventually("the ClusterProfile to be gone", func() error {
		all := &unstructured.UnstructuredList{}
		all.SetGroupVersionKind(clusterprofile.Kind)
		if err := w.admin.List(w.t.Context(), all, client.InNamespace(w.shop)); err != nil || len(all.Items) > 0 {
			return fmt.Errorf("%d are there: %w", len(all.Items), err)
		}
		return nil
	})
	w.delete(rita, made...)
}

func (w *world) secret(namespace, name string) *corev1.Secret {
	w.t.Helper()
	var s corev1.Secret
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
		w.t.Fatal(err)
	}
	return &s
}

// gate starts that of alpha, and enters by it.
func (w *world) gate() {
	w.t.Helper()
	ca, certFile, keyFile := w.servingCertificate()
	out := w.start(w.alpha, v1alpha1.GateServiceAccount, "gate", "--tls-cert-file", certFile, "--tls-private-key-file", keyFile, "--bind-address", "127.0.0.1:0")
	var address string
	w.eventually("the gate", func() error {
		for line := range strings.Lines(out.String()) {
			var said map[string]any
			if json.Unmarshal([]byte(line), &said) == nil && said["msg"] == "exchanging tokens" {
				address = fmt.Sprint(said["address"])
			}
		}
		if address == "" {
			return fmt.Errorf("it said %s", out)
		}
		return nil
	})
	var system corev1.Namespace
	if err := w.far.Get(w.t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		w.t.Fatal(err)
	}
	rc := w.tie(w.admin, "by-gate", w.alpha, v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{
		TokenFrom: v1alpha1.TokenFromServiceAccount, Audience: v1alpha1.DefaultAudience(string(system.UID)),
		Exchange: &v1alpha1.OIDCExchange{URL: "https://" + address + "/token", CAData: base64.StdEncoding.EncodeToString(ca)},
	}})
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: hub}}
	w.eventually("the gate to say that it let somebody in", func() error {
		if err := w.far.Get(w.t.Context(), client.ObjectKeyFromObject(ti), ti); err != nil || ti.Status.LastUse == nil {
			return fmt.Errorf("it did not: %w", err)
		}
		return nil
	})
	w.delete(w.admin, rc)
}

func (w *world) servingCertificate() (ca []byte, certFile, keyFile string) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gate"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	ca, private := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if _, err := tls.X509KeyPair(ca, private); err != nil {
		w.t.Fatal(err)
	}
	return ca, w.file("gate.crt", string(ca), 0o600), w.file("gate.key", string(private), 0o600)
}

const (
	account = "444455556666"
	region  = "eu-north-1"
)

// cloud is an AWS with one account, in which beta is an EKS cluster.
type cloud struct {
	*awstest.Server
	member  *awstest.Role
	cluster *awstest.Cluster
}

func (w *world) cloud() *cloud {
	w.t.Helper()
	s := awstest.Start(w.t, awstest.Options{})
	target := s.Account(account)
	pod := target.Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	c := &cloud{Server: s, member: target.Role("member", awstest.Trust{Principals: []string{pod.ARN()}})}
	pod.Allow("sts:AssumeRole", c.member.ARN())
	c.member.Allow("eks:ListClusters")
	c.member.Allow("eks:DescribeCluster")
	c.cluster = target.EKS(region, "prod", awstest.EKSOptions{})
	c.cluster.ServeBy(w.t, "beta")
	c.cluster.Entry(c.member.ARN(), []string{v1alpha1.MembersGroup}, "")
	s.Setenv(w.t, pod.Session("pod", time.Hour))
	return c
}

// identities makes AWSIdentities: a role, and stored keys.
func (w *world) identities(as client.Client, c *cloud) {
	w.t.Helper()
	keys := c.Account(account).User("stored").Keys()
	w.create(w.admin, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "stored", Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"AccessKeyID": keys.AccessKeyID, "SecretAccessKey": keys.SecretAccessKey},
	})
	role := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "member"}, Spec: v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: c.member.ARN()}}}
	stored := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "stored"}, Spec: v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSStaticIdentity, Static: &v1alpha1.AWSStaticKeys{SecretRef: v1alpha1.LocalSecretRef{Name: "stored"}}}}
	for _, id := range []*v1alpha1.AWSIdentity{role, stored} {
		id.Finalizers = []string{v1alpha1.IdentityFinalizer}
		w.create(as, id)
		w.is(w.admin, id, func() []metav1.Condition { return id.Status.Conditions }, metav1.ConditionTrue)
		w.released(w.admin, id)
	}
}

// inventories finds the EKS cluster twice: in AWS, and by what Cluster API says.
func (w *world) inventories(as client.Client, c *cloud) {
	w.t.Helper()
	ref := &v1alpha1.AWSIdentityRef{Name: "member"}
	found := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}, Spec: v1alpha1.EKSInventorySpec{
		Accounts: []v1alpha1.EKSAccount{{IdentityRef: ref, TokenIdentityRef: ref}}, Regions: []string{region}, NamePrefix: "found-", Removed: v1alpha1.RemovedDelete,
		Interval: &metav1.Duration{Duration: time.Minute},
	}}
	w.create(as, found)
	w.is(w.admin, found, func() []metav1.Condition { return found.Status.Conditions }, metav1.ConditionTrue)
	w.ready("found-prod")
	// What inventories make they keep as it should be.
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "found-prod"}}
	w.delete(w.admin, found, rc)

	const ns = "team" // names of RemoteClusters begin with it
	w.create(w.admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	keys := c.Account(account).User("capa").Keys()
	w.create(w.admin, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "capa-system", Name: "static"},
		StringData: map[string]string{"AccessKeyID": keys.AccessKeyID, "SecretAccessKey": keys.SecretAccessKey},
	})
	var objects []client.Object
	owner := types.UID("")
	for _, text := range []string{
		"{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSClusterControllerIdentity, metadata: {name: default}, spec: {allowedNamespaces: {}}}",
		"{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSClusterStaticIdentity, metadata: {name: static}, spec: {secretRef: static, allowedNamespaces: {list: [" + ns + "]}}}",
		fmt.Sprintf("{apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: AWSClusterRoleIdentity, metadata: {name: staging}, spec: {roleARN: %q, "+
			"sourceIdentityRef: {kind: AWSClusterControllerIdentity, name: default}, allowedNamespaces: {list: [%s]}}}", c.member.ARN(), ns),
		capiCluster(ns, "shop"), controlPlane(ns, "shop", "staging", "AWSClusterRoleIdentity"),
		capiCluster(ns, "closed"), controlPlane(ns, "closed", "static", "AWSClusterStaticIdentity"),
	} {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			w.t.Fatal(err)
		}
		if u.GetKind() == "AWSManagedControlPlane" {
			if err := unstructured.SetNestedField(u.Object, w.beta.Server, "spec", "controlPlaneEndpoint", "host"); err != nil {
				w.t.Fatal(err)
			}
			// That of the Cluster before it: what has another is garbage.
			u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Cluster", Name: u.GetName(), UID: owner}})
		}
		w.create(w.admin, u)
		owner = u.GetUID()
		objects = append([]client.Object{u}, objects...)
	}
	w.ready(ns + "-shop")
	w.eventually("the static identity to be used", func() error { // which EKS tells nothing
		var events corev1.EventList
		if err := w.admin.List(w.t.Context(), &events, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Name == "closed" && e.Reason == v1alpha1.ReasonEKSDenied {
				return nil
			}
		}
		return fmt.Errorf("nothing is said of it in %d events", len(events.Items))
	})
	w.delete(w.admin, objects...)
	w.delete(w.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: ns + "-shop"}})
}

func capiCluster(ns, name string) string {
	return fmt.Sprintf("{apiVersion: cluster.x-k8s.io/v1beta1, kind: Cluster, metadata: {name: %[2]s, namespace: %[1]s}, spec: {controlPlaneRef: "+
		"{apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: AWSManagedControlPlane, name: %[2]s, namespace: %[1]s}}}", ns, name)
}

func controlPlane(ns, name, identity, kind string) string {
	return fmt.Sprintf("{apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: AWSManagedControlPlane, metadata: {name: %[2]s, namespace: %[1]s}, "+
		"spec: {eksClusterName: prod, region: %[3]s, "+
		"identityRef: {kind: %[5]s, name: %[4]s}, controlPlaneEndpoint: {host: x, port: 443}}}", ns, name, region, identity, kind)
}

// profiles waits until the clusters are published.
func (w *world) profiles() {
	w.t.Helper()
	for _, name := range []string{"hawser-alpha", "hawser-beta"} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(clusterprofile.Kind)
		w.eventually("ClusterProfile "+name, func() error {
			return w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: "hawser-clusterprofiles", Name: name}, u)
		})
	}
}

// endpoints reads what the capability endpoints lets a connection read, as what is built on it does: by lists and watches.
func (w *world) endpoints() {
	w.t.Helper()
	connection := clientOf(w.t, w.alpha.TokenConfig(w.memberToken(w.alpha)))
	for _, kind := range []string{"v1/Namespace", "v1/Node", "v1/Pod", "v1/ServiceAccount", "v1/Service", "discovery.k8s.io/v1/EndpointSlice"} {
		i := strings.LastIndex(kind, "/")
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(kind[:i])
		list.SetKind(kind[i+1:] + "List")
		w.eventually("a list of "+kind, func() error { return connection.List(w.t.Context(), list) })
		w.watch(connection, list)
	}
}

// read lists and watches.
func (w *world) read(as client.WithWatch, list client.ObjectList, options ...client.ListOption) {
	w.t.Helper()
	if err := as.List(w.t.Context(), list, options...); err != nil {
		w.t.Error(err)
	}
	events, err := as.Watch(w.t.Context(), list, options...)
	if err != nil {
		w.t.Fatalf("watching %T: %v", list, err)
	}
	events.Stop()
}

// ownGrant is one that nothing comes of.
func (w *world) ownGrant() *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "some"}, Spec: v1alpha1.AccessGrantSpec{
		Subjects: []v1alpha1.GrantSubject{{User: "nobody"}}, ClusterRoles: []string{"view"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{w.theirs}},
	}}
}

func (w *world) watch(as client.WithWatch, list client.ObjectList) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	events, err := as.Watch(ctx, list)
	if err != nil {
		w.t.Fatalf("watching %T: %v", list, err)
	}
	events.Stop()
}

// look does what somebody with the role hawser-viewer does, by our commands and by kubectl.
func (w *world) look(config *rest.Config) {
	w.t.Helper()
	w.hawser(config, "clusters")
	if out, _ := w.try(w.t.Context(), config, "check", "alpha"); !strings.Contains(out, "run it as somebody who may get Secrets in that namespace") {
		w.t.Errorf("hawser check, as somebody who may not read credentials, says %s", out)
	}
	c := clientOf(w.t, config)
	for _, list := range []client.ObjectList{
		&v1alpha1.RemoteClusterList{}, &v1alpha1.AWSIdentityList{}, &v1alpha1.EKSInventoryList{}, &v1alpha1.AccessRequestList{}, &v1alpha1.TrustedIssuerList{}, &v1alpha1.AccessGrantList{},
	} {
		if err := c.List(w.t.Context(), list); err != nil {
			w.t.Error(err)
		}
		w.watch(c, list)
	}
	for _, obj := range ownKinds("default") {
		if err := c.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); client.IgnoreNotFound(err) != nil {
			w.t.Error(err)
		}
	}
	for _, obj := range []client.Object{&v1alpha1.TrustedIssuer{}, &v1alpha1.AccessGrant{}} {
		if err := c.Get(w.t.Context(), client.ObjectKey{Name: "some"}, obj); !apierrors.IsNotFound(err) {
			w.t.Error(err)
		}
	}
}

// ownKinds are objects of ours that nothing comes of.
func ownKinds(namespace string) []client.Object {
	named := metav1.ObjectMeta{Name: "some"}
	rc, id := &v1alpha1.RemoteCluster{ObjectMeta: named}, &v1alpha1.AWSIdentity{ObjectMeta: named}
	rc.Spec.Server, rc.Spec.Auth.Type, rc.Spec.Disabled = "https://127.0.0.1:1", v1alpha1.AuthBearerToken, true
	id.Spec = v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: "arn:aws:iam::444455556666:role/nobody"}}
	ref := &v1alpha1.AWSIdentityRef{Name: "nobody"}
	inv := &v1alpha1.EKSInventory{ObjectMeta: named, Spec: v1alpha1.EKSInventorySpec{Accounts: []v1alpha1.EKSAccount{{IdentityRef: ref, TokenIdentityRef: ref}}, Regions: []string{region}}}
	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "some"}}
	ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = "nowhere", "none", v1alpha1.OutputKubeconfig
	return []client.Object{rc, id, inv, ar}
}

// write does with objects what kubectl does: create, replace, label, delete. Who writes need not be able to read.
func (w *world) write(admin, as client.Client, objs ...client.Object) {
	w.t.Helper()
	for _, obj := range objs {
		w.create(as, obj)
		key := client.ObjectKeyFromObject(obj)
		w.eventually("an update of "+obj.GetName(), func() error {
			if err := admin.Get(w.t.Context(), key, obj); err != nil {
				return err
			}
			obj.SetLabels(map[string]string{"step": "1"})
			return as.Update(w.t.Context(), obj)
		})
		if err := as.Patch(w.t.Context(), obj, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"step":"2"}}}`))); err != nil {
			w.t.Errorf("patching %T: %v", obj, err)
		}
		if err := as.Delete(w.t.Context(), obj); err != nil {
			w.t.Errorf("deleting %T: %v", obj, err)
		}
	}
}

// end revokes one connection and leaves both, by the connections' own right alone.
func (w *world) end(ada *rest.Config) {
	w.t.Helper()
	w.hawser(ada, "revoke", "alpha")
	w.hawser(ada, "join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints")
	w.hawser(ada, "leave", "alpha")
	w.hawser(ada, "leave", "beta", "--force", "--remote-context", "beta") // which deletes by its own rights what the manager would
	w.gate()
	whole := w.boundByGrants()
	if len(whole) == 0 {
		w.t.Fatal("no ClusterRoleBinding was made of grants")
	}
	for _, grant := range []string{"shop", "entry"} {
		ag := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: grant}}
		// What was made of it is left to our controllers: the garbage collector would take it as well, and may be faster.
		if err := w.far.Delete(w.t.Context(), ag, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
			w.t.Fatalf("deleting AccessGrant %s: %v", grant, err)
		}
		w.delete(w.far, ag)
	}
	w.noneBoundByGrants()
	// As a backup brings it back: nobody owns it, so that it is left to our controllers alone.
	w.create(w.far, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: whole[0].Name, Labels: whole[0].Labels, Annotations: whole[0].Annotations},
		RoleRef:    whole[0].RoleRef, Subjects: whole[0].Subjects,
	})
	w.noneBoundByGrants()
}

// boundByGrants are the ClusterRoleBindings that were made of grants.
func (w *world) boundByGrants() []rbacv1.ClusterRoleBinding {
	w.t.Helper()
	var list rbacv1.ClusterRoleBindingList
	if err := w.far.List(w.t.Context(), &list, client.HasLabels{v1alpha1.GrantLabel}); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

func (w *world) noneBoundByGrants() {
	w.t.Helper()
	w.eventually("what was made of grants to be gone", func() error {
		var bindings rbacv1.RoleBindingList
		if err := w.far.List(w.t.Context(), &bindings, client.HasLabels{v1alpha1.GrantLabel}); err != nil || len(bindings.Items) > 0 {
			return fmt.Errorf("%d RoleBindings are there (%w)", len(bindings.Items), err)
		}
		if whole := w.boundByGrants(); len(whole) > 0 {
			return fmt.Errorf("%d ClusterRoleBindings are there", len(whole))
		}
		return nil
	})
}

// shards divides the clusters over two managers, of which one stops.
func (w *world) shards(vera *rest.Config) {
	w.t.Helper()
	w.stop("primary/" + manager)
	w.startManager("--management-only", "--shards", "--replica-name", "one")
	first := w.running["primary/"+manager]
	w.startManager("--management-only", "--shards", "--replica-name", "two")
	w.eventually("the local cluster to be out of its fleet", func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: hub}, &v1alpha1.RemoteCluster{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there, or: %w", err)
		}
		return nil
	})
	var made []client.Object
	look := func(name string) {
		rc := ownKinds("")[0].(*v1alpha1.RemoteCluster) // disabled: what is divided is who says so
		rc.Name = name
		w.create(w.admin, rc)
		w.is(w.admin, rc, func() []metav1.Condition { return rc.Status.Conditions }, metav1.ConditionFalse)
		made = append(made, rc)
	}
	for _, name := range []string{"a", "b", "c"} {
		look(name)
	}
	if out, code := w.try(w.t.Context(), vera, "status"); code > 1 { // there are no pods
		w.t.Errorf("hawser status: exit code %d\n%s", code, out)
	}
	first.Stop()
	look("d")
	w.delete(w.admin, made...)
}

// stop ends a process, or all of them.
func (w *world) stop(names ...string) {
	for name, process := range w.running {
		if len(names) == 0 || slices.Contains(names, name) {
			process.Stop()
		}
	}
}
