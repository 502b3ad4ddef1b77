package access

import (
	"context"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/aws"
)

// New returns Entries that ask AWS, at the endpoints that the environment names, and sign by clk.
func New(ctx context.Context, clk clock.Clock) (Entries, error) {
	cfg, err := aws.LoadConfig(ctx, clk)
	if err != nil {
		return Entries{}, err
	}
	in := func(region string, creds awssdk.CredentialsProvider) awssdk.Config {
		cfg := cfg.Copy()
		cfg.Region, cfg.Credentials = region, creds
		return cfg
	}
	return Entries{
		API: func(region string, creds awssdk.CredentialsProvider) API {
			// Somebody waits for the answer: throttling is worth another try.
			return eks.NewFromConfig(in(region, creds), func(o *eks.Options) { o.Retryer = retry.NewStandard() })
		},
		Roles: func(region string, creds awssdk.CredentialsProvider) Roles {
			return iam.NewFromConfig(in(region, creds), func(o *iam.Options) { o.HTTPSignerV4 = aws.Signer(clk) })
		},
		Clusters: aws.Clusters{API: aws.EKSFrom(cfg)},
		Clock:    clk,
	}, nil
}
