package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// Error is an answer that is no success.
type Error struct {
	// Status of HTTP.
	Status int
	// Code is the error of RFC 6749: invalid_request and the like. Empty where the answer had none.
	Code string
	// Description is what the endpoint says about it, cut short and without the token that it was shown.
	Description string
	// RetryAfter is how long the endpoint wants to be left alone; zero where it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := fmt.Sprintf("it answered %d", e.Status)
	if e.Status >= 300 && e.Status < 400 {
		text += ", a redirect, which is not followed: the token would be shown to somebody else"
	}
	for _, part := range []string{e.Code, e.Description} {
		if part != "" {
			text += ": " + part
		}
	}
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (to be tried again in %s)", e.RetryAfter)
	}
	return text
}

// body is what an endpoint answers, RFC 8693 section 2.2.
type body struct {
	AccessToken     string      `json:"access_token"`
	IssuedTokenType string      `json:"issued_token_type"`
	TokenType       string      `json:"token_type"`
	ExpiresIn       json.Number `json:"expires_in"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// maxLifetime is more than any token of ours has; what is beyond it is no honest answer.
const maxLifetime = 366 * 24 * time.Hour

// parse reads an answer to a request that showed a token.
func parse(status int, retryAfter string, data []byte, shown credential.Secret) (Response, error) {
	var b body
	err := json.Unmarshal(data, &b)
	if status != http.StatusOK {
		if err != nil {
			b = body{}
		}
		return Response{}, &Error{Status: status, Code: quote(b.Error, shown), Description: quote(b.Description, shown), RetryAfter: seconds(retryAfter)}
	}
	switch {
	case err != nil:
		return Response{}, errors.New("the answer is no JSON of the kind")
	case b.AccessToken == "":
		return Response{}, errors.New("the answer has no access_token")
	case !strings.EqualFold(b.TokenType, "Bearer"):
		return Response{}, errors.New("the answer's token_type is not Bearer: nothing else can be shown to an API server")
	case strings.ContainsFunc(b.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return Response{}, errors.New("the answer's access_token has characters that no HTTP header can carry")
	}
	var life float64
	if b.ExpiresIn != "" {
		if life, err = b.ExpiresIn.Float64(); err != nil || !(life > 0) || life > maxLifetime.Seconds() {
			return Response{}, errors.New("the answer's expires_in is no lifetime in seconds")
		}
	}
	return Response{
		Token:           credential.NewSecret(b.AccessToken),
		IssuedTokenType: b.IssuedTokenType,
		ExpiresIn:       time.Duration(math.Floor(life)) * time.Second,
	}, nil
}

func seconds(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 || n > int(maxLifetime/time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}

// shownWords bounds what is taken over of a stranger's words, and secretPart is how long a part of a token
// has to be to be looked for in them: shorter ones say nothing.
const (
	shownWords = 300
	secretPart = 16
)

// quote makes the words of an endpoint fit for a condition and a log: on one line, short, and without the
// token that it was shown, or a part of it.
func quote(text string, shown credential.Secret) string {
	token := shown.Reveal()
	for _, part := range append([]string{token}, strings.Split(token, ".")...) {
		if len(part) >= secretPart || (part != "" && part == token) {
			text = strings.ReplaceAll(text, part, "[redacted]")
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r <= ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0xfffd || r == 0x2028 || r == 0x2029
	}), " ")
	if runes := []rune(text); len(runes) > shownWords {
		text = string(runes[:shownWords]) + "…"
	}
	return text
}
