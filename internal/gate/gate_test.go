package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/trust"
)

// workload is a service account of primary that wants to enter alpha.
type workload struct {
	t                  *testing.T
	cluster            *fleettest.Cluster
	namespace, account string
	audience           string
}

func (e *entered) workload(t *testing.T) *workload {
	t.Helper()
	c := fleettest.Use(t, "primary")
	w := &workload{t: t, cluster: c, namespace: c.Namespace(t), account: "deployer", audience: e.audience}
	c.ServiceAccount(t, w.namespace, w.account)
	return w
}

func (w *workload) subject() string { return "system:serviceaccount:" + w.namespace + ":" + w.account }

// token is one that primary issues, for alpha's gate.
func (w *workload) token() string {
	w.t.Helper()
	return w.cluster.Token(w.t, w.namespace, w.account, 10*time.Minute, w.audience)
}

// forged is one that primary's key signs, of any content.
func (w *workload) forged(times fleettest.TokenTimes, claims map[string]any) string {
	w.t.Helper()
	if claims == nil {
		claims = map[string]any{}
	}
	if _, ok := claims["aud"]; !ok {
		claims["aud"] = []string{w.audience}
	}
	return w.cluster.SignToken(w.t, w.namespace, w.account, times, claims)
}

func TestForeignWorkloadEntersWithItsOwnIdentity(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	primary := named(w.subject())
	primary.Issuer.Name = "primary"
	g := e.start()
	e.trust("primary", w.cluster)
	ag := e.grant("enter", primary)

	token := w.token()
	got := g.mustAsk(token, url.Values{"audience": {e.audience}, "scope": {"enter"}, "lifetime": {"1200"}})
	if got.IssuedTokenType != typeAccessToken || got.TokenType != "Bearer" || got.Scope != "enter" ||
		math.Abs(float64(got.ExpiresIn)-1200) > 5 || got.header.Get("Cache-Control") != "no-store" || got.proto != "HTTP/2.0" {
		t.Errorf("got %s %v %+v", got.proto, got.header, got.success)
	}
	me, err := g.as(got.AccessToken).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	account := grant.AccountName("enter", primary)
	if want := "system:serviceaccount:hawser-grants:" + account; me.Status.UserInfo.Username != want {
		t.Errorf("entered as %q, want %q", me.Status.UserInfo.Username, want)
	}

	line := g.log.mustLast(t, "token exchanged")
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(line["expiresAt"]))
	if err != nil || time.Until(expires) > 20*time.Minute || time.Until(expires) < 19*time.Minute {
		t.Errorf("the audit line says it expires at %v", line["expiresAt"])
	}
	want := map[string]any{
		"logger": "audit", "issuer": "primary", "subject": w.subject(), "user": "primary:" + w.subject(), "grant": ag.Name, "account": account, "remote": "127.0.0.1",
		// With these two, both clusters' own audit logs are connected.
		"tokenID": strings.TrimPrefix(credentialID(token), "JTI="), "credentialID": me.Status.UserInfo.Extra["authentication.kubernetes.io/credential-id"][0],
	}
	for _, name := range []string{"time", "level", "msg", "expiresAt"} {
		delete(line, name)
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("audit line (-want +got)\n%s", diff)
	}
	for _, secret := range []string{token, got.AccessToken} {
		if log := g.log.all(); strings.Contains(log, secret) || strings.Contains(log, secret[strings.LastIndex(secret, ".")+1:]) {
			t.Error("a token is in the log")
		}
	}
	fleettest.Eventually(t, eventually, func() error {
		var ti v1alpha1.TrustedIssuer
		if err := e.admin.Get(t.Context(), client.ObjectKey{Name: "primary"}, &ti); err != nil || ti.Status.LastUse != nil {
			return err
		}
		return errors.New("status.lastUse is empty")
	})
}

