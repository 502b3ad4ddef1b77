package manager_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

// own is who the manager of the primary cluster is.
const own = "system:serviceaccount:hawser:hawser"

// oidcAuth is auth.type oidc with tokens of the local cluster.
func oidcAuth(audience string, change ...func(*v1alpha1.OIDCAuth)) v1alpha1.Auth {
	auth := v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount, Audience: audience}}
	for _, f := range change {
		f(auth.OIDC)
	}
	return auth
}

// stored counts the Secrets in the manager's namespace.
func (h *hub) stored() int {
	h.t.Helper()
	var secrets corev1.SecretList
	if err := h.admin.List(h.t.Context(), &secrets, client.InNamespace(v1alpha1.Namespace)); err != nil {
		h.t.Fatal(err)
	}
	return len(secrets.Items)
}

func TestAClusterThatTrustsOurIssuerIsEnteredWithNothingStored(t *testing.T) {
	h := startHub(t)
	beta := fleettest.Use(t, "beta") // which trusts primary for the audience hawser:beta
	h.member(beta, member.Options{Identity: member.Foreign, Users: []string{"primary:" + own}})
	h.tie("beta", beta.Server, beta.CA(), oidcAuth("hawser:beta"))
	h.ready("beta")
	h.works("beta")
	rc := h.get("beta")
	if got := rc.Status.Credential.Subject; got != "primary:"+own {
		t.Errorf("the credential is for %s", got)
	}
	if left := time.Until(rc.Status.Credential.ExpiresAt.Time); left > time.Hour || left < 55*time.Minute {
		t.Errorf("the token is good for %s", left)
	}
	if n := h.stored(); n > 0 {
		t.Errorf("%d Secrets are stored", n)
	}
	w, err := h.client("beta").CoreV1().Namespaces().Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=kube-system"})
	if err == nil {
		w.Stop()
		t.Error("the connection may watch namespaces, which it has no use for")
	}
	h.rotate("beta")
	h.works("beta")
	h.stop()
	h.start()
	h.worksAgain("beta")
}

// gate is a token exchange in a remote cluster that believes one account of the local one. It stands for hawser gate,
// whose own tests show what that does beyond this.
type gate struct {
	*httptest.Server
	remote   *fleettest.Cluster
	account  string
	audience string
	down     atomic.Bool
	asked    atomic.Int32
	others   sync.Map // audience → true: what it was shown, beside its own
}

