package awstest

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/utils/clock"
)

// Env is the environment in which the SDK's clients come to this server, and know nothing of the machine's own AWS.
func (s *Server) Env() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_STS":        s.URL,
		"AWS_ENDPOINT_URL_EKS":        s.URL,
		"AWS_ENDPOINT_URL_IAM":        s.URL,
		"AWS_REGION":                  s.region,
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// CredentialEnv is the environment from which the SDK's default chain takes the credentials.
func CredentialEnv(creds aws.Credentials) map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":     creds.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": creds.SecretAccessKey,
		"AWS_SESSION_TOKEN":     creds.SessionToken,
	}
}

// Setenv sets Env and CredentialEnv for the test. No credentials are those of the zero value.
func (s *Server) Setenv(t testing.TB, creds aws.Credentials) {
	t.Helper()
	for _, key := range []string{"AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(key, "")
	}
	for _, env := range []map[string]string{s.Env(), CredentialEnv(creds)} {
		for key, value := range env {
			t.Setenv(key, value)
		}
	}
}

// Signer is the SDK's signer on a clock of one's own: of a client's option HTTPSignerV4, and for presigning.
type Signer struct {
	Clock clock.PassiveClock
}

// SignHTTP implements v4.HTTPSigner.
func (s Signer) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, creds, r, hash, service, region, s.Clock.Now(), opts...)
}

// PresignHTTP implements sts.HTTPPresignerV4.
func (s Signer) PresignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return v4.NewSigner().PresignHTTP(ctx, creds, r, hash, service, region, s.Clock.Now(), opts...)
}

// STS is a client that signs by the server's clock (without its skew) and does not retry.
func (s *Server) STS(region string, creds aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{
		Region: region, Credentials: creds, BaseEndpoint: &s.URL, HTTPSignerV4: Signer{s.clock}, Retryer: aws.NopRetryer{},
	})
}

// EKS is a client as STS is.
func (s *Server) EKS(region string, creds aws.CredentialsProvider) *eks.Client {
	return eks.New(eks.Options{
		Region: region, Credentials: creds, BaseEndpoint: &s.URL, HTTPSignerV4: Signer{s.clock}, Retryer: aws.NopRetryer{},
	})
}

// IAM is a client as STS is.
func (s *Server) IAM(creds aws.CredentialsProvider) *iam.Client {
	return iam.New(iam.Options{
		Region: s.region, Credentials: creds, BaseEndpoint: &s.URL, HTTPSignerV4: Signer{s.clock}, Retryer: aws.NopRetryer{},
	})
}

// Transport takes requests for the real hosts of AWS to this server, which then checks their host, too.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	again := r.Clone(r.Context())
	if again.Host == "" {
		again.Host = r.URL.Host
	}
	again.URL.Scheme, again.URL.Host = "http", t.server.http.Addr
	return t.server.transport.RoundTrip(again)
}
