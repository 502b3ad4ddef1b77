package oidc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// maxToken is what is read of a token at most: more fits into no header that an API server takes.
const maxToken = 64 << 10

// audiences are those that a JWT says it is for, unverified: whoever it is shown to verifies it.
func audiences(token string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return nil, errors.New("it is no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("it is no JWT") // the cause would quote it
	}
	var claims struct {
		Audience json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return nil, errors.New("it is no JWT")
	}
	var one string
	if json.Unmarshal(claims.Audience, &one) == nil && one != "" {
		return []string{one}, nil
	}
	var list []string
	if json.Unmarshal(claims.Audience, &list) != nil || len(list) == 0 {
		return nil, errors.New("it names no audience")
	}
	return list, nil
}

// soleAudience refuses a token that is for anybody else, too: whoever it is shown to could use it there.
func soleAudience(token, want string) error {
	list, err := audiences(token)
	switch {
	case err != nil:
		return err
	case len(list) != 1 || list[0] != want:
		return fmt.Errorf("it is for %q, and has to be for %q and nobody else", list, want)
	}
	return nil
}

// remaining is a token that may have been made some time ago. What counts is what is left of it.
func remaining(token string, now time.Time) credential.Credential {
	c := credential.NewToken(token, "")
	c.IssuedAt, c.ObtainedAt = time.Time{}, now
	return c
}