// startGate makes the account that is granted.
func startGate(t *testing.T, from, to *fleettest.Cluster, audience string) *gate {
	t.Helper()
	g := &gate{remote: to, account: "granted-" + strings.ToLower(t.Name()), audience: audience}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.GrantsNamespace}}
	if _, err := to.Client().CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	to.ServiceAccount(t, v1alpha1.GrantsNamespace, g.account)
	raw, err := from.Client().Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		token, err := g.exchange(r, from.Server, &keys)
		switch {
		case g.down.Load():
			http.Error(w, "upstream is away", http.StatusServiceUnavailable)
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": "the token was not accepted"})
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 600})
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gate) exchange(r *http.Request, issuer string, keys *jose.JSONWebKeySet) (string, error) {
	shown := remember(r.FormValue("subject_token"))
	token, err := jwt.ParseSigned(shown, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	if err := token.Claims(keys, &claims); err != nil {
		return "", err
	}
	if !slices.Equal(claims.Audience, jwt.Audience{g.audience}) {
		g.others.Store(fmt.Sprint(claims.Audience), true)
	}
	err = claims.Validate(jwt.Expected{Issuer: issuer, Subject: own, Time: time.Now()})
	if err != nil || !slices.Equal(claims.Audience, jwt.Audience{g.audience}) || claims.Expiry.Time().Sub(claims.IssuedAt.Time()) != 10*time.Minute {
		return "", errors.Join(err, fmt.Errorf("it is for %v", claims.Audience))
	}
	seconds := int64(600)
	answer, err := g.remote.Client().CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(r.Context(), g.account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return remember(answer.Status.Token), nil
}

// through makes auth.oidc go by the gate.
func (g *gate) through(o *v1alpha1.OIDCAuth) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
	o.Exchange = &v1alpha1.OIDCExchange{URL: g.URL + "/token", CAData: base64.StdEncoding.EncodeToString(ca)}
}

// user is who the gate lets in.
func (g *gate) user() string {
	return "system:serviceaccount:" + v1alpha1.GrantsNamespace + ":" + g.account
}

func TestAClusterIsEnteredThroughItsGate(t *testing.T) {
	h := startHub(t)
	alpha := fleettest.Use(t, "alpha") // whose API server trusts nobody
	g := startGate(t, h.cluster, alpha, "hawser:id-of-alpha")
	h.member(alpha, member.Options{Identity: member.Foreign, Users: []string{g.user()}})
	h.tie("alpha", alpha.Server, alpha.CA(), oidcAuth("hawser:id-of-alpha", g.through))
	h.ready("alpha")
	h.works("alpha")
	if got := h.get("alpha").Status.Credential.Subject; got != g.user() {
		t.Errorf("the credential is for %s", got)
	}
	if n := h.stored(); n > 0 {
		t.Errorf("%d Secrets are stored", n)
	}
	if n := g.asked.Load(); n != 1 {
		t.Errorf("the gate was asked %d times for one token", n)
	}
	h.rotate("alpha")
	h.works("alpha")

	// A gate that is away harms nothing while the token is good, and is named.
	g.down.Store(true)
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		metav1.SetMetaDataAnnotation(&rc.ObjectMeta, v1alpha1.RenewAnnotation, time.Now().Add(2*time.Second).Format(time.RFC3339Nano))
	})
	message := h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionFalse, v1alpha1.ReasonRenewalFailed)
	if !strings.Contains(message, "exchanging a token at "+g.URL+"/token: it answered 503") {
		t.Errorf("the message is %s", message)
	}
	h.works("alpha")
	g.down.Store(false)
	h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionTrue, v1alpha1.ReasonFresh)
}

