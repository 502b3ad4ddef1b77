package trust

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/go-jose/go-jose/v4"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func FuzzToken(f *testing.F) {
	s := rsaSigner(0)
	good := s.sign(f, claims(nil))
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add(forge(f, map[string]any{"alg": "none"}, claims(nil), func(string) []byte { return nil }))
	f.Add(forge(f, map[string]any{"alg": "RS256", "kid": "rsa-0", "jwk": s.public(), "x5c": []string{"AAAA"}, "crit": []string{"b64"}, "b64": false}, claims(nil), func(string) []byte { return nil }))
	f.Add(`{"payload":"","signatures":[]}`)
	f.Add("..")
	issuer := mustNew(f, trusted(f, s))
	f.Fuzz(func(t *testing.T, token string) {
		id, err := issuer.Verify(token, noon)
		if err == nil {
			if id.User != "cluster-b:system:serviceaccount:shop:deployer" { // the only one that was ever signed
				t.Errorf("a token of nobody is of %q", id.User)
			}
			return
		}
		if reasonOf(t, err) == "" {
			t.Error("it is refused for no reason")
		}
		if len(parts[2]) > 20 && strings.Contains(err.Error(), parts[2]) {
			t.Error("the error quotes the signature")
		}
	})
}

// Whatever an issuer signs, its users stay behind its prefix.
func FuzzClaims(f *testing.F) {
	s := edSigner(f, "ed")
	ti := trusted(f, s)
	ti.Spec.Username, ti.Spec.Groups = "claims.sub + claims.?suffix.orValue('')", "claims.?groups.orValue([])"
	ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "dyn(claims.?list.orValue([])).all(x, x != claims.sub)"}}
	issuer := mustNew(f, ti)
	f.Add(marshal(f, claims(nil)))
	f.Add(marshal(f, claims(map[string]any{"groups": []string{"system:masters"}, "suffix": "x", "list": []any{1, "a", nil, map[string]any{}}})))
	f.Add(`{"iss":"https://b.example.com","sub":"\u0000","aud":"hawser:0123","iat":1e300,"exp":-1}`)
	f.Add(strings.Repeat("[", 5000))
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		signed, err := js.Sign([]byte(payload))
		if err != nil {
			t.Skip()
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Skip()
		}
		id, err := issuer.Verify(token, noon)
		if err != nil {
			reasonOf(t, err)
			return
		}
		for _, name := range append(id.Groups, id.User) {
			rest, ok := strings.CutPrefix(name, "cluster-b:")
			if !ok || rest == "" || len([]rune(rest)) > maxName || strings.ContainsFunc(rest, unicode.IsControl) {
				t.Errorf("a name got out: %q", name)
			}
		}
	})
}

func FuzzJWKS(f *testing.F) {
	s := rsaSigner(0)
	f.Add(jwks(f, s, ecSigner(f, "ec"), edSigner(f, "ed")))
	f.Add(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"},null,7]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":""}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseJWKS([]byte(text))
		if err != nil {
			return
		}
		// What was read is kept, and read again as the same.
		ti := trusted(t)
		ti.Spec.JWKS = ""
		ti.Status.Keys = KeepKeys(ti, keys, noon)
		kept := fetchedKeys(ti)
		if len(kept) != len(keys) {
			t.Fatalf("%d keys were kept of %d", len(kept), len(keys))
		}
		for _, k := range kept {
			if !json.Valid([]byte(ti.Status.Keys[0].JWK)) || len(k.Thumbprint) != 43 || k.Algorithm == "" {
				t.Errorf("a key was kept as %+v", k)
			}
		}
	})
}

func FuzzRule(f *testing.F) {
	f.Add("claims.sub == 'x'")
	f.Add("dyn(claims.list).all(x, dyn(claims.list).exists(y, x == y))")
	f.Add("'%s'.format([claims.sub]).matches('^(a+)+$')")
	f.Add("claims.?a.b[?0].hasValue()")
	f.Add("[1,2,3].map(x, [1,2,3].map(y, x*y)).size() > 2 // why")
	all := map[string]any{"sub": "a", "list": []any{"a", 1.0, nil, []any{}}, "a": map[string]any{"b": []any{true}}}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1024 {
			t.Skip()
		}
		m, err := newMapping(&v1alpha1.TrustedIssuerSpec{ClaimRules: []v1alpha1.ClaimRule{{Expression: text}}, Username: text, Groups: text})
		if err != nil {
			m, err = newMapping(&v1alpha1.TrustedIssuerSpec{ClaimRules: []v1alpha1.ClaimRule{{Expression: text}}})
		}
		if err != nil {
			return
		}
		_ = m.apply(&token{claims: all, subject: "a"}, "cluster-b:", &Identity{})
	})
}
