package trust

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestParseJWKS(t *testing.T) {
	good := rsaSigner(0)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	one := marshal(t, good.public())
	with := func(old, next string) string {
		text := strings.Replace(one, old, next, 1)
		if text == one {
			t.Fatalf("%s does not contain %s", one, old)
		}
		return text
	}
	huge := base64.RawURLEncoding.EncodeToString(new(big.Int).SetBit(big.NewInt(1), 200_000, 1).Bytes())
	tests := []struct {
		name string
		keys string // of the list
		text string // instead of it
		want int
		bad  bool
	}{
		{name: "one key", keys: one, want: 1},
		{name: "the same key twice", keys: one + "," + one, want: 1},
		{name: "EC and Ed25519", keys: marshal(t, ecSigner(t, "a").public()) + "," + marshal(t, edSigner(t, "b").public()), want: 2},
		{name: "no algorithm", keys: with(`"alg":"RS256",`, ``), want: 1},
		{name: "no purpose", keys: with(`"use":"sig",`, ``), want: 1},
		{name: "a key for encryption", keys: with(`"use":"sig"`, `"use":"enc"`)},
		{name: "a key that may not verify", keys: with(`"use":"sig"`, `"key_ops":["encrypt"]`)},
		{name: "an algorithm of another kind of key", keys: with(`"RS256"`, `"ES256"`)},
		{name: "an algorithm with a shared secret", keys: with(`"RS256"`, `"HS256"`)},
		{name: "a kind that is not known", keys: with(`"RSA"`, `"PQC"`) + "," + one, want: 1},
		{name: "a key that is no object", keys: `7,` + one, want: 1},
		{name: "numbers that are none", keys: with(`"n":"`, `"n":"!!`)},
		{name: "a weak key", keys: marshal(t, jose.JSONWebKey{Key: weak.Public(), Algorithm: "RS256"})},
		{name: "a key that takes long to verify with", keys: fmt.Sprintf(`{"kty":"RSA","alg":"RS256","e":"AQAB","n":%q}`, huge)},
		{name: "an even exponent", keys: with(`"e":"AQAB"`, `"e":"AQAA"`)},
		{name: "a point off the curve", keys: `{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`},
		{name: "a name without an end", keys: with(`"kid":"`, `"kid":"`+strings.Repeat("k", 600))},
		{name: "none", keys: ``},
		{name: "a secret key", keys: marshal(t, jose.JSONWebKey{Key: good.key, Algorithm: "RS256"}), bad: true},
		{name: "a secret key of a curve", keys: marshal(t, jose.JSONWebKey{Key: ecSigner(t, "a").key, Algorithm: "ES256"}), bad: true},
		{name: "a shared secret", keys: `{"kty":"oct","k":"c2VjcmV0"}`, bad: true},
		{name: "no JSON", text: `keys`, bad: true},
		{name: "a list", text: `[]`, bad: true},
		{name: "more keys than anybody has", keys: strings.Repeat(`{"kty":"x"},`, MaxKeys) + one, bad: true},
		{name: "a huge document", text: `{"keys":[` + one + `],"x":"` + strings.Repeat("x", MaxJWKSSize) + `"}`, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if text == "" {
				text = `{"keys":[` + tt.keys + `]}`
			}
			begin := time.Now()
			keys, err := ParseJWKS([]byte(text))
			if (err != nil) != tt.bad || len(keys) != tt.want {
				t.Errorf("%d keys and error %v, want %d and %v", len(keys), err, tt.want, tt.bad)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// RFC 7638, section 3.1.
func TestThumbprintIsThatOfTheRFC(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	keys, err := ParseJWKS([]byte(`{"keys":[{"kty":"RSA","n":"` + n + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}`))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; keys[0].Thumbprint != want {
		t.Errorf("thumbprint %s, want %s", keys[0].Thumbprint, want)
	}
}
