package attempts_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/member"
)

// populate makes what clusters that use Hawser have: a connection, an issuer, grants and a request.
func (w *world) populate(t *testing.T) {
	t.Helper()
	w.credentials.connection = w.there.Token(t, v1alpha1.MemberNamespace(hub), v1alpha1.MemberServiceAccount, time.Hour)
	mustCreate(t, w.local,
		inputSecret("alpha", w.credentials.connection),
	)
	w.servedIn(t, w.shop)
	everybody := func(s *v1alpha1.RemoteClusterSpec) {
		s.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{w.shop, w.other, v1alpha1.Namespace}}
	}
	if err := tie(t, w.local, "alpha", w.there.Server, w.there.CA(), v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}, everybody); err != nil {
		t.Fatal(err)
	}
	jwks, err := w.here.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shop := v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: w.shop}}
	mustCreate(t, w.remote,
		&v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: hub}, Spec: v1alpha1.TrustedIssuerSpec{URL: w.here.Server, JWKS: string(jwks), Prefix: "hub:"}},
		w.grantOf("shop", shop), w.grantOf("entry", w.deployer("deployer")),
	)
	w.shopAccount, w.entryOne = grant.AccountName("shop", shop), grant.AccountName("entry", w.deployer("deployer"))
	ar := requestFor(w.shop, "shop", "shop")
	mustCreate(t, w.local, ar)
	is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

// servedIn lets the manager write in a namespace what comes of requests there.
func (w *world) servedIn(t *testing.T, namespace string) {
	t.Helper()
	mustCreate(t, w.local, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hawser-requests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requests"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.Namespace, Name: "hawser"}},
	})
}

func inputSecret(cluster, token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(cluster), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{v1alpha1.BearerTokenKey: token},
	}
}

func requestFor(namespace, name, grant string) *v1alpha1.AccessRequest {
	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = "alpha", grant, v1alpha1.OutputKubeconfig
	return ar
}

// deployer is a service account of the granted namespace here, by its own issuer.
func (w *world) deployer(account string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: hub, Subject: "system:serviceaccount:" + w.shop + ":" + account}}
}

// grantOf lets somebody view what is in one namespace.
func (w *world) grantOf(name string, subjects ...v1alpha1.GrantSubject) *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"view"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{w.theirs}}},
	}
}

// collect steals one of each.
func (w *world) collect(t *testing.T) {
	t.Helper()
	var output corev1.Secret
	if err := w.local.Get(t.Context(), client.ObjectKey{Namespace: w.shop, Name: "shop"}, &output); err != nil {
		t.Fatal(err)
	}
	w.credentials.output = string(output.Data["token"])
	w.credentials.subject = w.here.Token(t, w.shop, "deployer", 10*time.Minute, w.audience)
	w.credentials.forBeta = w.here.Token(t, w.shop, "deployer", 10*time.Minute, "hawser:beta")
	w.credentials.certificate, w.credentials.key = w.there.ClientCert(t, v1alpha1.MemberUser(edge), nil, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	w.credentials.exchanged = w.mustExchange(t, w.credentials.subject)
	w.settle(t)
}

// settle gives the policies the moment that they take to come into force. Without one, the attempts that it is for succeed
// and say so.
func (w *world) settle(t *testing.T) {
	t.Helper()
	nobody, here := as(t, w.there, "settler", everythingOn("trustedissuers", "accessgrants")), as(t, w.here, "settler", federation)
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "settled"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://settled.example.com", Prefix: "settled:"}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		grants, issuers := nobody.Create(t.Context(), w.grantOf("settled", w.deployer("x")), client.DryRunAll), nobody.Create(t.Context(), ti.DeepCopy(), client.DryRunAll)
		federated := here.Create(t.Context(), policyOf(v1alpha1.TargetNetworkPolicy)(w), client.DryRunAll)
		if refused(grants, member.GrantAuthorsPolicy) == nil && refused(issuers, member.IssuerAuthorsPolicy) == nil && refused(federated, authors.Policy) == nil && settledHere(t, w) {
			return
		}
	}
}

// mustExchange waits for what the gate is about to learn.
func (w *world) mustExchange(t *testing.T, token string, more ...string) string {
	t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	fleettest.Eventually(t, patience, func() error {
		code, body := w.exchange(t, token, more...)
		if code != http.StatusOK {
			return fmt.Errorf("the gate answered %d %s", code, body)
		}
		return json.Unmarshal([]byte(body), &answer)
	})
	return answer.AccessToken
}

// TestAttempts runs every attempt in one world.
func TestAttempts(t *testing.T) {
	w := newWorld(t)
	t.Run("by a thief of any credential with a right that it should not have", func(t *testing.T) { everyRight(t, w) }) // before others add some
	// Before another writes into alpha's status which cluster that is, by which its audience is known: who may
	// write both, RemoteClusters and their status, has Hawser's own means.
	t.Run("an author of RemoteClusters collects tokens at a server of their own", func(t *testing.T) { collectTokens(t, w) })
	for name, attempts := range map[string]map[string]func(*testing.T, *world){
		"by an author or a status writer there": remoteAuthors,
		"by an author or a status writer here":  localAuthors,
		"by a status writer here":               statusWriters,
		"by an author of federation here":       federationAuthors,
		"by a thief":                            thieves,
		"by a thief there":                      thievesThere,
	} {
		t.Run(name, func(t *testing.T) {
			for name, attempt := range attempts {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					attempt(t, w)
				})
			}
		})
	}
}
