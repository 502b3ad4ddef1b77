package aws

import (
	"context"
	"errors"
	"fmt"
	"os"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const repairGround = "give the manager an identity by IRSA, Pod Identity, environment or instance: see hawser aws bootstrap management"

// ground takes on the manager's own identity.
func (p *provider) ground(ctx context.Context) (grant, *Error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	own := p.sessions.Ground
	if own == nil {
		own = p.sessions.defaultGround
	}
	source, err := own(ctx)
	if err == nil && source == nil {
		err = errors.New("there are none")
	}
	if err != nil {
		return grant{}, p.noGround(err)
	}
	obtainedAt := p.sessions.Clock.Now()
	creds, err := source.Retrieve(ctx)
	if err != nil {
		return grant{}, p.noGround(err)
	}
	if creds.CanExpire && !creds.Expires.After(obtainedAt) {
		return grant{}, p.broken(&Error{Reason: v1alpha1.ReasonCredentialsExpired, Repair: "see that whoever gives the manager its credentials renews them, and that its clock is right",
			Err: fmt.Errorf("its credentials ended at %s", creds.Expires.UTC().Format("2006-01-02T15:04:05Z"))})
	}
	return grant{creds: creds, obtainedAt: obtainedAt, account: creds.AccountID}, nil
}

// noGround tells a denial or a dead network from there being no credentials at all.
func (p *provider) noGround(err error) *Error {
	e := p.brokenBy(err, "finding AWS credentials")
	if e.Reason == v1alpha1.ReasonAWSError || e.Reason == v1alpha1.ReasonCredentialsExpired {
		e.Repair = repairGround
	}
	if e.Reason == v1alpha1.ReasonAWSError {
		e.Reason = v1alpha1.ReasonNoAWSCredentials
	}
	return e
}

// defaultGround is the SDK's chain, read anew each time: a mounted file may have been replaced.
func (s *Sessions) defaultGround(ctx context.Context) (awssdk.CredentialsProvider, error) {
	region := s.Region
	if region == "" {
		partition, _ := PartitionOfARN(os.Getenv("AWS_ROLE_ARN")) // of IRSA, whose STS needs a region
		region = DefaultRegion(partition)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithDefaultRegion(region), config.WithRetryer(newRetryer))
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	return cfg.Credentials, nil
}
