package gate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

func newJSON(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func TestExchange(t *testing.T) {
	hours := func(h int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(h) * time.Hour} }
	ci := granted("ci", time.Hour, named(subject))
	ci.Spec.MaxLifetime = hours(2)
	ending := granted("ending", time.Minute, named(subject))
	ending.Spec.EndsAt = &metav1.Time{Time: now.Add(5 * time.Minute)}
	tests := map[string]struct {
		changes url.Values
		want    success
		life    time.Duration // asked of the API server
	}{
		"what the issuer allows, where the grant allows more": {
			nil, success{Scope: "ci", ExpiresIn: 3600}, time.Hour,
		},
		"a shorter life": {url.Values{"lifetime": {"900"}}, success{Scope: "ci", ExpiresIn: 900}, 15 * time.Minute},
		"the grant that is asked for, until it ends": {
			url.Values{"scope": {"ending"}}, success{Scope: "ending", ExpiresIn: 300}, 10 * time.Minute,
		},
		"the audience of this cluster": {url.Values{"audience": {cluster}}, success{Scope: "ci", ExpiresIn: 3600}, time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, ci, ending)
			w := d.ask(d.token(nil), test.changes)
			var got success
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
				t.Fatalf("%d %s (%v)", w.Code, w.Body, err)
			}
			admitted, err := d.grants.admit("b", subject, test.want.Scope, now)
			if err != nil {
				t.Fatal(err)
			}
			test.want.AccessToken = mintedFor + admitted.account
			test.want.IssuedTokenType, test.want.TokenType = "urn:ietf:params:oauth:token-type:access_token", "Bearer"
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
			if d.life != test.life {
				t.Errorf("asked the API server for a token of %s, want %s", d.life, test.life)
			}
		})
	}
}

