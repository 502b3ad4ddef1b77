package gate

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	cluster   = "hawser:0a1b"
	issuerURL = "https://b.example"
	mintedFor = "minted-for-" // what the door's API server answers: this and the account
)

// door is an exchange without a cluster: an issuer whose key the test holds, grants as they are given,
// and an API server that mints for any account.
type door struct {
	*exchanger
	t     testing.TB
	clk   *clocktesting.FakeClock
	key   *ecdsa.PrivateKey
	log   *lines
	fails error         // of the API server
	life  time.Duration // that was last asked of it
}

func newDoor(t testing.TB, grants ...*v1alpha1.AccessGrant) *door {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, clk: clocktesting.NewFakeClock(now), key: key, log: &lines{}}
	kube := fake.NewClientset()
	kube.PrependReactor("create", "serviceaccounts/token", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create := action.(clienttesting.CreateActionImpl)
		asked := create.GetObject().(*authenticationv1.TokenRequest)
		d.life = time.Duration(*asked.Spec.ExpirationSeconds) * time.Second
		asked.Status = authenticationv1.TokenRequestStatus{Token: mintedFor + create.Name, ExpirationTimestamp: metav1.NewTime(d.clk.Now().Add(d.life))}
		return true, asked, d.fails
	})
	log := d.log.logger()
	d.exchanger = &exchanger{
		issuers: newIssuers(cluster, log), grants: newGrants(), kube: kube, clock: d.clk, log: log, book: newBook(log),
		limits: newLimiter(Limits{Issuer: Limit{1e6, 1e6}, Subject: Limit{1e6, 1e6}}), reports: newReports(nil, d.clk, log),
		figures: newFigures(d.clk.Now), turns: make(chan struct{}, inFlight),
	}
	d.issuers.set(d.issuer("b"))
	for _, g := range grants {
		d.grants.set(g)
	}
	return d
}

// issuer is a TrustedIssuer as its controller leaves it.
func (d *door) issuer(name string) *v1alpha1.TrustedIssuer {
	d.t.Helper()
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: d.key.Public(), KeyID: "k1", Algorithm: string(jose.ES256), Use: "sig"}}})
	if err != nil {
		d.t.Fatal(err)
	}
	return &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: issuerURL, Prefix: name + ":", JWKS: string(jwks)},
		Status: v1alpha1.TrustedIssuerStatus{
			ObservedGeneration: 1,
			Conditions:         []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTrusted}},
		},
	}
}

// token signs a token of subject, valid for half an hour from now, with changes: a nil value takes a claim away.
func (d *door) token(changes map[string]any) string {
	d.t.Helper()
	claims := map[string]any{
		"iss": issuerURL, "sub": subject, "aud": []string{cluster}, "jti": "id-1",
		"iat": d.clk.Now().Unix(), "exp": d.clk.Now().Add(30 * time.Minute).Unix(),
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return sign(d.t, jose.ES256, d.key, "k1", claims)
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// post sends a form.
func (d *door) post(f url.Values) *httptest.ResponseRecorder {
	d.t.Helper()
	return d.postBody(d.t.Context(), f.Encode())
}

func (d *door) postBody(ctx context.Context, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// ask exchanges a token.
func (d *door) ask(token string, changes url.Values) *httptest.ResponseRecorder {
	d.t.Helper()
	f := form(changes)
	f.Set("subject_token", token)
	return d.post(f)
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) logger() logr.Logger { return logr.FromSlogHandler(newJSON(l)) }

// Write implements io.Writer.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(line))
	return len(line), nil
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "")
}

// last returns the fields of the last line with a message.
func (l *lines) last(message string) (map[string]any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.text) - 1; i >= 0; i-- {
		var fields map[string]any
		if err := json.Unmarshal([]byte(l.text[i]), &fields); err != nil {
			return nil, err
		}
		if fields["msg"] == message {
			return fields, nil
		}
	}
	return nil, errors.New("no line with the message " + message)
}

func (l *lines) mustLast(t testing.TB, message string) map[string]any {
	t.Helper()
	fields, err := l.last(message)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}
