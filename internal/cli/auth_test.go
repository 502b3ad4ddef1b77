package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/internal/authcache"
	"github.com/hawser-io/hawser/internal/awstest"
)

// auth runs hawser auth at a moment, and returns the ExecCredential.
func auth(t *testing.T, at time.Time, args ...string) (clientauthenticationv1.ExecCredential, outcome) {
	t.Helper()
	var out, stderr bytes.Buffer
	d := &deps{
		out: &out, err: &stderr, in: strings.NewReader(""), clock: clocktesting.NewFakeClock(at),
		connect: func(string, string) (*cluster, error) { return nil, errors.New("there is none") },
	}
	code := d.run(t.Context(), append([]string{"hawser", "auth"}, args...))
	var answer clientauthenticationv1.ExecCredential
	if code == exitOK {
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.Status == nil || answer.Status.ExpirationTimestamp == nil {
			t.Fatalf("it prints %s (%v)", &out, err)
		}
	}
	return answer, outcome{out.String(), stderr.String(), code}
}

func TestAuthTokenInAFile(t *testing.T) {
	t.Setenv(authcache.InfoVariable, "")
	// {"sub":"a","exp":1777640400}: an hour after now
	const jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjoxNzc3NjQwNDAwfQ.c2ln"
	tests := map[string]struct {
		text string
		at   time.Time
		end  time.Time
		err  string
	}{
		"a JWT is said to end a minute early":             {jwt + "\n", now, now.Add(59 * time.Minute), ""},
		"a short one is said to end after nine tenths":    {jwt, now.Add(55 * time.Minute), now.Add(59*time.Minute + 30*time.Second), ""},
		"one that names no end is asked for again soon":   {"opaque", now, now.Add(5 * time.Minute), ""},
		"one that has ended is an error, and not printed": {jwt, now.Add(time.Hour), time.Time{}, "expired at 2026-05-01T13:00:00Z"},
		"nothing is no token":                             {" \n", now, time.Time{}, "it is empty"},
		"two lines are no token":                          {"a\nb", now, time.Time{}, "no HTTP header can carry"},
		"what fits into no header is no token":            {strings.Repeat("a", maxTokenFile+1), now, time.Time{}, "longer than 64 KiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			answer, got := auth(t, test.at, "token", "--file", file)
			if test.err != "" {
				if got.Code != exitFailed || got.Out != "" || !strings.Contains(got.Err, test.err) || strings.Contains(got.Err, jwt) {
					t.Errorf("got %+v", got)
				}
				return
			}
			if got.Code != exitOK || answer.Status.Token != strings.TrimSpace(test.text) || !answer.Status.ExpirationTimestamp.Time.Equal(test.end) {
				t.Errorf("got %+v, want an end at %s", got, test.end)
			}
		})
	}
}

func TestAuthRefusesWhatIsUnclear(t *testing.T) {
	t.Setenv(authcache.InfoVariable, "")
	tests := map[string]struct {
		args []string
		want string
	}{
		"no token is named":                           {[]string{"token"}, "name an AccessRequest with --request NAMESPACE/NAME, or a file with --file"},
		"a request without a namespace":               {[]string{"token", "--request", "alpha"}, "write NAMESPACE/NAME"},
		"a request of many parts":                     {[]string{"token", "--request", "a/b/c"}, "write NAMESPACE/NAME"},
		"two sources of a token":                      {[]string{"oidc", "--token-file", "/a", "--token-env", "A", "--audience", "a"}, "one of them"},
		"a token without an audience":                 {[]string{"oidc", "--token-file", "/a"}, "--audience is missing"},
		"a grant without a gate":                      {[]string{"oidc", "--token-file", "/a", "--audience", "a", "--grant", "g"}, "only for --gate-url"},
		"a relative CA":                               {[]string{"oidc", "--token-file", "/a", "--audience", "a", "--gate-url", "https://g", "--gate-ca-file", "ca.pem"}, `--gate-ca-file "ca.pem": use an absolute path`},
		"a relative CA by its old name":               {[]string{"oidc", "--token-file", "/a", "--audience", "a", "--exchange-url", "https://g", "--exchange-ca", "ca.pem"}, `--gate-ca-file "ca.pem": use an absolute path`},
		"a relative kubeconfig":                       {[]string{"token", "--request", "a/b", "--kubeconfig", "config"}, "use an absolute path"},
		"a life that no API server grants":            {[]string{"oidc", "--token-file", "/a", "--audience", "a", "--lifetime", "1m"}, "use 10m at least"},
		"an external ID of nobody":                    {[]string{"eks", "--cluster-name", "a", "--region", "eu-north-1", "--external-id", "x"}, "only for --role-arn"},
		"a configuration that the plugin is not told": {[]string{"token", "--from-config", "request"}, "needs provideClusterInfo: true"},
		"a key of the cache without its lock":         {[]string{"token", "--file", "/a", "--cache-key", strings.Repeat("0", 64)}, "taking over the lock"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := auth(t, now, test.args...); got.Code == exitOK || got.Out != "" || !strings.Contains(got.Err, test.want) {
				t.Errorf("got %+v, want …%s…", got, test.want)
			}
		})
	}
}

func TestAProfileThatRunsAProgramIsNotKept(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	text := `[profile plain]
aws_access_key_id = a
aws_secret_access_key = b
[profile program]
credential_process = /bin/true
[profile above]
role_arn = arn:aws:iam::111122223333:role/x
source_profile = program
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for profile, want := range map[string]bool{"plain": false, "program": true, "above": true, "none": false} {
		t.Setenv("AWS_PROFILE", profile)
		if got := runsProgram(t.Context(), ""); got != want {
			t.Errorf("AWS_PROFILE %s runs a program: %t", profile, got)
		}
		t.Setenv("AWS_PROFILE", "plain")
		if got := runsProgram(t.Context(), profile); got != want {
			t.Errorf("--profile %s runs a program: %t", profile, got)
		}
	}
}

func TestAuthEKSIsJudgedByAWS(t *testing.T) {
	t.Setenv(authcache.InfoVariable, `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{}}`)
	s := newSky(t, awstest.Options{Clock: clocktesting.NewFakeClock(now)})
	s.cluster.Entry(s.role.ARN(), []string{"people"}, "staging")
	answer, got := auth(t, now, "eks", "--cluster-name", "prod", "--region", "eu-north-1", "--profile", "admin")
	if got.Code != exitOK || answer.APIVersion != authcache.V1beta1 || answer.Status.ExpirationTimestamp.Sub(now) != 13*time.Minute {
		t.Fatalf("got %+v", got)
	}
	if _, err := s.cluster.Review(answer.Status.Token); err == nil || !strings.Contains(err.Error(), "user/admin") {
		t.Errorf("it proves somebody else: %v", err)
	}
}
