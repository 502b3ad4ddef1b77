package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/oidc"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

var clk = clock.RealClock{}

// issuer signs tokens as some party that others trust.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, url string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{url, key}
}

// sign makes a token that is good for life from now on.
func (i *issuer) sign(t *testing.T, subject string, life time.Duration, audience ...string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.url, Subject: subject, Audience: audience, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)), ID: rand.Text(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verify checks a token of the issuer.
func (i *issuer) verify(token, audience string) (subject string, err error) {
	return verify(token, i.url, audience, i.key.Public())
}

func verify(token, url, audience string, key any) (subject string, err error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return "", err
	}
	var claims jwt.Claims
	if err := parsed.Claims(key, &claims); err != nil {
		return "", err
	}
	if !slices.Equal(claims.Audience, jwt.Audience{audience}) {
		return "", fmt.Errorf("it is for %v, not %s", claims.Audience, audience)
	}
	return claims.Subject, claims.Validate(jwt.Expected{Issuer: url, Time: time.Now()})
}

// verifyLocal checks a token of the local cluster, by the keys that it publishes.
func verifyLocal(c *fleettest.Cluster, token, audience string) (string, error) {
	raw, err := c.Client().Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(context.Background())
	if err != nil {
		return "", err
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &keys); err != nil {
		return "", err
	}
	return verify(token, c.Server, audience, &keys)
}

// serve starts an HTTPS server, whose handler reports what it does not like by an error.
func serve(t *testing.T, handler func(r *http.Request) (answer any, err error)) (server *httptest.Server, ca []byte) {
	t.Helper()
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, err := handler(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]string{"error": "invalid_request", "error_description": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// fixed says that the audience never changes.
func fixed(audience string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return audience, nil }
}

// written puts a token into a file of a directory, as the kubelet does: by links.
func written(t *testing.T, dir, name, token string) {
	t.Helper()
	data := filepath.Join(dir, "..data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, name), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// requests counts what is asked of a cluster, with an admin's rights.
type requests struct {
	cluster   *fleettest.Cluster
	namespace string
	asked     []string
	answer    func(*authenticationv1.TokenRequest) // changes an answer. May be nil
}

func (r *requests) CreateToken(ctx context.Context, account string, request *authenticationv1.TokenRequest, opts metav1.CreateOptions) (*authenticationv1.TokenRequest, error) {
	r.asked = append(r.asked, account)
	answer, err := r.cluster.Client().CoreV1().ServiceAccounts(r.namespace).CreateToken(ctx, account, request, opts)
	if err == nil && r.answer != nil {
		r.answer(answer)
	}
	return answer, err
}

// local is a ServiceAccount of a fresh namespace of the primary cluster.
func local(t *testing.T) (oidc.ServiceAccount, *requests, *fleettest.Cluster) {
	t.Helper()
	primary := fleettest.Use(t, "primary")
	r := &requests{cluster: primary, namespace: primary.Namespace(t)}
	return oidc.ServiceAccount{
		Requests: r, Namespace: r.namespace, Own: func(context.Context) (string, error) { return "default", nil }, Clock: clk,
	}, r, primary
}

// hasReason fails unless an error is an InputError of a reason, with words in it and no token.
func hasReason(t *testing.T, err error, reason string, words ...string) {
	t.Helper()
	var in *credential.InputError
	if err == nil {
		t.Fatalf("no error, want %s", reason)
	}
	if !asInput(err, &in) || in.Reason != reason {
		t.Errorf("the error is %#v (%v), want the reason %s", err, err, reason)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error lacks %q: %v", word, err)
		}
	}
	if strings.Contains(err.Error(), "eyJ") {
		t.Errorf("the error shows a token: %v", err)
	}
}
