package attempts_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

var thieves = map[string]func(*testing.T, *world){
	"of any token shows it to another cluster":                      replayElsewhere,
	"of any token but a subject's shows it to the gate":             replayAtGate,
	"of a subject's token for another cluster shows it to the gate": replaySubject,
	"of a subject's token asks for what was granted to others":      askForAnother,
	"of a subject's token asks for a token of another cluster":      askForElsewhere,
	"of a subject's token asks for longer than the grant gives":     askForLonger,
	"of a connection's token becomes more than the connection":      thiefOfConnection,
	"of a connection's token mints what outlives the grant":         outliveGrant,
	"of a connection's token mints what outlives the connection":    outliveConnection,
	"of a granted account's token makes more of it":                 thiefOfAccount,
	"of the exchange's answer finds something besides the token":    thiefOfAnswer,
	"of a connection's certificate asks for another's":              thiefOfCertificate,
	"of the right to ask for certificates asks for a connection's":  notOfAConnection,
	"of the manager's token becomes somebody in the local cluster":  thiefOfManager,
	"of the manager's token writes what it did not make":            writesWhatIsForeign,
	"of the manager's token makes what nobody can tell from others": makesWithoutLabel,
	"of the manager's token takes over what it did not make":        takesOver,
	"of the manager's token writes a ConfigMap that is a right":     writesRights,
	"of the manager's token writes the status of a Service":         writesStatusOfService,
}

func tokenOf(t *testing.T, c *fleettest.Cluster, token string) client.Client {
	t.Helper()
	return clientOf(t, c.TokenConfig(token))
}

