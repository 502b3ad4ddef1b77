package credential

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// JWT is what a JSON Web Token says of itself. Nothing of it is verified: it tells when to renew, whom a
// token must not be shown to, and how to name it; nothing is allowed by it that the server does not check.
// What is missing, or of another type than RFC 7519 says, is empty.
type JWT struct {
	Issuer, Subject, ID string
	// Audiences are those that it is for, also where it names a single one.
	Audiences []string
	// IssuedAt is nbf where there is no iat. A zero ExpiresAt means never.
	IssuedAt, ExpiresAt time.Time
}

// OnlyFor reports whether a token is for one audience and nobody else: whoever it is shown to could use it there.
func (j JWT) OnlyFor(audience string) bool { return slices.Equal(j.Audiences, []string{audience}) }

// maxJWT bounds what is parsed: API servers cap request headers at 1 MiB, and real tokens have a few KiB.
const maxJWT = 64 << 10

// ReadJWT reads a token. Its errors never quote it.
func ReadJWT(token string) (JWT, error) {
	if len(token) > maxJWT {
		return JWT{}, errors.New("reading a JWT: too long")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return JWT{}, errors.New("reading a JWT: it has no three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return JWT{}, errors.New("reading a JWT: its payload is no base64url") // the cause would quote it
	}
	var c struct {
		Issuer    text         `json:"iss"`
		Subject   text         `json:"sub"`
		ID        text         `json:"jti"`
		Audiences texts        `json:"aud"`
		IssuedAt  *json.Number `json:"iat"`
		NotBefore *json.Number `json:"nbf"`
		Expires   *json.Number `json:"exp"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return JWT{}, errors.New("reading a JWT: its payload is no JSON of the kind")
	}
	j := JWT{Issuer: string(c.Issuer), Subject: string(c.Subject), ID: string(c.ID), Audiences: c.Audiences}
	issued, err1 := numericDate("iat", c.IssuedAt)
	notBefore, err2 := numericDate("nbf", c.NotBefore)
	expires, err3 := numericDate("exp", c.Expires)
	if err := errors.Join(err1, err2, err3); err != nil {
		return JWT{}, fmt.Errorf("reading a JWT: %w", err)
	}
	if c.IssuedAt == nil {
		issued = notBefore
	}
	j.IssuedAt, j.ExpiresAt = issued, expires
	return j, nil
}

// text is a string, and empty for all else.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = text(s)
	}
	return nil
}

// texts are a list of strings, or one; and none for all else.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		if one != "" {
			*t = texts{one}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*t = list
	}
	return nil
}

// maxUnix is the end of the year 9999: beyond it time.Time cannot be written as RFC 3339.
const maxUnix = 253402300799

// numericDate is a time in seconds; fractions are cut. Nil is the zero time.
func numericDate(name string, n *json.Number) (time.Time, error) {
	if n == nil {
		return time.Time{}, nil
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > maxUnix {
		return time.Time{}, fmt.Errorf("%s is no time", name)
	}
	return time.Unix(int64(f), 0).UTC(), nil
}
