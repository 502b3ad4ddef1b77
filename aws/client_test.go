package aws

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const callerAnswer = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::111122223333:user/manager</Arn><UserId>AIDA</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`

// stsAt serves answers as STS, by the environment, and counts connections.
func stsAt(t *testing.T, answer http.HandlerFunc) (connections *atomic.Int32) {
	t.Helper()
	connections = &atomic.Int32{}
	server := httptest.NewUnstartedServer(answer)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	return connections
}

func TestClientsComeFromTheEnvironmentAndSignByTheClock(t *testing.T) {
	var seen http.Header
	connections := stsAt(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, callerAnswer)
	})
	s := &Sessions{Clock: clocktesting.NewFakeClock(start), Ground: ownKeys, Region: "eu-north-1"}
	own := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}}
	for range 10 {
		if arn, _, err := s.CallerIdentity(t.Context(), own, 0); err != nil || arn != "arn:aws:iam::111122223333:user/manager" {
			t.Fatalf("got %s, %v", arn, err)
		}
	}
	if got := seen.Get("X-Amz-Date"); got != "20260301T120000Z" {
		t.Errorf("signed at %s, want the time of the clock", got)
	}
	if got := seen.Get("Authorization"); !strings.Contains(got, "Credential=AKIDOWN/20260301/eu-north-1/sts/aws4_request") {
		t.Errorf("signed as %s", got)
	}
	if got := seen.Get("User-Agent"); !strings.Contains(got, "app/hawser") {
		t.Errorf("the user agent is %s", got)
	}
	if n := connections.Load(); n >= 10 { // net/http now and then makes one too many
		t.Errorf("%d connections for ten calls: none is used twice", n)
	}
}

func TestClientsRetryLittle(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   int32
	}{
		{"throttling is for our own back-off", 400, `<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>`, 1},
		{"trouble of AWS is tried once more", 503, `<ErrorResponse><Error><Code>ServiceUnavailable</Code></Error></ErrorResponse>`, 2},
		{"a denial is final", 403, `<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			stsAt(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			if err := askOnce(t); err == nil {
				t.Error("there is no error")
			}
			if got := calls.Load(); got != test.want {
				t.Errorf("%d calls, want %d", got, test.want)
			}
		})
	}
}

func TestSignedRequestsFollowNoRedirect(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a stranger was shown a signed request") }))
	defer stranger.Close()
	stsAt(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
	})
	if err := askOnce(t); err == nil {
		t.Error("there is no error")
	}
}

func TestAnswersThatAreNotOfAWS(t *testing.T) {
	stsAt(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<html><body>Proxy says no</body></html>")
	})
	err := askOnce(t)
	if got := AsError(Ref{}, err); got.Reason != v1alpha1.ReasonAWSError || len(got.Error()) > 500 {
		t.Errorf("got %s: %s", got.Reason, got)
	}
}

// askOnce asks the STS of the environment who it is.
func askOnce(t *testing.T) error {
	t.Helper()
	cfg, err := LoadConfig(t.Context(), clocktesting.NewFakePassiveClock(start))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = STSFrom(cfg)("eu-north-1", credentialsOf(awssdk.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"})).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	return err
}
