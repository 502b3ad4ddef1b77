package oidc

import (
	"errors"
	"fmt"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// maxToken is what is read of a file at most: more fits into no header that an API server takes.
const maxToken = 64 << 10

// soleAudience refuses a token that is for anybody else, too: whoever it is shown to could use it there.
func soleAudience(token, want string) error {
	says, err := credential.ReadJWT(token)
	switch {
	case err != nil:
		return errors.New("it is no JWT")
	case len(says.Audiences) == 0:
		return errors.New("it names no audience")
	case !says.OnlyFor(want):
		return fmt.Errorf("it is for %q, and has to be for %q and nobody else", says.Audiences, want)
	}
	return nil
}

// remaining is a token that may have been made some time ago. What counts is what is left of it.
func remaining(token string, now time.Time) credential.Credential {
	c := credential.NewToken(token, "")
	c.IssuedAt, c.ObtainedAt = time.Time{}, now
	return c
}
