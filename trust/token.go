package trust

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // names are exact, and a name that comes twice is an error
)

// MaxTokenSize is the size of the largest token that is looked at, in bytes.
const MaxTokenSize = 16 << 10

// algorithms that only the holder of a private key can sign with.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// tokenTypes are what a token may say that it is, in lower case: anything else was signed for
// another purpose, and is no identity.
var tokenTypes = []string{"", "jwt", "jose", "at+jwt", "application/jwt", "application/at+jwt"}

// token is a token of which nothing is proved yet but its form.
type token struct {
	signed    *jose.JSONWebSignature
	algorithm string
	keyID     string
	claims    map[string]any
	issuer    string
	subject   string
	id        string
	audiences []string
	issuedAt  time.Time
	notBefore time.Time // zero where the token does not say
	expiresAt time.Time
}

// parseToken reads a token in the compact serialization, the only one.
func parseToken(text string) (*token, *Refusal) {
	if len(text) > MaxTokenSize {
		return nil, refuse(Malformed, "it has %d bytes, more than %d", len(text), MaxTokenSize)
	}
	if strings.ContainsAny(text, "\r\n") { // decoders of base64 pass over them
		return nil, refuse(Malformed, "it has line breaks")
	}
	signed, err := jose.ParseSignedCompact(text, algorithms)
	if other := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &other) {
		return nil, refuse(AlgorithmRefused, "it is signed by %.20q", other.Got)
	}
	if err != nil || len(signed.Signatures) != 1 {
		return nil, refuse(Malformed, "it is no signed token") // the parser's error may quote it
	}
	header := signed.Signatures[0].Protected
	t := &token{signed: signed, algorithm: header.Algorithm, keyID: header.KeyID}
	if err := checkHeader(header); err != nil {
		return nil, refuse(Malformed, "%w", err)
	}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &t.claims); err != nil || t.claims == nil {
		return nil, refuse(Malformed, "its claims are no JSON object, or name one twice")
	}
	if err := t.read(); err != nil {
		return nil, refuse(Malformed, "%w", err)
	}
	return t, nil
}

func checkHeader(header jose.Header) error {
	if _, ok := header.ExtraHeaders["crit"]; ok {
		return errors.New("its header has extensions that must be understood")
	}
	if _, ok := header.ExtraHeaders["b64"]; ok {
		return errors.New("its payload is not encoded as that of a token")
	}
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(tokenTypes, strings.ToLower(typ)) {
		return fmt.Errorf("it is of type %.40q", typ)
	}
	return nil
}

// read takes the registered claims out of the others.
func (t *token) read() (err error) {
	for name, value := range map[string]*string{"iss": &t.issuer, "sub": &t.subject} {
		text, ok := t.claims[name].(string)
		if !ok || text == "" {
			return fmt.Errorf("claim %s is missing, or no text", name)
		}
		*value = text
	}
	t.id, _ = t.claims["jti"].(string)
	if t.audiences, err = texts(t.claims["aud"]); err != nil {
		return fmt.Errorf("claim aud is %w", err)
	}
	for name, value := range map[string]*time.Time{"iat": &t.issuedAt, "exp": &t.expiresAt, "nbf": &t.notBefore} {
		claim, ok := t.claims[name]
		if !ok && name == "nbf" {
			continue
		}
		if *value, ok = numericDate(claim); !ok {
			return fmt.Errorf("claim %s is missing, or no time", name)
		}
	}
	if !t.expiresAt.After(t.issuedAt) {
		return errors.New("it expires before it is issued")
	}
	return nil
}

// texts reads a claim that is a text or a list of texts.
func texts(claim any) ([]string, error) {
	switch claim := claim.(type) {
	case string:
		return []string{claim}, nil
	case []any:
		list := make([]string, len(claim))
		for i, entry := range claim {
			text, ok := entry.(string)
			if !ok {
				return nil, errors.New("no list of texts")
			}
			list[i] = text
		}
		return list, nil
	}
	return nil, errors.New("missing, or neither a text nor a list of texts")
}

// numericDate reads seconds since 1970 (RFC 7519, section 2), within the years that a time can be printed for.
func numericDate(claim any) (time.Time, bool) {
	const year10000 = 253402300800
	seconds, ok := claim.(float64)
	if !ok || !(seconds > 0) || seconds >= year10000 {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))), true
}
