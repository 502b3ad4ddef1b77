package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
	"github.com/hawser-io/hawser/trust/exchange"
)

// joinOIDCFlags are those of join --auth oidc.
type joinOIDCFlags struct {
	gateURL, gateCAFile string
	keys                string
}

// oidcFlags are the names of those that belong to no other way to authenticate.
var oidcFlags = []string{"gate-url", "gate-ca-file", "issuer-keys"}

// Where the remote cluster has the keys of the local one's issuer from.
const (
	keysAuto    = "auto"
	keysInline  = "inline"
	keysFetched = "fetched"
)

func (f *joinOIDCFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.gateURL, "gate-url", "", "with --auth oidc: token endpoint of the remote cluster's gate, https://host/token (default: as it is; none: its API server trusts the issuer itself)")
	flags.StringVar(&f.gateCAFile, "gate-ca-file", "", "with --gate-url: file with the CA of the gate, PEM (default: the system's roots)")
	flags.StringVar(&f.keys, "issuer-keys", keysAuto, "with --auth oidc: where the remote cluster has the keys of this one's issuer from: inline, fetched, or auto (fetched if the issuer is public)")
	_ = cmd.RegisterFlagCompletionFunc("issuer-keys", cobra.FixedCompletions([]string{keysAuto, keysInline, keysFetched}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("gate-url", cobra.NoFileCompletions)
	_ = cmd.MarkFlagFilename("gate-ca-file", "pem", "crt")
}

// validateOIDC refuses flags that make no sense together.
func (j *joining) validateOIDC() error {
	f := j.flags
	switch {
	case !slices.Contains([]string{keysAuto, keysInline, keysFetched}, f.oidc.keys):
		return usageError("--issuer-keys %q: there is only auto, inline and fetched", f.oidc.keys)
	case f.oidc.gateCAFile != "" && f.oidc.gateURL == "":
		return usageError("--gate-ca-file is only for --gate-url")
	case f.auth == string(v1alpha1.AuthOIDC) && f.lifetime != 0:
		return usageError("--lifetime is not for --auth oidc: its tokens live for an hour at most, and are made anew all the time")
	case f.oidc.gateURL != "":
		if err := exchange.ValidateURL(f.oidc.gateURL); err != nil {
			return usageError("--gate-url %q: %w", f.oidc.gateURL, err)
		}
	}
	if f.auth == "" || f.auth == string(v1alpha1.AuthOIDC) { // what a cluster that is there has is seen later
		return nil
	}
	return j.refuseOIDCFlags(v1alpha1.AuthType(f.auth))
}

// refuseOIDCFlags refuses the flags of --auth oidc for any other way.
func (j *joining) refuseOIDCFlags(auth v1alpha1.AuthType) error {
	for _, flag := range oidcFlags {
		if auth != v1alpha1.AuthOIDC && j.given(flag) {
			return usageError("--%s is only for --auth oidc", flag)
		}
	}
	return nil
}

// federation is what the remote cluster is told of the local one.
type federation struct {
	issuer  *v1alpha1.TrustedIssuer // to be applied, or what somebody else wrote, as it is
	foreign bool                    // somebody else wrote it
	grant   *v1alpha1.AccessGrant
}

// decideOIDC settles auth.oidc and what the remote cluster has to be told.
func (j *joining) decideOIDC(ctx context.Context) (*v1alpha1.OIDCAuth, error) {
	auth := &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}
	if j.existing != nil && j.existing.Spec.Auth.OIDC != nil {
		auth = j.existing.Spec.Auth.OIDC.DeepCopy()
	}
	if auth.TokenFrom != v1alpha1.TokenFromServiceAccount || auth.ServiceAccount != nil {
		return nil, errors.New("join sets up the tokens of the manager's own account, and the RemoteCluster has others: change auth.oidc, the TrustedIssuer and the AccessGrant by hand")
	}
	if err := j.mayFederate(ctx); err != nil {
		return nil, err
	}
	if err := j.flags.oidc.gate(auth, j.given("gate-url")); err != nil {
		return nil, err
	}
	issuer, foreign, err := j.trustedIssuer(ctx, v1alpha1.Auth{OIDC: auth}.OIDCAudience(j.clusterID))
	if err != nil {
		return nil, err
	}
	if !foreign {
		if err := j.mayTrust(ctx); err != nil {
			return nil, err
		}
	}
	j.federation = &federation{issuer: issuer, foreign: foreign, grant: j.grantTo(issuer)}
	if auth.Exchange != nil {
		auth.Exchange.Grant = j.federation.grant.Name // the account may have others
	}
	return auth, nil
}

