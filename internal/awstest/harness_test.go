package awstest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

func TestMain(m *testing.M) {
	os.Exit(awstest.Run(m, fleettest.Options{Clusters: []string{"alpha"}}, "alpha"))
}

const (
	hubID    = "111122223333"
	targetID = "444455556666"
	region   = "eu-north-1"
)

var start = time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)

// world is a server on a fake clock with a user in one account and a role in another that trusts it.
type world struct {
	*awstest.Server
	t           *testing.T
	clock       *clocktesting.FakePassiveClock
	hub, target *awstest.Account
	user        *awstest.User
	role        *awstest.Role
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(start)
	w := &world{t: t, Server: awstest.Start(t, awstest.Options{Clock: clock}), clock: clock}
	w.hub, w.target = w.Account(hubID), w.Account(targetID)
	w.user = w.hub.User("bootstrapper")
	w.role = w.target.Role("hawser", awstest.Trust{Principals: []string{w.user.ARN()}, ExternalID: "fleet"})
	w.user.Allow("sts:AssumeRole", w.role.ARN())
	return w
}

func (w *world) step(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

// static signs with keys as they are.
func static(creds aws.Credentials) aws.CredentialsProvider {
	return credentials.StaticCredentialsProvider{Value: creds}
}

// assume assumes a role with change done to the request.
func (w *world) assume(t *testing.T, as aws.Credentials, role *awstest.Role, change func(*sts.AssumeRoleInput)) (aws.Credentials, error) {
	t.Helper()
	in := &sts.AssumeRoleInput{RoleArn: new(role.ARN()), RoleSessionName: new("test")}
	if change != nil {
		change(in)
	}
	out, err := w.STS(region, static(as)).AssumeRole(t.Context(), in)
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{
		AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken: *out.Credentials.SessionToken, CanExpire: true, Expires: *out.Credentials.Expiration,
	}, nil
}

func fleetID(in *sts.AssumeRoleInput) { in.ExternalId = new("fleet") }

func (w *world) mustAssume(t *testing.T, as aws.Credentials, role *awstest.Role, change func(*sts.AssumeRoleInput)) aws.Credentials {
	t.Helper()
	creds, err := w.assume(t, as, role, change)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// whoami is GetCallerIdentity's ARN.
func (w *world) whoami(t *testing.T, creds aws.Credentials) (string, error) {
	t.Helper()
	out, err := w.STS(region, static(creds)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

// code is the error code as the SDK reads it, "" for none.
func code(err error) string {
	var api smithy.APIError
	var failure *awstest.Failure
	switch {
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.As(err, &failure):
		return failure.Code
	case err != nil:
		return err.Error()
	}
	return ""
}

// token is an EKS token, made as a client makes it.
func token(t *testing.T, creds aws.Credentials, cluster string, at time.Time, change func(*http.Request)) string {
	t.Helper()
	return encodeToken(presign(t, creds, cluster, at, change))
}

func encodeToken(url string) string {
	return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(url))
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func presign(t *testing.T, creds aws.Credentials, cluster string, at time.Time, change func(*http.Request)) string {
	t.Helper()
	return presignIn(t, creds, cluster, at, region, change)
}

func presignIn(t *testing.T, creds aws.Credentials, cluster string, at time.Time, region string, change func(*http.Request)) string {
	t.Helper()
	query := url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}, "X-Amz-Expires": {"60"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://sts."+region+".amazonaws.com/?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-k8s-aws-id", cluster)
	if change != nil {
		change(r)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), creds, r, emptyHash, "sts", region, at)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// webhookURL is the address in the kubeconfig of a cluster's webhook.
func webhookURL(t *testing.T, cluster *awstest.Cluster) string {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(cluster.WebhookKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	return config.Host
}

func reviewBody(version, token string) string {
	return `{"apiVersion":"authentication.k8s.io/` + version + `","kind":"TokenReview","spec":{"token":"` + token + `"}}`
}

func postReview(t *testing.T, url, body string) (status int, review authenticationv1.TokenReview) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	status, answer := send(t, http.DefaultTransport, r)
	if err := json.Unmarshal([]byte(answer), &review); err != nil {
		t.Fatalf("reading %q: %v", answer, err)
	}
	return status, review
}
