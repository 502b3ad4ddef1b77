package exchange_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust/exchange"
)

// shown is a token with the three parts of a JWT.
const shown = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLXRoYXQtbm9ib2R5LW1heS1zZWU"

// endpoint serves an answer, and returns the client for it.
func endpoint(t *testing.T, handler http.HandlerFunc) *exchange.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	return &exchange.Client{URL: server.URL + "/token", CAData: caOf(server)}
}

func caOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

const good = `{"access_token":"another","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`

func TestAnExchangeIsWhatTheRFCSays(t *testing.T) {
	var got url.Values
	var kind, method, path string
	client := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got, kind, method, path = r.PostForm, r.Header.Get("Content-Type"), r.Method, r.URL.Path
		answers(http.StatusOK, good)(w, r)
	})
	response, err := client.Exchange(t.Context(), exchange.Request{
		SubjectToken: credential.NewSecret(shown), Audience: "hawser:1", Scope: "shop", RequestedTokenType: exchange.TypeAccessToken, Lifetime: 20 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if response.Token.Reveal() != "another" || response.ExpiresIn != time.Hour || response.IssuedTokenType != exchange.TypeAccessToken {
		t.Errorf("the response is %+v", response)
	}
	want := url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":        {shown},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:jwt"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"audience":             {"hawser:1"},
		"scope":                {"shop"},
		"lifetime":             {"1200"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the form differs (-want +got)\n%s", diff)
	}
	if kind != "application/x-www-form-urlencoded" || method != http.MethodPost || path != "/token" {
		t.Errorf("it was a %s of %s to %s", method, kind, path)
	}

	if _, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)}); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"audience", "scope", "lifetime", "requested_token_type"} {
		if got.Has(field) {
			t.Errorf("field %s is %q, though nobody asked for it", field, got.Get(field))
		}
	}
}

func TestAnAnswerThatIsOfNoUseIsAnError(t *testing.T) {
	tests := map[string]struct {
		status     int
		body, want string
	}{
		"a refusal":                         {400, `{"error":"invalid_request","error_description":"the token was not accepted"}`, "it answered 400: invalid_request: the token was not accepted"},
		"a refusal in HTML":                 {502, `<html>` + shown, "it answered 502"},
		"a refusal of another shape":        {400, `{"error":{"status":1}}`, "it answered 400"},
		"a refusal that quotes the token":   {400, `{"error":"invalid_grant","error_description":"bad token ` + shown + `"}`, "invalid_grant: bad token [redacted]"},
		"a refusal that quotes a signature": {400, `{"error":"` + strings.Split(shown, ".")[2] + `"}`, "it answered 400: [redacted]"},
		"a refusal on many lines":           {400, `{"error":"one\ntwo\u2028three\u001b[31m"}`, "one two three [31m"},
		"a refusal without an end":          {400, `{"error":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat("x", 300) + "…"},
		"success with something else":       {200, `pong`, "no JSON of the kind"},
		"another success":                   {204, ``, "it answered 204"},
		"no token":                          {200, `{"token_type":"Bearer"}`, "no access_token"},
		"a token of another type":           {200, `{"access_token":"x","token_type":"N_A"}`, "token_type is not Bearer"},
		"a token without a type":            {200, `{"access_token":"x"}`, "token_type is not Bearer"},
		"a token with a line break":         {200, `{"access_token":"x\ny","token_type":"Bearer"}`, "characters that no HTTP header can carry"},
		"a token that ended already":        {200, `{"access_token":"x","token_type":"Bearer","expires_in":-1}`, "no lifetime in seconds"},
		"a token that never ends":           {200, `{"access_token":"x","token_type":"Bearer","expires_in":1e300}`, "no lifetime in seconds"},
		"an answer without an end":          {200, `{"access_token":"` + strings.Repeat("x", 1<<20), "longer than 128 KiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := endpoint(t, answers(test.status, test.body))
			_, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the error is %v, want one with %q", err, test.want)
			}
			for _, part := range strings.Split(shown, ".") {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error shows the token: %s", err)
				}
			}
		})
	}
}

func TestAnErrorTellsWhenToComeAgain(t *testing.T) {
	client := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		answers(http.StatusTooManyRequests, `{"error":"slow_down"}`)(w, r)
	})
	_, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
	var answer *exchange.Error
	if !errors.As(err, &answer) || answer.Status != 429 || answer.RetryAfter != 7*time.Second || answer.Code != "slow_down" {
		t.Errorf("the error is %#v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	asked := false
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	client := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	client.CAData = append(client.CAData, caOf(other)...)
	_, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
	if asked || err == nil || !strings.Contains(err.Error(), "a redirect, which is not followed") {
		t.Errorf("it was followed: %v; the error is %v", asked, err)
	}
}

func TestATokenIsShownOverVerifiedTLSOnly(t *testing.T) {
	asked := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true })
	plain, secure, other := httptest.NewServer(handler), httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	for _, s := range []*httptest.Server{secure, other} {
		s.Config.ErrorLog = nil
		s.StartTLS()
	}
	for _, s := range []*httptest.Server{plain, secure, other} {
		t.Cleanup(s.Close)
	}
	tests := map[string]struct {
		client exchange.Client
		want   string
	}{
		"plain HTTP":            {exchange.Client{URL: plain.URL}, "must be https://"},
		"a CA that is unknown":  {exchange.Client{URL: secure.URL}, "certificate"},
		"another name":          {exchange.Client{URL: strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), CAData: caOf(secure)}, "certificate"},
		"a bundle that is none": {exchange.Client{URL: secure.URL, CAData: []byte("hello")}, "holds no certificate"},
		"a user in the URL":     {exchange.Client{URL: strings.Replace(secure.URL, "//", "//me@", 1)}, "no user, query or fragment"},
		"no host":               {exchange.Client{URL: "https:///token"}, "with a host"},
		"no URL":                {exchange.Client{URL: "https://[::1"}, "no URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := test.client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
	if asked {
		t.Error("the token was shown")
	}
}

func TestAnEndpointThatHangsIsNamed(t *testing.T) {
	release := make(chan struct{})
	client := endpoint(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // before the server is closed, which waits for it
	client.Timeout = 50 * time.Millisecond
	_, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
	if err == nil || !strings.Contains(err.Error(), "it did not answer within 50ms") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Exchange(ctx, exchange.Request{SubjectToken: credential.NewSecret(shown)}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestAnAnswerThatGoesOnIsNotWaitedFor(t *testing.T) {
	client := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		for part := []byte(strings.Repeat("x", 4096)); ; {
			if _, err := w.Write(part); err != nil {
				return // nobody listens any more
			}
		}
	})
	_, err := client.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)})
	if err == nil || !strings.Contains(err.Error(), "longer than 128 KiB") {
		t.Errorf("the error is %v", err)
	}
}

func TestNothingIsExchangedForNothing(t *testing.T) {
	client := endpoint(t, answers(http.StatusOK, good))
	if _, err := client.Exchange(t.Context(), exchange.Request{}); err == nil {
		t.Error("no error")
	}
}