func TestBadTokensOfARealIssuer(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	by := func(s string) v1alpha1.GrantSubject {
		return v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: "primary", Subject: s}}
	}
	g := e.start()
	e.trust("primary", w.cluster)
	e.grant("good", by(w.subject()))
	e.grant("another", by("system:serviceaccount:"+w.namespace+":default"))
	g.mustAsk(w.token(), nil)
	alpha := e.cluster.Namespace(t)

	hour := time.Hour
	tests := map[string]struct {
		token, reason string
		changes       url.Values
	}{
		"for primary's own API server":      {token: w.cluster.Token(t, w.namespace, w.account, 10*time.Minute), reason: trust.WrongAudience},
		"for another cluster":               {token: w.cluster.Token(t, w.namespace, w.account, 10*time.Minute, "hawser:another"), reason: trust.WrongAudience},
		"of alpha itself":                   {token: e.cluster.Token(t, alpha, "default", 10*time.Minute, e.audience), reason: trust.UnknownIssuer},
		"expired":                           {token: w.forged(fleettest.TokenTimes{IssuedAt: time.Now().Add(-hour), Expires: time.Now().Add(-time.Minute)}, nil), reason: trust.Expired},
		"not yet valid":                     {token: w.forged(fleettest.TokenTimes{NotBefore: time.Now().Add(hour), Expires: time.Now().Add(hour + time.Minute)}, map[string]any{"iat": time.Now().Unix()}), reason: trust.NotYetValid},
		"that lives for a year":             {token: w.forged(fleettest.TokenTimes{Expires: time.Now().Add(365 * 24 * hour)}, nil), reason: trust.LifetimeTooLong},
		"that says it is of system:masters": {token: w.forged(fleettest.TokenTimes{}, map[string]any{"sub": "kubernetes-admin", "groups": []string{"system:masters"}}), reason: reasonNotGranted},
		"for the grant of another account":  {token: w.token(), changes: url.Values{"scope": {"another"}}, reason: reasonNotGranted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := g.ask(test.token, test.changes)
			if got.code != http.StatusBadRequest || !strings.Contains(got.body, notAccepted.description) {
				t.Errorf("got %d %s", got.code, got.body)
			}
			if line := g.log.mustLast(t, "token refused"); line["reason"] != test.reason {
				t.Errorf("the log says %v, want %s", line, test.reason)
			}
		})
	}
}

func TestUnknownKeyReachesTheStatusSoon(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	g := e.start()
	ti := e.trust("primary", w.cluster)
	g.mustRefuse(w.token(), reasonNotGranted)

	// primary has changed its keys, and nobody told alpha: what it published earlier is still believed.
	d := newDoor(t)
	ti.Spec.JWKS = d.issuer("b").Spec.JWKS
	if err := e.admin.Update(t.Context(), ti); err != nil {
		t.Fatal(err)
	}
	e.judge(ti)
	g.mustRefuse(w.token(), trust.UnknownKey)
	fleettest.Eventually(t, 30*time.Second, func() error {
		var now v1alpha1.TrustedIssuer
		if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(ti), &now); err != nil {
			return err
		}
		if f := now.Status.LastFailure; f == nil || f.Reason != trust.UnknownKey || f.Message == "" {
			return fmt.Errorf("status.lastFailure is %v", f)
		}
		return nil
	})
}

// mustRefuse asks until the refusal has a reason, since what the gate knows follows the API server.
func (g *gate) mustRefuse(token, reason string) {
	g.t.Helper()
	fleettest.Eventually(g.t, eventually, func() error {
		if got := g.ask(token, nil); got.code != http.StatusBadRequest {
			return fmt.Errorf("%d %s", got.code, got.body)
		}
		if line := g.log.mustLast(g.t, "token refused"); line["reason"] != reason {
			return fmt.Errorf("the log says %v, want %s", line, reason)
		}
		return nil
	})
}

func TestWhatIsTakenAwayEndsAtOnce(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	g := e.start()
	tests := map[string]struct {
		take   func(*v1alpha1.TrustedIssuer, *v1alpha1.AccessGrant) client.Object
		reason string
	}{
		"the issuer": {func(ti *v1alpha1.TrustedIssuer, _ *v1alpha1.AccessGrant) client.Object { return ti }, trust.UnknownIssuer},
		"the grant":  {func(_ *v1alpha1.TrustedIssuer, ag *v1alpha1.AccessGrant) client.Object { return ag }, reasonNotGranted},
		"the account": {func(_ *v1alpha1.TrustedIssuer, ag *v1alpha1.AccessGrant) client.Object {
			return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: ag.Status.Accounts[0].Name}}
		}, reasonAccountMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := *e
			e.t = t
			ti := e.trust("primary", w.cluster)
			subject := named(w.subject())
			subject.Issuer.Name = "primary"
			ag := e.grant("enter", subject)
			token := w.token()
			g.mustAsk(token, nil)
			if err := e.admin.Delete(t.Context(), test.take(ti, ag)); err != nil {
				t.Fatal(err)
			}
			g.mustRefuse(token, test.reason)
		})
	}
}