// gate puts the gate that the flags name into auth.oidc.
func (f *joinOIDCFlags) gate(auth *v1alpha1.OIDCAuth, given bool) error {
	if !given {
		return nil
	}
	if f.gateURL == "" {
		auth.Exchange = nil
		return nil
	}
	if auth.Exchange == nil || auth.Exchange.URL != f.gateURL {
		auth.Exchange = &v1alpha1.OIDCExchange{}
	}
	auth.Exchange.URL = f.gateURL
	if f.gateCAFile == "" {
		return nil
	}
	ca, err := os.ReadFile(f.gateCAFile)
	if err != nil {
		return fmt.Errorf("reading --gate-ca-file: %w", err)
	}
	auth.Exchange.CAData = base64.StdEncoding.EncodeToString(ca)
	return nil
}

// mayFederate refuses a remote cluster where nobody would carry out what is written.
func (j *joining) mayFederate(ctx context.Context) error {
	var err error
	for _, list := range []client.ObjectList{&v1alpha1.TrustedIssuerList{}, &v1alpha1.AccessGrantList{}} {
		err = errors.Join(err, j.there.Client.List(ctx, list, client.Limit(1)))
	}
	run := false
	if err == nil {
		run, err = install.ControllersRun(ctx, j.there.Client, j.d.clock.Now())
	}
	switch {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		return errors.New("--auth oidc needs the kinds TrustedIssuer and AccessGrant in the remote cluster: apply there what hawser member manifests --controllers prints, and start hawser member controllers")
	case err != nil:
		return fmt.Errorf("looking for TrustedIssuers and AccessGrants in the remote cluster: %w", err)
	case !run && !j.flags.dryRun:
		return errors.New("--auth oidc needs the member controllers in the remote cluster, and they do not run there (no fresh Lease): start hawser member controllers there with the rights of hawser member manifests --controllers")
	}
	return nil
}

// mayTrust asks for the right that the policy of TrustedIssuers wants (member.IssuerAuthorsPolicy), before anything is
// written by halves.
func (j *joining) mayTrust(ctx context.Context) error {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: v1alpha1.GrantsNamespace, Verb: "create", Resource: "serviceaccounts", Subresource: "token",
		},
	}}
	answer, err := j.there.Kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking what you may do in the remote cluster: %w", err)
	}
	if !answer.Status.Allowed {
		return fmt.Errorf("--auth oidc needs, in the remote cluster, the right to create serviceaccounts/token in namespace %s: whoever says whose tokens are believed there could mint them", v1alpha1.GrantsNamespace)
	}
	return nil
}

// managerAccount is the service account of the manager in config/rbac.
const managerAccount = "hawser"

// trustedIssuer is what makes the remote cluster believe the local one's issuer: what is there, or what join
// makes. Two clusters of one issuer cannot be told apart, so that is refused.
func (j *joining) trustedIssuer(ctx context.Context, audience string) (ti *v1alpha1.TrustedIssuer, foreign bool, err error) {
	at, err := issuerOf(ctx, j.here)
	if err != nil {
		return nil, false, fmt.Errorf("asking the local cluster for its issuer: %w", err)
	}
	if theirs, err := issuerOf(ctx, j.there); err == nil && theirs == at {
		return nil, false, fmt.Errorf("both clusters have the issuer %s, so neither can tell the other's tokens from its own: give one of them another --service-account-issuer", at)
	}
	var all v1alpha1.TrustedIssuerList
	if err := j.there.Client.List(ctx, &all); err != nil {
		return nil, false, fmt.Errorf("listing the TrustedIssuers of the remote cluster: %w", err)
	}
	for i := range all.Items {
		ti := &all.Items[i]
		if ti.Spec.URL != at || ti.Labels[v1alpha1.LocalClusterLabel] == j.local {
			continue
		}
		accepted := ti.Spec.Audiences
		if len(accepted) == 0 {
			accepted = []string{v1alpha1.DefaultAudience(j.clusterID)}
		}
		if !slices.Contains(accepted, audience) {
			return nil, false, fmt.Errorf("TrustedIssuer %q of the remote cluster trusts this one's issuer already, but not for the audience %q: add it to its audiences", ti.Name, audience)
		}
		return ti, true, nil
	}
	ti = &v1alpha1.TrustedIssuer{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TrustedIssuer"},
		ObjectMeta: j.federated(j.local),
		Spec:       v1alpha1.TrustedIssuerSpec{URL: at, Prefix: prefixOf(j.local)},
	}
	if audience != v1alpha1.DefaultAudience(j.clusterID) {
		ti.Spec.Audiences = []string{audience}
	}
	ti.Spec.JWKS, err = j.keys(ctx, at)
	return ti, false, err
}

