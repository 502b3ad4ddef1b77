package awstest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

// issuer is an OIDC issuer with one key.
type issuer struct {
	*httptest.Server
	key crypto.Signer
	alg jose.SignatureAlgorithm
}

func newIssuer(t *testing.T, alg jose.SignatureAlgorithm) *issuer {
	t.Helper()
	i := &issuer{alg: alg, key: newKey(t, alg)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{string(alg)},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "1", Algorithm: string(alg), Use: "sig"}}})
	})
	i.Server = httptest.NewUnstartedServer(mux)
	i.Config.ErrorLog = log.New(io.Discard, "", 0) // some clients are to refuse it
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

func newKey(t *testing.T, alg jose.SignatureAlgorithm) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == jose.ES256 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (i *issuer) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
}

func (i *issuer) sign(t *testing.T, key crypto.Signer, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: i.alg, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
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

const account = "system:serviceaccount:hawser:manager"

func TestWebIdentity(t *testing.T) {
	tests := []struct {
		name    string
		claims  func(map[string]any)
		prepare func(*world, *issuer)
		token   func(t *testing.T, i *issuer, claims map[string]any) string
		want    string
	}{
		{name: "a good token"},
		{name: "a token for several audiences", claims: func(c map[string]any) { c["aud"] = []string{"other", "sts.amazonaws.com"} }},
		{name: "of another service account", claims: func(c map[string]any) { c["sub"] = "system:serviceaccount:hawser:other" }, want: "AccessDenied"},
		{name: "for an audience that the provider does not know", claims: func(c map[string]any) { c["aud"] = "other" }, want: "InvalidIdentityToken"},
		{name: "for an audience that the trust does not name", claims: func(c map[string]any) { c["aud"] = "second" }, want: "AccessDenied"},
		{name: "expired", claims: func(c map[string]any) { c["exp"] = start.Add(-time.Second).Unix() }, want: "ExpiredTokenException"},
		{name: "not yet valid", claims: func(c map[string]any) { c["nbf"] = start.Add(time.Hour).Unix() }, want: "InvalidIdentityToken"},
		{name: "of an issuer that the account does not know", claims: func(c map[string]any) { c["iss"] = "https://127.0.0.1:1" }, want: "InvalidIdentityToken"},
		{name: "signed by somebody else", want: "InvalidIdentityToken", token: func(t *testing.T, i *issuer, claims map[string]any) string {
			return i.sign(t, newKey(t, i.alg), claims)
		}},
		{name: "with claims that were not signed", want: "InvalidIdentityToken", token: func(t *testing.T, i *issuer, claims map[string]any) string {
			good := strings.Split(i.sign(t, i.key, claims), ".")
			claims["sub"] = "somebody"
			other := strings.Split(i.sign(t, i.key, claims), ".")
			return good[0] + "." + other[1] + "." + good[2]
		}},
		{name: "no token at all", want: "InvalidIdentityToken", token: func(*testing.T, *issuer, map[string]any) string { return "secret" }},
		{name: "a role that does not exist", prepare: func(w *world, _ *issuer) { w.role.Delete() }, want: "AccessDenied"},
		{name: "a role that trusts no web identity", prepare: func(w *world, _ *issuer) {
			w.role.SetTrust(awstest.Trust{Principals: []string{"*"}})
		}, want: "AccessDenied"},
		{name: "an issuer that is down", prepare: func(_ *world, i *issuer) { i.Close() }, want: "IDPCommunicationError"},
		{name: "an issuer with another certificate", prepare: func(w *world, i *issuer) {
			w.target.OIDCProvider(i.URL, fleettest.ForeignCA(w.t).PEM(), "sts.amazonaws.com")
		}, want: "InvalidIdentityToken"},
		{name: "a region that is off", prepare: func(w *world, _ *issuer) { w.DisableRegion(region) }, want: "RegionDisabledException"},
		{name: "throttled", prepare: func(w *world, _ *issuer) { w.Throttle("AssumeRoleWithWebIdentity", 1) }, want: "Throttling"},
	}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256} {
		for _, test := range tests {
			t.Run(string(alg)+" "+test.name, func(t *testing.T) {
				w, i := newWorld(t), newIssuer(t, alg)
				w.target.OIDCProvider(i.URL, i.ca(), "sts.amazonaws.com", "second")
				w.role.SetTrust(awstest.Trust{Federated: []awstest.Federated{{Issuer: i.URL, Subject: account, Audience: "sts.amazonaws.com"}}})
				claims := map[string]any{"iss": i.URL, "sub": account, "aud": "sts.amazonaws.com", "exp": start.Add(time.Hour).Unix()}
				if test.claims != nil {
					test.claims(claims)
				}
				var token string
				if test.token != nil {
					token = test.token(t, i, claims)
				} else {
					token = i.sign(t, i.key, claims)
				}
				if test.prepare != nil {
					test.prepare(w, i)
				}
				creds, err := w.assumeByToken(t, token)
				if code(err) != test.want {
					t.Fatalf("got %v, want %q", err, test.want)
				}
				if err != nil {
					if strings.Contains(err.Error(), token) {
						t.Errorf("the refusal shows the token: %v", err)
					}
					return
				}
				if got, err := w.whoami(t, creds); got != "arn:aws:sts::444455556666:assumed-role/hawser/test" {
					t.Errorf("is %q (%v)", got, err)
				}
			})
		}
	}
}

func (w *world) assumeByToken(t *testing.T, token string) (aws.Credentials, error) {
	t.Helper()
	out, err := w.STS(region, aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: new(w.role.ARN()), RoleSessionName: new("test"), WebIdentityToken: &token,
	})
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{
		AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken,
	}, nil
}
