package aws

import (
	"context"
	"fmt"
	"net/http"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/utils/clock"
)

// STSClient is what is asked of STS; *sts.Client is one.
type STSClient interface {
	AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, opts ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
	GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput, opts ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// EKSClient is what is asked of EKS about clusters; *eks.Client is one.
type EKSClient interface {
	DescribeCluster(ctx context.Context, in *eks.DescribeClusterInput, opts ...func(*eks.Options)) (*eks.DescribeClusterOutput, error)
	ListClusters(ctx context.Context, in *eks.ListClustersInput, opts ...func(*eks.Options)) (*eks.ListClustersOutput, error)
}

// LoadConfig reads the SDK's settings from the environment and the files that it looks at: endpoints
// (AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL_EKS), CA bundle, proxy, and the manager's own identity. It
// reaches nothing. Clients of one configuration share their connections and sign by clk.
func LoadConfig(ctx context.Context, clk clock.PassiveClock) (awssdk.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryer(newRetryer))
	if err != nil {
		return awssdk.Config{}, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.AppID == "" {
		cfg.AppID = "hawser"
	}
	cfg.HTTPClient = sharedHTTPClient(cfg.HTTPClient)
	// A clock that is off is told of, not compensated: the tokens that we make would be off all the same.
	cfg.DisableClockSkewCorrection = true
	cfg.ServiceOptions = append(cfg.ServiceOptions, func(_ string, options any) {
		switch o := options.(type) {
		case *sts.Options:
			o.HTTPSignerV4 = Signer(clk)
		case *eks.Options:
			o.HTTPSignerV4 = Signer(clk)
		}
	})
	return cfg, nil
}

// STSFrom makes clients of STS for a region from a configuration of LoadConfig.
func STSFrom(cfg awssdk.Config) func(region string, creds awssdk.CredentialsProvider) STSClient {
	return func(region string, creds awssdk.CredentialsProvider) STSClient {
		return sts.NewFromConfig(in(cfg, region, creds))
	}
}

// EKSFrom makes clients of EKS for a region from a configuration of LoadConfig.
func EKSFrom(cfg awssdk.Config) func(region string, creds awssdk.CredentialsProvider) EKSClient {
	return func(region string, creds awssdk.CredentialsProvider) EKSClient {
		return eks.NewFromConfig(in(cfg, region, creds))
	}
}

func in(cfg awssdk.Config, region string, creds awssdk.CredentialsProvider) awssdk.Config {
	cfg.Region, cfg.Credentials = region, creds
	return cfg
}

// sharedHTTPClient keeps the SDK from making a transport, and so new connections, for every client.
// Redirects are not followed: no endpoint of AWS needs them, and a signed request is for one host.
func sharedHTTPClient(configured awssdk.HTTPClient) awssdk.HTTPClient {
	buildable, ok := configured.(*awshttp.BuildableClient)
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	return &http.Client{
		Transport:     buildable.GetTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newRetryer tries once more where the way to AWS or AWS itself stumbled, and never where it asks for
// less: throttling is for the back-off of Sessions, which knows all callers.
func newRetryer() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.MaxBackoff = time.Second
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableConnectionError{},
			retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
		}
	})
}

// Signer is the SDK's signer on a clock of ours, for clients of services that LoadConfig does not know.
func Signer(clk clock.PassiveClock) *ClockSigner {
	return &ClockSigner{signer: v4.NewSigner(), clock: clk}
}

// ClockSigner signs by its own clock whatever time it is told.
type ClockSigner struct {
	signer *v4.Signer
	clock  clock.PassiveClock
}

// SignHTTP implements the interface HTTPSignerV4 of the SDK's services.
func (s *ClockSigner) SignHTTP(ctx context.Context, creds awssdk.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return s.signer.SignHTTP(ctx, creds, r, payloadHash, service, region, s.clock.Now(), opts...)
}