// whoIs is who an API server takes the holder of a token for.
func whoIs(t *testing.T, c *fleettest.Cluster, token string) (string, error) {
	t.Helper()
	review, err := kubernetes.NewForConfigOrDie(c.TokenConfig(token)).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

func replayElsewhere(t *testing.T, w *world) {
	beta := fleettest.Use(t, "beta")
	fleettest.Eventually(t, 30*time.Second, func() error { // it fetches the keys in the background, and believes nobody before
		_, err := whoIs(t, beta, w.credentials.forBeta)
		return err
	})
	clusters := map[string]*fleettest.Cluster{"here": w.here, "there": w.there, "beta": beta}
	for name, c := range map[string]struct{ token, valid string }{
		"the manager's token":        {w.credentials.manager, "here"},
		"the connection's token":     {w.credentials.connection, "there"},
		"the gate's token":           {w.credentials.gate, "there"},
		"the controllers' token":     {w.credentials.controllers, "there"},
		"the token of an output":     {w.credentials.output, "there"},
		"the exchange's answer":      {w.credentials.exchanged, "there"},
		"a subject's token":          {w.credentials.subject, ""}, // the gate's alone
		"a subject's token for beta": {w.credentials.forBeta, "beta"},
	} {
		for at, cluster := range clusters {
			if at == c.valid {
				if _, err := whoIs(t, cluster, c.token); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if who, err := whoIs(t, cluster, c.token); !apierrors.IsUnauthorized(err) {
				t.Errorf("%s is %q %s (%v)", name, who, at, err)
			}
		}
	}
}

func replayAtGate(t *testing.T, w *world) {
	for name, token := range map[string]string{
		"the manager's token":                             w.credentials.manager,
		"the connection's token":                          w.credentials.connection,
		"the gate's own token":                            w.credentials.gate,
		"the token of an output":                          w.credentials.output,
		"the exchange's answer":                           w.credentials.exchanged,
		"a granted account's token, made for the gate":    w.there.Token(t, v1alpha1.MemberNamespace(hub), v1alpha1.MemberServiceAccount, time.Hour, w.audience),
		"the manager's own, for this audience, ungranted": w.here.Token(t, v1alpha1.Namespace, "hawser", time.Hour, w.audience),
	} {
		if code, body := w.exchange(t, token); code != http.StatusBadRequest || !strings.Contains(body, "the token was not accepted") {
			t.Errorf("%s: the gate answered %d %.60s", name, code, body)
		}
	}
}

// replaySubject shows the gate what a subject, whom it would let in, showed to another cluster.
func replaySubject(t *testing.T, w *world) { w.stays(t, w.credentials.forBeta) }

// askForAnother asks with a subject's token for what was granted to others.
func askForAnother(t *testing.T, w *world) {
	g := w.grantOf("others", w.deployer("operator"))
	mustCreate(t, w.remote, g)
	is(t, w.remote, g, func() []metav1.Condition { return g.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonGranted)
	w.here.ServiceAccount(t, w.shop, "operator")
	w.mustExchange(t, w.here.Token(t, w.shop, "operator", 10*time.Minute, w.audience), "scope", g.Name) // the gate knows of it
	w.stays(t, w.credentials.subject, "scope", g.Name)
	w.stays(t, w.credentials.subject, "scope", "shop")
}

// askForElsewhere asks with a subject's token for a token of another cluster.
func askForElsewhere(t *testing.T, w *world) {
	w.stays(t, w.credentials.subject, "audience", "hawser:beta")
}

// askForLonger asks for more time than the grant gives.
func askForLonger(t *testing.T, w *world) {
	code, body := w.exchange(t, w.credentials.subject, "lifetime", "86400")
	var answer struct {
		Seconds float64 `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || answer.Seconds > time.Hour.Seconds() {
		t.Errorf("the gate answered %d, good for %v s (%v), and the grant allows an hour", code, answer.Seconds, err)
	}
}

func mintAs(t *testing.T, who client.Client, namespace, account string, spec authenticationv1.TokenRequestSpec) error {
	t.Helper()
	return who.SubResource("token").Create(t.Context(), accountOf(namespace, account), &authenticationv1.TokenRequest{Spec: spec})
}

func thiefOfConnection(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.connection)
	must(t, mintAs(t, thief, v1alpha1.GrantsNamespace, w.shopAccount, authenticationv1.TokenRequestSpec{})) // which is what it is for
	for _, target := range [][2]string{
		{v1alpha1.GrantsNamespace, w.entryOne}, {v1alpha1.GrantsNamespace, "default"}, {v1alpha1.Namespace, member.ControllersServiceAccount},
		{v1alpha1.Namespace, v1alpha1.GateServiceAccount}, {v1alpha1.MemberNamespace(hub), "default"}, {metav1.NamespaceSystem, "default"}, {w.theirs, "default"},
	} {
		must(t, refused(mintAs(t, thief, target[0], target[1], authenticationv1.TokenRequestSpec{}), "cannot create resource"))
	}
	must(t, refused(thief.Create(t.Context(), w.grantOf("by-a-connection", w.deployer("deployer"))), "cannot create resource"))
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: member.RequestName(hub)}}
	csr.Spec.SignerName, csr.Spec.Request, csr.Spec.Usages = certificatesv1.KubeAPIServerClientSignerName, []byte("x"), []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}
	must(t, refused(thief.Create(t.Context(), csr), "cannot create resource"))
	must(t, refused(thief.Get(t.Context(), client.ObjectKey{Name: "shop"}, &v1alpha1.AccessGrant{}), "cannot get resource"))
}

// outliveGrant and outliveConnection mint what would outlive the cut that an owner makes who knows of the theft.
func outliveGrant(t *testing.T, w *world) {
	outlive(t, tokenOf(t, w.there, w.credentials.connection), v1alpha1.GrantsNamespace, w.shopAccount)
}

func outliveConnection(t *testing.T, w *world) {
	outlive(t, tokenOf(t, w.there, w.credentials.connection), v1alpha1.MemberNamespace(hub), v1alpha1.MemberServiceAccount)
}

func outlive(t *testing.T, thief client.Client, namespace, account string) {
	t.Helper()
	week := new(int64(7 * 24 * 3600))
	must(t, mintAs(t, thief, namespace, account, authenticationv1.TokenRequestSpec{}))
	if err := mintAs(t, thief, namespace, account, authenticationv1.TokenRequestSpec{ExpirationSeconds: week}); !apierrors.IsInvalid(err) {
		t.Errorf("a token for a week: %v", err)
	}
	// API servers make a year of a token that is bound to a pod.
	pod := &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "any"}
	if err := mintAs(t, thief, namespace, account, authenticationv1.TokenRequestSpec{BoundObjectRef: pod}); !apierrors.IsInvalid(err) {
		t.Errorf("a token bound to a pod: %v", err)
	}
}

func thiefOfAccount(t *testing.T, w *world) {
	for account, token := range map[string]string{w.shopAccount: w.credentials.output, w.entryOne: w.credentials.exchanged} {
		if who, err := whoIs(t, w.there, token); err != nil || who != "system:serviceaccount:"+v1alpha1.GrantsNamespace+":"+account {
			t.Errorf("it is %s (%v)", who, err)
		}
		thief := tokenOf(t, w.there, token)
		must(t, refused(mintAs(t, thief, v1alpha1.GrantsNamespace, account, authenticationv1.TokenRequestSpec{}), "cannot create resource"))
		must(t, thief.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(w.theirs)))
		for _, namespace := range []string{"", metav1.NamespaceDefault, v1alpha1.Namespace, v1alpha1.GrantsNamespace, v1alpha1.MemberNamespace(hub)} {
			must(t, refused(thief.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(namespace)), "cannot list resource"))
		}
		must(t, refused(thief.List(t.Context(), &corev1.SecretList{}, client.InNamespace(w.theirs)), "cannot list resource"))
		must(t, refused(thief.List(t.Context(), &v1alpha1.AccessGrantList{}), "cannot list resource"))
	}
}

// thiefOfAnswer looks for what would outlive the token.
func thiefOfAnswer(t *testing.T, w *world) {
	token := w.here.Token(t, w.shop, "deployer", 10*time.Minute, w.audience)
	code, body := w.exchange(t, token)
	var answer map[string]any
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("the gate answered %d (%v)", code, err)
	}
	for name := range answer {
		if !slices.Contains([]string{"access_token", "issued_token_type", "token_type", "expires_in", "scope"}, name) {
			t.Errorf("the answer has %s", name)
		}
	}
	if strings.Contains(body, token[strings.LastIndex(token, ".")+1:]) {
		t.Error("the answer holds the token that was shown")
	}
	if life, ok := answer["expires_in"].(float64); !ok || life > time.Hour.Seconds() {
		t.Errorf("the answer is good for %v s, and the grant allows an hour", answer["expires_in"])
	}
}

func thiefOfManager(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	must(t, refused(thief.List(t.Context(), &corev1.SecretList{}), "cannot list resource"))
	must(t, refused(thief.List(t.Context(), &corev1.SecretList{}, client.InNamespace(w.shop)), "cannot list resource")) // it may get one by name
	must(t, refused(thief.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "of-the-system"}, &corev1.Secret{}), "cannot get resource"))
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "hawser-requests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requests"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.Namespace, Name: "hawser"}},
	}
	must(t, refused(thief.Create(t.Context(), binding), "cannot create resource"))
	must(t, refused(thief.Create(t.Context(), requestFor(w.shop, "by-the-manager", "shop")), "cannot create resource"))
}
