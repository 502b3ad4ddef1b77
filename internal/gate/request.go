package gate

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// What RFC 8693 calls things.
const (
	grantTypeExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT           = "urn:ietf:params:oauth:token-type:jwt"
	typeAccessToken   = "urn:ietf:params:oauth:token-type:access_token"
)

const (
	maxBody      = 24 << 10 // a token of 16 KiB and the parameters around it
	maxParameter = 2048     // of those that are no token
	// Lifetimes that may be asked for: API servers grant no less, and no grant allows more.
	minLifetime = 10 * time.Minute
	maxLifetime = 24 * time.Hour
)

// request is what a client asks for. Nothing in it is believed yet.
type request struct {
	token    credential.Secret
	audience string        // empty: this cluster
	grant    string        // name of an AccessGrant; empty: whichever there is
	lifetime time.Duration // zero: what the grant allows
}

// readForm reads the parameters of a request, which are in its body and nowhere else: what is in a URL
// ends up in the logs of proxies.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, malformed("parameters belong into the body, not into the URL")
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, malformed("the body must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		// Its text may quote the body.
		return nil, malformed(fmt.Sprintf("the body must be a form of at most %d bytes", maxBody))
	}
	return r.PostForm, nil
}

// parse turns parameters into a request. Its errors are for the client, and quote nothing.
func parse(form url.Values) (request, error) {
	if err := checkCounts(form); err != nil {
		return request{}, err
	}
	switch {
	case form.Get("grant_type") == "":
		return request{}, malformed("grant_type is missing")
	case form.Get("grant_type") != grantTypeExchange:
		return request{}, &protocolError{"unsupported_grant_type", "grant_type must be " + grantTypeExchange}
	case form.Get("subject_token") == "":
		return request{}, malformed("subject_token is missing")
	case form.Get("subject_token_type") != typeJWT:
		return request{}, malformed("subject_token_type must be " + typeJWT)
	case !slices.Contains([]string{"", typeAccessToken, typeJWT}, form.Get("requested_token_type")):
		return request{}, malformed("requested_token_type must be " + typeAccessToken)
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return request{}, malformed("actor_token is not supported: a subject acts for itself")
	case form.Has("resource"):
		return request{}, &protocolError{"invalid_target", "resource is not supported: name the cluster by audience, or leave it out"}
	case strings.ContainsAny(form.Get("scope"), " \t\r\n"):
		return request{}, malformed("scope must be the name of one AccessGrant")
	}
	lifetime, err := parseLifetime(form.Get("lifetime"))
	return request{
		token:    credential.NewSecret(form.Get("subject_token")),
		audience: form.Get("audience"),
		grant:    form.Get("scope"),
		lifetime: lifetime,
	}, err
}

// checkCounts refuses parameters that are given twice, of which others might have read the other one.
func checkCounts(form url.Values) error {
	for name, values := range form {
		switch {
		case !understood(name):
		case len(values) != 1:
			return malformed(name + " must be given once")
		case name != "subject_token" && len(values[0]) > maxParameter:
			return malformed(name + " is too long")
		}
	}
	return nil
}

// understood tells the parameters that mean something here. Others are ignored, as RFC 6749 asks.
func understood(name string) bool {
	return slices.Contains([]string{"grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "scope", "lifetime"}, name)
}

func parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 32)
	lifetime := time.Duration(seconds) * time.Second
	if err != nil || lifetime < minLifetime || lifetime > maxLifetime {
		return 0, malformed(fmt.Sprintf("lifetime must be a number of seconds from %d to %d", int(minLifetime.Seconds()), int(maxLifetime.Seconds())))
	}
	return lifetime, nil
}

// protocolError is what a client did wrong, in words that tell it nothing about tokens or grants.
type protocolError struct{ code, description string }

func (e *protocolError) Error() string { return e.code + ": " + e.description }

func malformed(description string) error { return &protocolError{"invalid_request", description} }
