package gate

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/credential"
)

// form is a request as it should be, with changes: a nil value takes a parameter away.
func form(changes url.Values) url.Values {
	f := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {"a.b.c"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
	}
	for name, values := range changes {
		if f[name] = values; values == nil {
			f.Del(name)
		}
	}
	return f
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		changes url.Values
		want    request
		err     string
	}{
		"what must be there": {nil, request{}, ""},
		"all that is understood": {
			url.Values{"audience": {"hawser:x"}, "scope": {"ci"}, "lifetime": {"600"}, "requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"}},
			request{audience: "hawser:x", grant: "ci", lifetime: 10 * time.Minute}, "",
		},
		"what nobody understands is ignored": {url.Values{"client_id": {"x", "y"}}, request{}, ""},
		"no grant type":                      {url.Values{"grant_type": nil}, request{}, "invalid_request: grant_type is missing"},
		"another grant type": {
			url.Values{"grant_type": {"password"}}, request{},
			"unsupported_grant_type: grant_type must be urn:ietf:params:oauth:grant-type:token-exchange",
		},
		"no token":      {url.Values{"subject_token": nil}, request{}, "invalid_request: subject_token is missing"},
		"an empty one":  {url.Values{"subject_token": {""}}, request{}, "invalid_request: subject_token is missing"},
		"two of them":   {url.Values{"subject_token": {"a", "b"}}, request{}, "invalid_request: subject_token must be given once"},
		"two audiences": {url.Values{"audience": {"a", "b"}}, request{}, "invalid_request: audience must be given once"},
		"a SAML token": {
			url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:saml2"}}, request{},
			"invalid_request: subject_token_type must be urn:ietf:params:oauth:token-type:jwt",
		},
		"a refresh token is wanted": {
			url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:refresh_token"}}, request{},
			"invalid_request: requested_token_type must be urn:ietf:params:oauth:token-type:access_token",
		},
		"somebody acts for the subject": {
			url.Values{"actor_token": {"x"}}, request{}, "invalid_request: actor_token is not supported: a subject acts for itself",
		},
		"a narrower target than there is": {
			url.Values{"resource": {"https://a/"}}, request{},
			"invalid_target: resource is not supported: name the cluster by audience, or leave it out",
		},
		"two scopes":       {url.Values{"scope": {"a b"}}, request{}, "invalid_request: scope must be the name of one AccessGrant"},
		"a huge scope":     {url.Values{"scope": {strings.Repeat("a", 3000)}}, request{}, "invalid_request: scope is too long"},
		"too short a life": {url.Values{"lifetime": {"599"}}, request{}, "invalid_request: lifetime must be a number of seconds from 600 to 86400"},
		"too long a life":  {url.Values{"lifetime": {"86401"}}, request{}, "invalid_request: lifetime must be a number of seconds from 600 to 86400"},
		"a life without an end": {url.Values{"lifetime": {"99999999999999999999"}}, request{},
			"invalid_request: lifetime must be a number of seconds from 600 to 86400"},
		"a negative one": {url.Values{"lifetime": {"-600"}}, request{}, "invalid_request: lifetime must be a number of seconds from 600 to 86400"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(form(test.changes))
			if diff := cmp.Diff(test.err, text(err)); diff != "" {
				t.Fatalf("error (-want +got)\n%s", diff)
			}
			if err != nil {
				return
			}
			test.want.token = credential.NewSecret("a.b.c")
			if got.audience != test.want.audience || got.grant != test.want.grant || got.lifetime != test.want.lifetime || !got.token.Equal(test.want.token) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestReadForm(t *testing.T) {
	const media = "application/x-www-form-urlencoded"
	tests := map[string]struct {
		target, media, body string
		err                 string
	}{
		"a form":                       {"/token", media, form(nil).Encode(), ""},
		"a form with a character set":  {"/token", media + "; charset=utf-8", form(nil).Encode(), ""},
		"parameters in the URL":        {"/token?" + form(nil).Encode(), media, "", "parameters belong into the body"},
		"JSON":                         {"/token", "application/json", `{"subject_token":"a.b.c"}`, "must be application/x-www-form-urlencoded"},
		"no type":                      {"/token", "", form(nil).Encode(), "must be application/x-www-form-urlencoded"},
		"a body that is too large":     {"/token", media, "subject_token=" + strings.Repeat("a", maxBody), "a form of at most 24576 bytes"},
		"a body that is not a form":    {"/token", media, "subject_token=%zz", "a form of at most 24576 bytes"},
		"a form with a thousand parts": {"/token", media, strings.Repeat("a=1&", 1000), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, test.target, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.media)
			_, err := readForm(httptest.NewRecorder(), r)
			if test.err == "" && err != nil {
				t.Fatal(err)
			}
			var wrong *protocolError
			if test.err != "" && (!errors.As(err, &wrong) || wrong.code != "invalid_request" || !strings.Contains(wrong.description, test.err)) {
				t.Errorf("got %v, want invalid_request with %q", err, test.err)
			}
		})
	}
}