// federated is the metadata of what join makes for the connection, by which leave finds it again.
func (j *joining) federated(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.LocalClusterLabel: j.local}}
}

// prefixOf is the local cluster's name, unless that is one which Kubernetes or Hawser keeps for itself.
func prefixOf(local string) string {
	if slices.Contains([]string{"system", "hawser", "kubernetes", "kubeadm", "eks", "aks", "gke"}, local) {
		return "cluster-" + local + ":"
	}
	return local + ":"
}

// keys are the local issuer's, for a remote cluster that cannot fetch them; empty where it can.
func (j *joining) keys(ctx context.Context, issuer string) (string, error) {
	where := j.flags.oidc.keys
	if where == keysFetched || (where == keysAuto && public(ctx, issuer)) {
		return "", nil
	}
	raw, err := j.here.Kube.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("asking the local cluster for the keys of its issuer: %w", err)
	}
	return string(raw), nil
}

// issuerOf asks a cluster for the issuer of its service accounts' tokens.
func issuerOf(ctx context.Context, c *cluster) (string, error) {
	raw, err := c.Kube.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	return issuerIn(raw)
}

func issuerIn(document []byte) (string, error) {
	var found struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(document, &found); err != nil || found.Issuer == "" {
		return "", errors.New("its discovery document names none")
	}
	return found.Issuer, nil
}

// publicTimeout is what an issuer gets to show that it is public.
const publicTimeout = 5 * time.Second

// public reports whether anybody can fetch the keys of an issuer, over TLS that everybody trusts.
func public(ctx context.Context, issuer string) bool {
	ctx, cancel := context.WithTimeout(ctx, publicTimeout)
	defer cancel()
	client, err := exchange.HTTPClient(nil)
	if err != nil || !strings.HasPrefix(issuer, "https://") {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	document, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	found, err := issuerIn(document)
	return err == nil && found == issuer
}

// maxGrantName is the longest name of an AccessGrant.
const maxGrantName = 50

// grantName is the name of the AccessGrant for the connection from local.
func grantName(local string) string {
	name := v1alpha1.MemberNamespace(local)
	if len(name) <= maxGrantName {
		return name
	}
	sum := sha256.Sum256([]byte(local))
	return strings.TrimRight(name[:maxGrantName-9], "-") + "-" + hex.EncodeToString(sum[:4])
}

// ownSubjectHere is who the manager is by the tokens of this cluster.
func (j *joining) ownSubjectHere() string {
	return "system:serviceaccount:" + j.d.namespace + ":" + managerAccount
}

// grantTo is the grant for the manager's own account. Its roles are those of the member install.
func (j *joining) grantTo(issuer *v1alpha1.TrustedIssuer) *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessGrant"},
		ObjectMeta: j.federated(grantName(j.local)),
		Spec: v1alpha1.AccessGrantSpec{
			Subjects:     []v1alpha1.GrantSubject{{Issuer: &v1alpha1.GrantIssuer{Name: issuer.Name, Subject: j.ownSubjectHere()}}},
			WholeCluster: true,
		},
	}
}

// objects are all that the remote cluster needs: the roles of a member install, which the grant binds.
func (f *federation) objects(o member.Options) []client.Object {
	var objs []client.Object
	f.grant.Spec.ClusterRoles = nil
	for _, obj := range member.Objects(o) {
		switch role := obj.(type) {
		case *rbacv1.ClusterRoleBinding, *rbacv1.RoleBinding, *rbacv1.Role:
			continue
		case *rbacv1.ClusterRole:
			f.grant.Spec.ClusterRoles = append(f.grant.Spec.ClusterRoles, role.Name)
		}
		objs = append(objs, obj)
	}
	if !f.foreign {
		objs = append(objs, f.issuer)
	}
	return append(objs, f.grant)
}

// remoteObjects are what join applies in the remote cluster.
func (j *joining) remoteObjects() []client.Object {
	if j.federation != nil {
		return j.federation.objects(j.options)
	}
	return member.Objects(j.options)
}