func TestWhatIsWrongWithATokenIsNamed(t *testing.T) {
	h := startHub(t)
	h.stop()
	h.tokens = t.TempDir()
	writeFile(t, h.tokens+"/own", remember(h.cluster.Token(t, v1alpha1.Namespace, "hawser", time.Hour)), 0o600)
	h.start()
	alpha := fleettest.Use(t, "alpha")
	g := startGate(t, h.cluster, alpha, "hawser:gate-of-alpha")
	h.member(alpha, member.Options{Identity: member.Foreign, Users: []string{g.user()}})
	h.tie("first", alpha.Server, alpha.CA(), oidcAuth("hawser:gate-of-alpha", g.through))
	h.ready("first")
	if _, err := h.cluster.Client().CoreV1().ServiceAccounts(v1alpha1.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	h.pastItsFirstSecond("first")

	gated := func(audience string, change ...func(*v1alpha1.OIDCAuth)) v1alpha1.Auth {
		return oidcAuth(audience, append(change, g.through)...)
	}
	file := func(name string) func(*v1alpha1.OIDCAuth) {
		return func(o *v1alpha1.OIDCAuth) { o.ServiceAccount = &v1alpha1.OIDCServiceAccount{TokenFile: name} }
	}
	workload := func(o *v1alpha1.OIDCAuth) { o.TokenFrom = v1alpha1.TokenFromSPIFFE }
	named := func(account string) func(*v1alpha1.OIDCAuth) {
		return func(o *v1alpha1.OIDCAuth) { o.ServiceAccount = &v1alpha1.OIDCServiceAccount{Name: account} }
	}
	dead := func(o *v1alpha1.OIDCAuth) { o.Exchange = &v1alpha1.OIDCExchange{URL: "https://127.0.0.1:1/token"} }
	cases := []struct {
		name, reason, message string
		auth                  v1alpha1.Auth
	}{
		{"ours", v1alpha1.ReasonAudienceShared, "the API server of this cluster itself accepts", gated(h.cluster.Server, file("own"))},
		{"second", v1alpha1.ReasonAudienceShared, `RemoteCluster "first", which is older`, gated("hawser:gate-of-alpha")},
		{"unknown-to-the-gate", v1alpha1.ReasonExchangeFailed, "it answered 400: invalid_request: the token was not accepted", gated("hawser:z")},
		{"of-a-cloud", v1alpha1.ReasonAudienceShared, "belongs to AWS", gated("sts.amazonaws.com", workload)},
		{"not-allowed", v1alpha1.ReasonTokenFailed, "kubectl -n hawser create rolebinding hawser-token-deployer --role=hawser-token-deployer --serviceaccount=hawser:hawser", oidcAuth("hawser:a", named("deployer"))},
		{"no-file", v1alpha1.ReasonTokenFailed, "no such file", oidcAuth("hawser:b", file("b"))},
		{"other-file", v1alpha1.ReasonTokenFailed, "and nobody else", oidcAuth("hawser:f", file("own"))},
		{"no-gate", v1alpha1.ReasonExchangeFailed, "exchanging a token at https://127.0.0.1:1/token", oidcAuth("hawser:c", dead)},
		{"not-believed", v1alpha1.ReasonRefused, "hawser trust render", oidcAuth("hawser:d")},
		{"no-workload-api", v1alpha1.ReasonTokenFailed, "--spiffe-endpoint-socket", oidcAuth("hawser:e", workload)},
	}
	for _, c := range cases {
		h.tie(c.name, alpha.Server, alpha.CA(), c.auth)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			message := h.is(c.name, v1alpha1.Authenticated, metav1.ConditionFalse, c.reason)
			if !strings.Contains(message, c.message) {
				t.Errorf("the message is %s", message)
			}
		})
	}
	g.others.Range(func(audience, _ any) bool {
		if audience != "[hawser:z]" {
			t.Errorf("the gate was shown a token for %s, which belongs to somebody else", audience)
		}
		return true
	})
	h.works("first")
	if err := h.admin.Delete(t.Context(), h.get("first")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first to be gone", func() error {
		if err := h.admin.Get(t.Context(), client.ObjectKey{Name: "first"}, &v1alpha1.RemoteCluster{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	h.update("second", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Auth.OIDC.Exchange.Lifetime = &metav1.Duration{Duration: 30 * time.Minute} // looked at anew at once
	})
	h.ready("second") // the audience is free now
}

func TestATokenThatThePodWasGivenIsUsed(t *testing.T) {
	h := startHub(t)
	h.stop()
	h.tokens = t.TempDir()
	beta := fleettest.Use(t, "beta")
	h.member(beta, member.Options{Identity: member.Foreign, Users: []string{"primary:" + own, "primary:system:serviceaccount:hawser:deployer"}})
	if _, err := h.cluster.Client().CoreV1().ServiceAccounts(v1alpha1.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	writeFile(t, h.tokens+"/beta", remember(h.cluster.Token(t, v1alpha1.Namespace, "deployer", time.Hour, "hawser:beta")), 0o600)
	h.start()
	h.tie("beta", beta.Server, beta.CA(), oidcAuth("hawser:beta", func(o *v1alpha1.OIDCAuth) { o.ServiceAccount = &v1alpha1.OIDCServiceAccount{TokenFile: "beta"} }))
	h.ready("beta")
	h.works("beta")
	who, err := h.client("beta").AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || who.Status.UserInfo.Username != "primary:system:serviceaccount:hawser:deployer" {
		t.Errorf("the connection is %v (%v)", who, err)
	}
}

// TestTheManagerMayAskForItsOwnTokensOnly is about config/rbac: a right to the tokens of other accounts would be one to
// become anybody in the namespace.
func TestTheManagerMayAskForItsOwnTokensOnly(t *testing.T) {
	h := startHub(t)
	accounts := kubernetes.NewForConfigOrDie(h.config).CoreV1()
	ask := func(namespace, account string) error {
		_, err := accounts.ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"hawser:x"}}}, metav1.CreateOptions{})
		return err
	}
	if err := ask(v1alpha1.Namespace, "hawser"); err != nil {
		t.Errorf("its own: %v", err)
	}
	for _, other := range [][2]string{{v1alpha1.Namespace, "default"}, {"kube-system", "default"}, {"default", "hawser"}} {
		if err := ask(other[0], other[1]); !apierrors.IsForbidden(err) {
			t.Errorf("%s in %s: %v", other[1], other[0], err)
		}
	}
}