// refusals are requests that get nothing, each with the reason that only the log has.
func refusals(t testing.TB, d *door) map[string]struct {
	token, reason string
	changes       url.Values
} {
	t.Helper()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(d.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	claims := map[string]any{"iss": issuerURL, "sub": subject, "aud": cluster, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	good := d.token(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`))
	admin := d.token(map[string]any{"sub": "system:serviceaccount:kube-system:admin"})
	type refusal = struct {
		token, reason string
		changes       url.Values
	}
	return map[string]refusal{
		"not a token":                        {token: "hello", reason: trust.Malformed},
		"a token of 17 KiB":                  {token: good + strings.Repeat("A", 17<<10), reason: trust.Malformed},
		"without a signature":                {token: parts[0] + "." + parts[1] + ".", reason: trust.BadSignature},
		"with algorithm none":                {token: none + "." + parts[1] + ".", reason: trust.AlgorithmRefused},
		"with the public key as a secret":    {token: sign(t, jose.HS256, publicPEM, "k1", claims), reason: trust.AlgorithmRefused},
		"signed by somebody else":            {token: sign(t, jose.ES256, stranger, "k1", claims), reason: trust.BadSignature},
		"signed by a key that nobody knows":  {token: sign(t, jose.ES256, stranger, "k2", claims), reason: trust.UnknownKey},
		"with the claims of another token":   {token: parts[0] + "." + strings.Split(admin, ".")[1] + "." + parts[2], reason: trust.BadSignature},
		"of an issuer that is not trusted":   {token: d.token(map[string]any{"iss": "https://c.example"}), reason: trust.UnknownIssuer},
		"for another cluster":                {token: d.token(map[string]any{"aud": "hawser:another"}), reason: trust.WrongAudience},
		"for nobody":                         {token: d.token(map[string]any{"aud": nil}), reason: trust.Malformed},
		"expired":                            {token: d.token(map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-time.Minute).Unix()}), reason: trust.Expired},
		"not yet valid":                      {token: d.token(map[string]any{"nbf": now.Add(time.Hour).Unix()}), reason: trust.NotYetValid},
		"that lives for a year":              {token: d.token(map[string]any{"exp": now.Add(365 * 24 * time.Hour).Unix()}), reason: trust.LifetimeTooLong},
		"that never ends":                    {token: d.token(map[string]any{"exp": nil}), reason: trust.Malformed},
		"of a subject that has no grant":     {token: admin, reason: reasonNotGranted},
		"of a subject that names a prefix":   {token: d.token(map[string]any{"sub": "c:" + subject}), reason: reasonNotGranted},
		"of a subject with a pattern's star": {token: d.token(map[string]any{"sub": "*"}), reason: reasonNotGranted},
		"for the grant of somebody else":     {token: good, reason: reasonNotGranted, changes: url.Values{"scope": {"theirs"}}},
		"for a grant that there is not":      {token: good, reason: reasonNotGranted, changes: url.Values{"scope": {"no-such"}}},
		"for a grant that has ended":         {token: good, reason: reasonGrantEnded, changes: url.Values{"scope": {"ended"}}},
		"for a grant without its account":    {token: good, reason: reasonAccountMissing, changes: url.Values{"scope": {"unmade"}}},
	}
}

func refusingDoor(t testing.TB) *door {
	t.Helper()
	return newDoor(t,
		granted("ci", time.Hour, named(subject)),
		granted("theirs", time.Hour, named("system:serviceaccount:shop:other")),
		changed(granted("ended", time.Hour, named(subject)), func(g *v1alpha1.AccessGrant) { g.Spec.EndsAt = &metav1.Time{Time: now.Add(-time.Second)} }),
		changed(granted("unmade", time.Hour, named(subject)), func(g *v1alpha1.AccessGrant) { g.Status.Accounts = nil }),
	)
}

func TestEveryRefusalLooksTheSameFromOutside(t *testing.T) {
	d := refusingDoor(t)
	for name, test := range refusals(t, d) {
		t.Run(name, func(t *testing.T) {
			w := d.ask(test.token, test.changes)
			if w.Code != http.StatusBadRequest || w.Body.String() != `{"error":"invalid_request","error_description":"the token was not accepted"}`+"\n" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			line := d.log.mustLast(t, "token refused")
			if line["reason"] != test.reason {
				t.Errorf("the log says %v, want %s", line, test.reason)
			}
			if len(test.token) > 20 && strings.Contains(d.log.all(), test.token) {
				t.Error("the log has the token")
			}
		})
	}
}

func TestTroubleOfTheAPIServerIsToldApart(t *testing.T) {
	accounts := schema.GroupResource{Resource: "serviceaccounts"}
	tests := map[string]struct {
		fails error
		code  int
		said  string
	}{
		"the account is gone":          {apierrors.NewNotFound(accounts, "x"), http.StatusBadRequest, "the token was not accepted"},
		"the gate may not mint":        {apierrors.NewForbidden(accounts, "x", errors.New("no role")), http.StatusServiceUnavailable, "try again later"},
		"the API server is overloaded": {apierrors.NewTooManyRequests("x", 1), http.StatusServiceUnavailable, "try again later"},
		"the API server is gone":       {errors.New("dial tcp: refused"), http.StatusServiceUnavailable, "try again later"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, granted("ci", time.Hour, named(subject)))
			d.fails = test.fails
			w := d.ask(d.token(nil), nil)
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.said) {
				t.Errorf("got %d %s, want %d with %q", w.Code, w.Body, test.code, test.said)
			}
			if later := w.Header().Get("Retry-After"); (later != "") != (test.code == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After is %q", later)
			}
			if strings.Contains(w.Body.String(), test.fails.Error()) {
				t.Error("the other side is told what is wrong here")
			}
		})
	}
}

func TestAudienceOfAnotherClusterIsAnInvalidTarget(t *testing.T) {
	d := newDoor(t, granted("ci", time.Hour, named(subject)))
	if w := d.ask(d.token(nil), url.Values{"audience": {"hawser:another"}}); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalid_target") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestOnlyVerifiedTokensAreCharged(t *testing.T) {
	d := refusingDoor(t)
	d.limits = newLimiter(Limits{Issuer: Limit{0.001, 2}, Subject: Limit{0.001, 1}})
	for range 50 {
		for name, test := range refusals(t, d) {
			if !slices.Contains([]string{reasonNotGranted, reasonGrantEnded, reasonAccountMissing}, test.reason) {
				if w := d.ask(test.token, test.changes); w.Code != http.StatusBadRequest {
					t.Fatalf("%s: got %d", name, w.Code)
				}
			}
		}
	}
	if w := d.ask(d.token(nil), nil); w.Code != http.StatusOK {
		t.Errorf("after junk of others: got %d %s", w.Code, w.Body)
	}
	w := d.ask(d.token(nil), nil)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1000" {
		t.Errorf("the second: got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	d.clk.Step(1000 * time.Second)
	if w := d.ask(d.token(nil), nil); w.Code != http.StatusOK {
		t.Errorf("after what Retry-After says: got %d", w.Code)
	}
}

func TestIssuerThatMayNotBeBelieved(t *testing.T) {
	tests := map[string]func(ti *v1alpha1.TrustedIssuer){
		"is not Ready":                   func(ti *v1alpha1.TrustedIssuer) { ti.Status.Conditions[0].Status = metav1.ConditionFalse },
		"was never judged":               func(ti *v1alpha1.TrustedIssuer) { ti.Status = v1alpha1.TrustedIssuerStatus{} },
		"was edited since it was judged": func(ti *v1alpha1.TrustedIssuer) { ti.Generation = 2 },
		"is being deleted":               func(ti *v1alpha1.TrustedIssuer) { ti.DeletionTimestamp = &metav1.Time{Time: now} },
		"has a rule that no token holds": func(ti *v1alpha1.TrustedIssuer) {
			ti.Generation, ti.Status.ObservedGeneration = 2, 2
			ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "false"}}
		},
		"has a rule that nobody can read": func(ti *v1alpha1.TrustedIssuer) {
			ti.Generation, ti.Status.ObservedGeneration = 2, 2
			ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "claims."}}
		},
		"has a key that is another one since now": func(ti *v1alpha1.TrustedIssuer) {
			ti.Generation, ti.Status.ObservedGeneration = 2, 2
			ti.Spec.JWKS = `{"keys":[]}`
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, granted("ci", time.Hour, named(subject)))
			if w := d.ask(d.token(nil), nil); w.Code != http.StatusOK {
				t.Fatalf("before: got %d", w.Code)
			}
			ti := d.issuer("b")
			change(ti)
			d.issuers.set(ti)
			if w := d.ask(d.token(nil), nil); w.Code != http.StatusBadRequest {
				t.Errorf("got %d", w.Code)
			}
			d.issuers.set(d.issuer("b"))
			if w := d.ask(d.token(nil), nil); w.Code != http.StatusOK {
				t.Errorf("when it is as before: got %d", w.Code)
			}
			d.issuers.remove("b")
			if w := d.ask(d.token(nil), nil); w.Code != http.StatusBadRequest {
				t.Errorf("when it is deleted: got %d", w.Code)
			}
		})
	}
}

func TestNotedUseChangesNoTrust(t *testing.T) {
	d := newDoor(t)
	before := d.issuers.believed.Load()
	ti := d.issuer("b")
	ti.Status.LastUse = &metav1.Time{Time: now}
	ti.Status.LastFailure = &v1alpha1.IssuerFailure{Reason: trust.Expired}
	d.issuers.set(ti)
	if d.issuers.believed.Load() != before {
		t.Error("rules and keys were read anew")
	}
	ti = d.issuer("b")
	ti.UID = "another"
	d.issuers.set(ti)
	if d.issuers.believed.Load() == before {
		t.Error("another object of the same name was taken for the old one")
	}
}

func TestRefusalsDoNotFillTheDisk(t *testing.T) {
	d := newDoor(t)
	for range 1000 {
		d.ask("junk", nil)
	}
	if n := strings.Count(d.log.all(), "token refused"); n != refusalsLogged.Burst {
		t.Errorf("%d lines for 1000 refusals, want %d", n, refusalsLogged.Burst)
	}
	d.clk.Step(time.Second)
	d.ask("junk", nil)
	if line := d.log.mustLast(t, "token refused"); line["notLogged"] != 900. {
		t.Errorf("the next line does not count those that are missing: %v", line)
	}
}

func TestBusyGateAsksToComeBack(t *testing.T) {
	d := newDoor(t, granted("ci", time.Hour, named(subject)))
	d.turns = make(chan struct{})                                        // no room at all
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // sooner than its patience ends
	defer cancel()
	f := form(nil)
	f.Set("subject_token", d.token(nil))
	if w := d.postBody(ctx, f.Encode()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestPanicIsAnsweredAndLogged(t *testing.T) {
	d := newDoor(t)
	d.issuers.believed.Store(nil) // whatever it may be
	if w := d.ask("a.b.c", nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
	d.log.mustLast(t, "answering an exchange")
}