// applyFederation tells the remote cluster of the local one.
func (j *joining) applyFederation(ctx context.Context) error {
	list := changes{d: j.d, title: "In the remote cluster:"}
	if err := install.ApplyObjects(ctx, j.there.Client, j.local, j.remoteObjects(), list.report); err != nil {
		return valuesFor(err, j.options)
	}
	list.end()
	if err := j.waitGranted(ctx); err != nil {
		return err
	}
	if j.auth.OIDC.Exchange == nil {
		fmt.Fprintf(j.d.err, "The remote cluster's API server has to trust %s itself: give it what hawser trust render prints there (--authentication-config), or name a gate with --gate-url\n", j.federation.issuer.Spec.URL)
	}
	return nil
}

// waitGranted waits until the member controllers have done what they are told, so that the manager's first token
// is not refused for being early.
func (j *joining) waitGranted(ctx context.Context) error {
	last := ""
	err := poll(ctx, func() (bool, error) {
		ti, ag := &v1alpha1.TrustedIssuer{}, &v1alpha1.AccessGrant{}
		err := errors.Join(
			j.there.Client.Get(ctx, client.ObjectKeyFromObject(j.federation.issuer), ti),
			j.there.Client.Get(ctx, client.ObjectKeyFromObject(j.federation.grant), ag),
		)
		last = cmp.Or(
			unready(fmt.Sprintf("TrustedIssuer %q", ti.Name), ti.Generation, ti.Status.Conditions),
			unready(fmt.Sprintf("AccessGrant %q", ag.Name), ag.Generation, ag.Status.Conditions),
		)
		return err == nil && last == "", err
	})
	if ctx.Err() != nil {
		return timeoutError("the remote cluster did not let the manager's account in within %s: %s", j.flags.timeout, last)
	}
	return err
}

// unready says what an object waits for; empty where it is Ready as it is now.
func unready(what string, generation int64, conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, v1alpha1.Ready)
	switch {
	case ready == nil || ready.ObservedGeneration != generation:
		return what + " has not been seen by the member controllers"
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("%s is not Ready (%s): %s", what, ready.Reason, oneLine(ready.Message))
	}
	return ""
}

// applyOIDC declares the RemoteCluster. Nothing is stored.
func (j *joining) applyOIDC(ctx context.Context) error {
	if now := j.existing; now != nil {
		dead := j.auth.OIDC.Exchange != nil && now.Annotations[v1alpha1.RevokedAnnotation] != "" // its account was deleted
		j.fresh = dead || !reflect.DeepEqual(now.Spec.Auth.OIDC, j.auth.OIDC)
	}
	list := changes{d: j.d, title: "In the local cluster:"}
	if err := j.writeCluster(ctx, &list); err != nil {
		return err
	}
	list.end()
	return nil
}

// settleOIDC takes away what another way to authenticate was bound to. What it is bound to now is the grant's.
func (j *joining) settleOIDC(ctx context.Context, report install.Report) error {
	if err := install.CutBindings(ctx, j.there.Client, j.local, report); err != nil {
		return err
	}
	return install.Prune(ctx, j.there.Client, j.options, report)
}

// leaveOIDC takes back what the remote cluster was told, where the connection goes another way now.
func (j *joining) leaveOIDC(ctx context.Context, report install.Report) error {
	if j.existing == nil || j.existing.Spec.Auth.OIDC == nil || j.auth.Type == v1alpha1.AuthOIDC {
		return nil
	}
	return install.RemoveFederation(ctx, j.there.Client, j.local, report)
}

// oidcPlan is what a dry run says between the two sides.
func (j *joining) oidcPlan() error {
	way := "The API server there has to trust the issuer itself: hawser trust render."
	if e := j.auth.OIDC.Exchange; e != nil {
		way = "Tokens are exchanged at " + e.URL + "."
	}
	if j.federation.foreign {
		way = fmt.Sprintf("The issuer is trusted already, by TrustedIssuer %q. ", j.federation.issuer.Name) + way
	}
	_, err := fmt.Fprintf(j.d.out, "---\n# %s Nothing is stored.\n", way)
	return err
}

// storesNothing reports whether a way to authenticate needs no Secret.
func storesNothing(auth v1alpha1.AuthType) bool {
	return auth == v1alpha1.AuthEKS || auth == v1alpha1.AuthOIDC
}
