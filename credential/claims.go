package credential

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// claims are the parts of a JWT that say when it is good. They are read to know
// when to renew; nothing is decided by them that the server does not check.
type claims struct {
	Subject   string       `json:"sub"`
	IssuedAt  *json.Number `json:"iat"`
	NotBefore *json.Number `json:"nbf"`
	Expires   *json.Number `json:"exp"`
}

// maxJWT bounds what is parsed: API servers cap request headers at 1 MiB, and real tokens have a few KiB.
const maxJWT = 64 << 10

func parseClaims(token string) (claims, error) {
	if len(token) > maxJWT {
		return claims{}, errors.New("reading a JWT: too long")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, errors.New("reading a JWT: it has no three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return claims{}, errors.New("reading a JWT: its payload is no base64url") // the cause would quote it
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, errors.New("reading a JWT: its payload is no JSON of the kind")
	}
	for name, n := range map[string]*json.Number{"iat": c.IssuedAt, "nbf": c.NotBefore, "exp": c.Expires} {
		if n == nil {
			continue
		}
		if f, err := n.Float64(); err != nil || f < 0 || f > maxUnix {
			return claims{}, fmt.Errorf("reading a JWT: %s is no time", name)
		}
	}
	return c, nil
}

// maxUnix is the end of the year 9999: beyond it time.Time cannot be written as RFC 3339.
const maxUnix = 253402300799

func numericDate(n *json.Number) time.Time {
	if n == nil {
		return time.Time{}
	}
	f, err := n.Float64()
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(f), 0).UTC()
}

func (c claims) expiresAt() time.Time { return numericDate(c.Expires) }

func (c claims) issuedAt() time.Time {
	if c.IssuedAt == nil {
		return numericDate(c.NotBefore)
	}
	return numericDate(c.IssuedAt)
}
