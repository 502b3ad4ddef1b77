package gate

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// notAccepted is all that a client learns of a token or a grant that will not do: whoever tries out
// tokens learns nothing from the difference. The log has the reason.
var notAccepted = &protocolError{"invalid_request", "the token was not accepted"}

// success is the answer of RFC 8693, section 2.2.1.
type success struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	Scope           string `json:"scope"`
}

// failure is the answer of RFC 6749, section 5.2.
type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func answerToken(w http.ResponseWriter, token credential.Secret, grant string, life time.Duration) {
	answer(w, http.StatusOK, success{
		AccessToken: token.Reveal(), IssuedTokenType: typeAccessToken, TokenType: "Bearer",
		ExpiresIn: int64(life / time.Second), Scope: grant,
	})
}

func answerError(w http.ResponseWriter, err *protocolError) {
	answer(w, http.StatusBadRequest, failure{err.code, err.description})
}

// answerLater asks the client to come back: 429 where it asked too often, 503 where the trouble is ours.
func answerLater(w http.ResponseWriter, status int, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(after.Seconds())))))
	said := failure{"temporarily_unavailable", "try again later"}
	if status == http.StatusTooManyRequests {
		said = failure{"slow_down", "too many requests"}
	}
	answer(w, status, said)
}

func answer(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone needs no answer
}