func TestGateHoldsNoMoreThanItNeeds(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	ti := e.trust("primary", w.cluster)
	subject := named(w.subject())
	ag := e.grant("enter", subject)
	config := e.cluster.TokenConfig(e.cluster.Token(t, v1alpha1.Namespace, v1alpha1.GateServiceAccount, 10*time.Minute))
	thief, objects := kubernetes.NewForConfigOrDie(config), clientOf(t, config)
	mint := func(namespace, account string, o authenticationv1.TokenRequestSpec) error {
		_, err := thief.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: o}, metav1.CreateOptions{})
		return err
	}
	status := func(patch string) error {
		return objects.Status().Patch(t.Context(), &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: ti.Name}}, client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	day := int64(24 * 3600)
	attempts := map[string]error{
		"mint for an account of another namespace": mint(metav1.NamespaceSystem, "default", authenticationv1.TokenRequestSpec{}),
		"mint for the member controllers":          mint(v1alpha1.Namespace, "hawser-member", authenticationv1.TokenRequestSpec{}),
		"mint for itself":                          mint(v1alpha1.Namespace, v1alpha1.GateServiceAccount, authenticationv1.TokenRequestSpec{}),
		"mint for an account that is no grant's":   mint(v1alpha1.GrantsNamespace, "default", authenticationv1.TokenRequestSpec{}),
		"mint for longer than the grant allows":    mint(v1alpha1.GrantsNamespace, ag.Status.Accounts[0].Name, authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}),
		"write the keys that it verifies with":     status(`{"status":{"keys":[{"thumbprint":"x","algorithm":"RS256","jwk":"{}","firstSeen":"2026-01-01T00:00:00Z","lastSeen":"2026-01-01T00:00:00Z"}]}}`),
		"declare an issuer trusted":                status(`{"status":{"conditions":[]}}`),
		"declare an edit judged":                   status(`{"status":{"observedGeneration":99}}`),
		"trust another issuer":                     objects.Create(t.Context(), &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "evil"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://evil.example", Prefix: "evil:"}}),
		"change what is trusted": objects.Patch(t.Context(), &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: ti.Name}},
			client.RawPatch(types.MergePatchType, []byte(`{"spec":{"jwks":"{}"}}`))),
		"widen a grant": objects.Patch(t.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: ag.Name}},
			client.RawPatch(types.MergePatchType, []byte(`{"spec":{"clusterRoles":["cluster-admin"]}}`))),
		"say that an account was made": objects.Status().Patch(t.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: ag.Name}},
			client.RawPatch(types.MergePatchType, []byte(`{"status":{"accounts":[{"name":"default","subject":"x"}]}}`))),
		"make an account": objects.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "mine"}}),
		"read Secrets":    objects.List(t.Context(), &corev1.SecretList{}),
		"list namespaces": objects.List(t.Context(), &corev1.NamespaceList{}),
	}
	for what, err := range attempts {
		if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			t.Errorf("the gate's account tries to %s: %v, want it to be forbidden", what, err)
		}
	}
	if err := mint(v1alpha1.GrantsNamespace, ag.Status.Accounts[0].Name, authenticationv1.TokenRequestSpec{}); err != nil {
		t.Errorf("what it is for: %v", err)
	}
}

func TestServerAnswersNothingElse(t *testing.T) {
	e := enter(t)
	g := e.start()
	tests := map[string]struct {
		method, path, body string
		code               int
	}{
		"a GET of the endpoint": {http.MethodGet, "", "", http.StatusMethodNotAllowed},
		"another path":          {http.MethodPost, "/admin", "", http.StatusNotFound},
		"a huge body":           {http.MethodPost, "", "subject_token=" + strings.Repeat("a", 1<<20), http.StatusBadRequest},
		"an empty body":         {http.MethodPost, "", "", http.StatusBadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, g.url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got, err := g.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			if body, _ := io.ReadAll(got.Body); got.StatusCode != test.code {
				t.Errorf("got %d %s, want %d", got.StatusCode, body, test.code)
			}
		})
	}
	plain, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(g.url, "https:", "http:", 1), strings.NewReader(form(nil).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (&http.Client{Timeout: eventually}).Do(plain); err == nil {
		defer got.Body.Close()
		if got.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %d", got.StatusCode)
		}
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	g := enter(t).start()
	g.ask("junk", nil)
	if err := g.certificate.breakFile(); err != nil {
		t.Fatal(err)
	}
	g.http.CloseIdleConnections()
	g.ask("junk", nil) // the old one is still served
	g.certificate.replace()
	fleettest.Eventually(t, eventually, func() error {
		fresh := g.newHTTP()
		defer fresh.CloseIdleConnections()
		_, err := g.tryAsk(fresh, "junk", nil)
		return err
	})
}

