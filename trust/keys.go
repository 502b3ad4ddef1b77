package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Bounds on what an issuer may publish.
const (
	// MaxJWKSSize is the size of the largest document of keys that is read, in bytes.
	MaxJWKSSize = 1 << 20
	// MaxKeys is the largest number of keys in it.
	MaxKeys = 64
	// Smaller RSA keys are weak, and larger ones take long to verify with: the issuer chooses, we pay.
	minRSABits, maxRSABits = 2048, 8192
	// maxKeyID is the size of the largest kid, in bytes.
	maxKeyID = 512
)

// Key is one public key of an issuer.
type Key struct {
	// ID is the kid by which tokens name it.
	ID string
	// Thumbprint is that of RFC 7638, by SHA-256, in base64url.
	Thumbprint string
	// Algorithm that it signs with; RSA for one of the six, where the issuer does not say which.
	Algorithm string

	jwk jose.JSONWebKey
}

// ParseJWKS reads the keys that tokens can be verified with from a document of keys (RFC 7517). Keys
// for another purpose, or of a kind that is not known here, are passed over, as the RFC has it. Secret
// keys are an error: whoever can read them can sign.
func ParseJWKS(text []byte) ([]Key, error) {
	if len(text) > MaxJWKSSize {
		return nil, fmt.Errorf("reading keys: %d bytes are more than %d", len(text), MaxJWKSSize)
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, errors.New("reading keys: this is no JSON Web Key Set (RFC 7517): an object with the list keys")
	}
	if len(document.Keys) > MaxKeys {
		return nil, fmt.Errorf("reading keys: %d are more than %d", len(document.Keys), MaxKeys)
	}
	var keys []Key
	for i, raw := range document.Keys {
		k, ok, err := parseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("reading key %d: %w", i+1, err)
		}
		if ok && !slices.ContainsFunc(keys, func(other Key) bool { return other.Thumbprint == k.Thumbprint }) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// publicJWK is what we read of a key. Certificates that come with it prove nothing here, and would
// only have to be parsed.
type publicJWK struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid,omitempty"`
	Use    string   `json:"use,omitempty"`
	KeyOps []string `json:"key_ops,omitempty"`
	Alg    string   `json:"alg,omitempty"`
	Crv    string   `json:"crv,omitempty"`
	X      string   `json:"x,omitempty"`
	Y      string   `json:"y,omitempty"`
	N      string   `json:"n,omitempty"`
	E      string   `json:"e,omitempty"`
}

// parseKey returns false for a key that is not for us.
func parseKey(raw []byte) (Key, bool, error) {
	if isSecret(raw) {
		return Key{}, false, errors.New("it is a secret key: only public ones belong here. Treat it as stolen")
	}
	var public publicJWK
	ok := json.Unmarshal(raw, &public) == nil && forUs(&public)
	if !ok {
		return Key{}, false, nil
	}
	k, ok := newKey(&public)
	return k, ok, nil
}

func isSecret(raw []byte) bool {
	var secret struct {
		D json.RawMessage `json:"d"`
		P json.RawMessage `json:"p"`
		Q json.RawMessage `json:"q"`
		K json.RawMessage `json:"k"`
	}
	if json.Unmarshal(raw, &secret) != nil {
		return false
	}
	return secret.D != nil || secret.P != nil || secret.Q != nil || secret.K != nil
}

func newKey(public *publicJWK) (Key, bool) {
	k := Key{ID: public.Kid, Algorithm: public.Alg}
	text, err := stdjson.Marshal(public)
	if err != nil || json.Unmarshal(text, &k.jwk) != nil || !k.jwk.Valid() || !k.jwk.IsPublic() {
		return Key{}, false
	}
	possible := algorithmsOf(k.jwk.Key)
	switch {
	case len(possible) == 0 || (k.Algorithm != "" && !slices.Contains(possible, k.Algorithm)):
		return Key{}, false
	case k.Algorithm == "" && len(possible) == 1:
		k.Algorithm = possible[0]
	case k.Algorithm == "":
		k.Algorithm = "RSA"
	}
	sum, err := k.jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, false
	}
	k.Thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	return k, true
}

// forUs looks at what is cheap, before any number is made of it.
func forUs(k *publicJWK) bool {
	const largest = maxRSABits/8*4/3 + 8
	switch {
	case k.Use != "" && k.Use != "sig":
		return false
	case len(k.KeyOps) > 0 && !slices.Contains(k.KeyOps, "verify"):
		return false
	case len(k.Kid) > maxKeyID || len(k.N) > largest || len(k.E) > 8 || len(k.X) > largest || len(k.Y) > largest:
		return false
	}
	return slices.Contains([]string{"RSA", "EC", "OKP"}, k.Kty)
}

// algorithmsOf are those that a key can sign with, or none for a key that is not good enough.
func algorithmsOf(key any) []string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits || key.E < 3 || key.E%2 == 0 {
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}

// signs reports whether a token that was signed by the algorithm may be of this key.
func (k *Key) signs(algorithm string) bool {
	if k.Algorithm == "RSA" {
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	}
	return k.Algorithm == algorithm
}
