package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "issuer")) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	issuerURL = "https://b.example.com"
	audience  = "hawser:0123"
)

// signer is an issuer's secret key.
type signer struct {
	key crypto.Signer
	alg jose.SignatureAlgorithm
	kid string
}

// once per program: RSA keys take long to make.
var rsaKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var keys []*rsa.PrivateKey
	for range 2 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

func rsaSigner(i int) signer {
	return signer{rsaKeys()[i], jose.RS256, []string{"rsa-0", "rsa-1"}[i]}
}

func ecSigner(t testing.TB, kid string) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{k, jose.ES256, kid}
}

func edSigner(t testing.TB, kid string) signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{k, jose.EdDSA, kid}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
}

// jwks is the document that an issuer with these keys publishes.
func jwks(t testing.TB, signers ...signer) string {
	t.Helper()
	set := jose.JSONWebKeySet{}
	for _, s := range signers {
		set.Keys = append(set.Keys, s.public())
	}
	return marshal(t, set)
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// claims are those of a good token; with replaces some, and removes what it gives nil for.
func claims(with map[string]any) map[string]any {
	all := map[string]any{
		"iss": issuerURL, "sub": "system:serviceaccount:shop:deployer", "aud": []string{audience}, "jti": "token-1",
		"iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "shop"},
	}
	maps.Copy(all, with)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func (s signer) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return s.signText(t, marshal(t, claims), nil)
}

func (s signer) signText(t testing.TB, payload string, header map[jose.HeaderKey]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: header}
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, o)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := js.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forge makes a token whose signature is whatever sign makes of what is signed.
func forge(t testing.TB, header, claims map[string]any, sign func(signed string) []byte) string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(marshal(t, header))) + "." + enc([]byte(marshal(t, claims)))
	return text + "." + enc(sign(text))
}

// trusted is a TrustedIssuer with keys in its spec.
func trusted(t testing.TB, signers ...signer) *v1alpha1.TrustedIssuer {
	t.Helper()
	ti := &v1alpha1.TrustedIssuer{}
	ti.Name = "b"
	ti.Spec = v1alpha1.TrustedIssuerSpec{URL: issuerURL, Prefix: "cluster-b:", JWKS: jwks(t, signers...)}
	return ti
}

func ready(ti *v1alpha1.TrustedIssuer) *v1alpha1.TrustedIssuer {
	ti.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTrusted}}
	return ti
}

func mustNew(t testing.TB, ti *v1alpha1.TrustedIssuer) *Issuer {
	t.Helper()
	i, err := New(ti, audience)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// reasonOf is "" for a token that was believed.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("the error is no Refusal: %v", err)
	}
	return refusal.Reason
}