func TestLastRequestsAreAnswered(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	proxy := e.cluster.HTTPProxy(t)
	g := e.start(func(o *Options) { o.Config = proxy.Through(o.Config) })
	e.trust("primary", w.cluster)
	subject := named(w.subject())
	subject.Issuer.Name = "primary"
	e.grant("enter", subject)
	token := w.token()
	g.mustAsk(token, nil)

	asked := make(chan struct{}, 8)
	proxy.OnRequest(func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			asked <- struct{}{}
		}
	})
	proxy.BlackHoleHTTP()
	last := make(chan answered, 1)
	go func() {
		got, err := g.tryAsk(g.http, token, nil)
		if err != nil {
			got.body = err.Error()
		}
		last <- got
	}()
	<-asked
	stopped := make(chan struct{})
	go func() { g.stop(); close(stopped) }()
	fleettest.Eventually(t, eventually, func() error { // it takes nobody new
		if conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(g.url, "https://"), "/token")); err == nil {
			conn.Close()
			return errors.New("the gate still takes connections")
		}
		return nil
	})
	proxy.RestoreHTTP()
	if got := <-last; got.code != http.StatusOK {
		t.Errorf("the last request: got %d %s", got.code, got.body)
	}
	select {
	case <-stopped:
	case <-time.After(eventually):
		t.Error("the gate does not end")
	}
}

func TestTokenThatNobodyWaitsForIsWrittenDown(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	proxy := e.cluster.HTTPProxy(t)
	g := e.start(func(o *Options) { o.Config = proxy.Through(o.Config) })
	e.trust("primary", w.cluster)
	subject := named(w.subject())
	subject.Issuer.Name = "primary"
	e.grant("enter", subject)
	g.mustAsk(w.token(), nil)

	asked := make(chan struct{}, 8)
	proxy.OnRequest(func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			asked <- struct{}{}
		}
	})
	proxy.BlackHoleHTTP()
	token := w.token()
	hurried := g.newHTTP()
	gone := make(chan error, 1)
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		_, err := g.tryAskIn(ctx, hurried, token, nil)
		gone <- err
	}()
	<-asked
	hangUp()
	if err := <-gone; err == nil {
		t.Fatal("an answer came through the black hole")
	}
	proxy.RestoreHTTP()
	fleettest.Eventually(t, eventually, func() error {
		if line := g.log.mustLast(t, "token exchanged"); line["tokenID"] != strings.TrimPrefix(credentialID(token), "JTI=") {
			return fmt.Errorf("the last audit line is %v", line)
		}
		return nil
	})
}

func TestAPIServerThatFails(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	proxy := e.cluster.HTTPProxy(t)
	g := e.start(func(o *Options) { o.Config = proxy.Through(o.Config) })
	e.trust("primary", w.cluster)
	subject := named(w.subject())
	subject.Issuer.Name = "primary"
	e.grant("enter", subject)
	token := w.token()
	g.mustAsk(token, nil)
	proxy.Fail(http.StatusInternalServerError, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token") })
	if got := g.ask(token, nil); got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.code, got.body)
	}
	proxy.RestoreHTTP()
	if got := g.ask(token, nil); got.code != http.StatusOK {
		t.Errorf("when it is well again: got %d %s", got.code, got.body)
	}
}

func TestGateWithoutItsKindsDoesNotStart(t *testing.T) {
	primary := fleettest.Use(t, "primary") // where nothing is installed
	c := newCertificate(t)
	ctx, cancel := context.WithTimeout(t.Context(), eventually)
	defer cancel()
	err := Run(ctx, Options{
		Address: "127.0.0.1:0", CertFile: c.certFile, KeyFile: c.keyFile, MetricsAddr: "0", ProbeAddr: "0",
		Limits: DefaultLimits(), Log: (&lines{}).logger(), Config: primary.AdminConfig(),
	})
	if err == nil || !strings.Contains(err.Error(), "is its CRD installed?") {
		t.Errorf("got %v", err)
	}
}
