package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestVerifyTellsWhoseATokenIs(t *testing.T) {
	signers := []signer{rsaSigner(0), ecSigner(t, "ec"), edSigner(t, "ed")}
	ti := trusted(t, signers...)
	ti.Spec.Groups = "['namespace:' + claims['kubernetes.io'].namespace]"
	issuer := mustNew(t, ti)
	for _, s := range signers {
		got, err := issuer.Verify(s.sign(t, claims(nil)), noon.Add(time.Minute))
		if err != nil {
			t.Fatalf("%s: %v", s.alg, err)
		}
		want := Identity{
			Issuer: "b", Subject: "system:serviceaccount:shop:deployer", User: "cluster-b:system:serviceaccount:shop:deployer",
			Groups: []string{"cluster-b:namespace:shop"}, TokenID: "token-1", IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.alg, diff)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	good, other := rsaSigner(0), rsaSigner(1)
	publicPEM := func() []byte {
		der, err := x509.MarshalPKIXPublicKey(good.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}()
	hs256 := func(key []byte) func(string) []byte {
		return func(text string) []byte {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(text))
			return mac.Sum(nil)
		}
	}
	none := func(string) []byte { return nil }
	with := func(key string, value any) map[string]any { return claims(map[string]any{key: value}) }
	impostor := other
	impostor.kid = good.kid
	nameless := good
	nameless.kid = ""
	ps256 := good
	ps256.alg = jose.PS256
	parts := strings.Split(good.sign(t, claims(nil)), ".")
	tests := []struct {
		name, token, want string
		at                time.Time // noon and a minute, where it is zero
	}{
		{name: "no text", token: "", want: Malformed},
		{name: "a text without dots", token: "hunter2", want: Malformed},
		{name: "four parts", token: good.sign(t, claims(nil)) + ".x", want: Malformed},
		{name: "a token with a line break", token: parts[0] + "\n." + parts[1] + "." + parts[2], want: Malformed},
		{name: "the JSON serialization", token: `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, want: Malformed},
		{name: "a huge token", token: good.sign(t, with("padding", strings.Repeat("x", MaxTokenSize))), want: Malformed},
		{name: "claims that are no object", token: good.signText(t, `["iss"]`, nil), want: Malformed},
		{name: "a claim that comes twice", token: good.signText(t, strings.Replace(marshal(t, claims(nil)), "{", `{"sub":"system:serviceaccount:kube-system:root",`, 1), nil), want: Malformed},
		{name: "an extension that must be understood", token: forge(t, map[string]any{"alg": "RS256", "kid": good.kid, "crit": []string{"x"}, "x": 1}, claims(nil), none), want: Malformed},
		{name: "a payload that is not encoded", token: forge(t, map[string]any{"alg": "RS256", "kid": good.kid, "b64": true}, claims(nil), none), want: Malformed},
		{name: "a token of another purpose", token: good.signText(t, marshal(t, claims(nil)), map[jose.HeaderKey]any{"typ": "logout+jwt"}), want: Malformed},

		{name: "alg none", token: forge(t, map[string]any{"alg": "none", "kid": good.kid}, claims(nil), none), want: AlgorithmRefused},
		{name: "alg None", token: forge(t, map[string]any{"alg": "None", "kid": good.kid}, claims(nil), none), want: AlgorithmRefused},
		{name: "no alg", token: forge(t, map[string]any{"kid": good.kid}, claims(nil), none), want: AlgorithmRefused},
		{name: "HS256 with the public key in PEM", token: forge(t, map[string]any{"alg": "HS256", "kid": good.kid}, claims(nil), hs256(publicPEM)), want: AlgorithmRefused},
		{name: "HS256 with the modulus", token: forge(t, map[string]any{"alg": "HS256", "kid": good.kid}, claims(nil), hs256(rsaKeys()[0].N.Bytes())), want: AlgorithmRefused},

		{name: "another issuer", token: good.sign(t, with("iss", "https://c.example.com")), want: UnknownIssuer},
		{name: "the issuer with a slash", token: good.sign(t, with("iss", issuerURL+"/")), want: UnknownIssuer},
		{name: "no issuer", token: good.sign(t, with("iss", nil)), want: Malformed},

		{name: "a key that the issuer does not have", token: other.sign(t, claims(nil)), want: UnknownKey},
		{name: "a key that the token brings along", token: forge(t, map[string]any{"alg": "RS256", "kid": "mine", "jwk": other.public()}, claims(nil), none), want: UnknownKey},
		{name: "an algorithm that the key does not sign with", token: ps256.sign(t, claims(nil)), want: UnknownKey},
		{name: "another key under the name of a good one", token: impostor.sign(t, claims(nil)), want: BadSignature},
		{name: "no signature", token: parts[0] + "." + parts[1] + ".", want: BadSignature},
		{name: "the signature of other claims", token: parts[0] + "." + strings.Split(good.sign(t, with("sub", "root")), ".")[1] + "." + parts[2], want: BadSignature},

		{name: "another audience", token: good.sign(t, with("aud", "https://kubernetes.default.svc")), want: WrongAudience},
		{name: "the audience of another cluster", token: good.sign(t, with("aud", []string{"hawser:4567"})), want: WrongAudience},
		{name: "no audience", token: good.sign(t, with("aud", []string{})), want: WrongAudience},
		{name: "an audience that is no text", token: good.sign(t, with("aud", []any{audience, 1})), want: Malformed},
		{name: "aud missing", token: good.sign(t, with("aud", nil)), want: Malformed},

		{name: "an expired token", token: good.sign(t, claims(nil)), at: noon.Add(time.Hour + Leeway), want: Expired},
		{name: "a token just within the leeway", token: good.sign(t, claims(nil)), at: noon.Add(time.Hour + Leeway - time.Second), want: ""},
		{name: "a token of the future", token: good.sign(t, claims(nil)), at: noon.Add(-Leeway - time.Second), want: NotYetValid},
		{name: "a token that is valid later", token: good.sign(t, with("nbf", noon.Add(10*time.Minute).Unix())), want: NotYetValid},
		{name: "a token that will be issued", token: good.sign(t, claims(map[string]any{"nbf": nil, "iat": noon.Add(10 * time.Minute).Unix()})), want: NotYetValid},
		{name: "one without nbf", token: good.sign(t, with("nbf", nil)), want: ""},
		{name: "a token without an end", token: good.sign(t, with("exp", nil)), want: Malformed},
		{name: "a token without a beginning", token: good.sign(t, with("iat", nil)), want: Malformed},
		{name: "an end that is a text", token: good.sign(t, with("exp", "2099")), want: Malformed},
		{name: "an end beyond all years", token: good.sign(t, with("exp", 1e300)), want: Malformed},
		{name: "an end in the year 10000", token: good.sign(t, with("exp", 253402300800)), want: Malformed},
		{name: "an end before the beginning", token: good.sign(t, with("exp", noon.Add(-time.Hour).Unix())), want: Malformed},
		{name: "a token that lives for a day", token: good.sign(t, with("exp", noon.Add(24*time.Hour).Unix())), want: LifetimeTooLong},

		{name: "no subject", token: good.sign(t, with("sub", nil)), want: Malformed},
		{name: "an empty subject", token: good.sign(t, with("sub", "")), want: Malformed},
		{name: "a subject that is a number", token: good.sign(t, with("sub", 7)), want: Malformed},
		{name: "a subject that is too long", token: good.sign(t, with("sub", strings.Repeat("s", 513))), want: SubjectRefused},
		{name: "a subject with a line break", token: good.sign(t, with("sub", "a\nb")), want: SubjectRefused},
		{name: "a subject with NUL", token: good.sign(t, with("sub", "a\x00b")), want: SubjectRefused},
		{name: "a subject that turns the writing", token: good.sign(t, with("sub", "a\u202Eb")), want: SubjectRefused},
		{name: "a subject that is no text in bytes", token: good.signText(t, strings.Replace(marshal(t, claims(nil)), "deployer", "\xff", 1), nil), want: SubjectRefused},
	}
	issuer := mustNew(t, trusted(t, good))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := tt.at
			if at.IsZero() {
				at = noon.Add(time.Minute)
			}
			_, err := issuer.Verify(tt.token, at)
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("it is refused as %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && len(parts[2]) > 0 && (strings.Contains(err.Error(), parts[0]) || strings.Contains(err.Error(), parts[2])) {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
	t.Run("a token that names no key is of the only one", func(t *testing.T) {
		if _, err := issuer.Verify(nameless.sign(t, claims(nil)), noon); err != nil {
			t.Error(err)
		}
		two := mustNew(t, trusted(t, good, other))
		_, err := two.Verify(nameless.sign(t, claims(nil)), noon)
		if got := reasonOf(t, err); got != UnknownKey {
			t.Errorf("among two keys it is refused as %q, want %q", got, UnknownKey)
		}
	})
}

// A curve that the algorithm does not belong to never gets to the arithmetic.
func TestVerifyRefusesAnotherCurve(t *testing.T) {
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{k, jose.ES384, "p384"}
	issuer := mustNew(t, trusted(t, s))
	token := forge(t, map[string]any{"alg": "ES256", "kid": "p384"}, claims(nil), func(string) []byte { return make([]byte, 64) })
	if _, err := issuer.Verify(token, noon); reasonOf(t, err) != UnknownKey {
		t.Errorf("it is refused as %v, want %s", err, UnknownKey)
	}
}

func TestAnEditThatNobodyJudgedIsNotTrusted(t *testing.T) {
	s := rsaSigner(0)
	ti := ready(trusted(t, s))
	ti.Generation, ti.Status.ObservedGeneration = 2, 1
	_, err := mustNew(t, ti).Verify(s.sign(t, claims(nil)), noon)
	if got := reasonOf(t, err); got != NotJudged {
		t.Errorf("it is refused as %q, want %q", got, NotJudged)
	}
	ti.Status.ObservedGeneration = 2
	if _, err := mustNew(t, ti).Verify(s.sign(t, claims(nil)), noon); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesWhatCannotBeTrusted(t *testing.T) {
	s := rsaSigner(0)
	tests := []struct {
		name string
		edit func(*v1alpha1.TrustedIssuer)
	}{
		{"an empty prefix", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix = "" }},
		{"the prefix of Kubernetes", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix = "system:" }},
		{"a prefix without a colon", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix = "system" }},
		{"a prefix with two colons", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix = "system:x:" }},
		{"plain http", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.URL = "http://b.example.com" }},
		{"keys that are none", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.JWKS = "{" }},
		{"a secret key", func(ti *v1alpha1.TrustedIssuer) {
			ti.Spec.JWKS = marshal(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key, KeyID: "x", Algorithm: "RS256"}}})
		}},
		{"a rule that does not compile", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "claims."}} }},
		{"a rule that gives a text", func(ti *v1alpha1.TrustedIssuer) {
			ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "'yes'"}}
		}},
		{"a rule that gives whatever the token says", func(ti *v1alpha1.TrustedIssuer) {
			ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "claims.admin"}}
		}},
		{"a name that is a number", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Username = "size(claims.sub)" }},
		{"groups that are one text", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Groups = "'admins'" }},
		{"an address that nobody verified", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Username = "claims.email" }},
		{"an address that nobody verified, in brackets", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Username = "claims['email']" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ti := trusted(t, s)
			tt.edit(ti)
			if _, err := New(ti, audience); err == nil {
				t.Error("it is taken")
			}
		})
	}
	t.Run("no audience", func(t *testing.T) {
		if _, err := New(trusted(t, s), ""); err == nil {
			t.Error("it is taken")
		}
	})
	t.Run("an address that a rule looks at is fine", func(t *testing.T) {
		ti := trusted(t, s)
		ti.Spec.Username, ti.Spec.ClaimRules = "claims.email", []v1alpha1.ClaimRule{{Expression: "claims.email_verified == true"}}
		if _, err := New(ti, audience); err != nil {
			t.Error(err)
		}
	})
}

func TestASetTellsIssuersApart(t *testing.T) {
	b, c := rsaSigner(0), rsaSigner(1)
	b.kid, c.kid = "1", "1" // both call their key the same
	tb, tc := trusted(t, b), trusted(t, c)
	tc.Name, tc.Spec.URL, tc.Spec.Prefix = "c", "https://c.example.com", "cluster-c:"
	set := NewSet(mustNew(t, tb), mustNew(t, tc))
	ofC := claims(map[string]any{"iss": "https://c.example.com"})

	id, err := set.Verify(c.sign(t, ofC), noon)
	if err != nil || id.User != "cluster-c:system:serviceaccount:shop:deployer" {
		t.Errorf("a token of c is of %q, error %v", id.User, err)
	}
	if _, err := set.Verify(b.sign(t, ofC), noon); reasonOf(t, err) != BadSignature {
		t.Errorf("b's key for c's issuer: %v", err)
	}
	if _, err := set.Verify(b.sign(t, claims(map[string]any{"iss": "https://d.example.com"})), noon); reasonOf(t, err) != UnknownIssuer {
		t.Errorf("an issuer that nobody trusts: %v", err)
	}
	// A subject that begins with the prefix of another stays behind its own.
	id, err = set.Verify(b.sign(t, claims(map[string]any{"sub": "cluster-c:root"})), noon)
	if err != nil || id.User != "cluster-b:cluster-c:root" {
		t.Errorf("a subject with another's prefix is %q, error %v", id.User, err)
	}
}

func TestASetBelievesTheOlderOfTwo(t *testing.T) {
	old, young := rsaSigner(0), rsaSigner(1)
	for name, edit := range map[string]func(*v1alpha1.TrustedIssuer){
		"the same url":                       func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix = "young:" },
		"the same url in another spelling":   func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Prefix, ti.Spec.URL = "young:", "https://B.example.com:443/" },
		"the same prefix and another issuer": func(ti *v1alpha1.TrustedIssuer) { ti.Spec.URL = "https://young.example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := trusted(t, old), trusted(t, young)
			first.CreationTimestamp, second.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)), metav1.NewTime(noon)
			second.Name = "a"
			edit(second)
			set := NewSet(mustNew(t, second), mustNew(t, first))
			if _, err := set.Verify(old.sign(t, claims(nil)), noon); err != nil {
				t.Errorf("the older: %v", err)
			}
			if _, err := set.Verify(young.sign(t, claims(map[string]any{"iss": second.Spec.URL})), noon); err == nil {
				t.Error("the younger is believed")
			}
		})
	}
}
