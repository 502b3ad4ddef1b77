package cli

import (
	"context"
	"errors"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
)

// awsFlags say by whose credentials a command acts in AWS: those of the person at the keyboard, or an
// identity of the local cluster's.
type awsFlags struct{ profile, identity string }

func (f *awsFlags) addProfile(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.profile, "profile", "", "profile of your AWS configuration (default: as for the AWS CLI)")
	_ = cmd.RegisterFlagCompletionFunc("profile", cobra.NoFileCompletions)
}

// awsCaller is somebody who acts in AWS.
type awsCaller struct {
	Credentials awssdk.CredentialsProvider
	ARN         string
	Account     string
}

// awsSessions makes sessions that begin with the AWS credentials of the person at the keyboard. Region is
// that of the cluster in question: in another partition than that, nobody knows them.
func (d *deps) awsSessions(ctx context.Context, profile, region string) (*aws.Sessions, error) {
	config, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithSharedConfigProfile(profile),
		awsconfig.WithDefaultRegion(region),
		awsconfig.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) { o.TokenProvider = d.askMFA }))
	if err != nil {
		return nil, fmt.Errorf("reading your AWS configuration: %w", err)
	}
	if aws.PartitionOfRegion(config.Region) == aws.PartitionOfRegion(region) {
		region = config.Region
	}
	own := func(context.Context) (awssdk.CredentialsProvider, error) { return config.Credentials, nil }
	return &aws.Sessions{Clock: d.clock, Region: region, Ground: own}, nil
}

// askMFA asks for the code of a profile that needs one.
func (d *deps) askMFA() (code string, err error) {
	fmt.Fprint(d.err, "MFA code: ")
	_, err = fmt.Fscanln(d.in, &code)
	return code, err
}

// awsCaller takes on who is to act, and asks AWS who that is.
func (d *deps) awsCaller(ctx context.Context, f awsFlags, region string, reader func() (aws.Reader, error)) (awsCaller, error) {
	var ref aws.Ref
	var identities aws.Reader
	if f.identity != "" {
		ref = aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: f.identity}
		var err error
		if identities, err = reader(); err != nil {
			return awsCaller{}, err
		}
	}
	chain, err := aws.Resolve(ctx, identities, ref, aws.Namespace{})
	if err != nil {
		return awsCaller{}, explainAWS(err)
	}
	sessions, err := d.awsSessions(ctx, f.profile, region)
	if err != nil {
		return awsCaller{}, err
	}
	arn, account, err := sessions.CallerIdentity(ctx, chain, len(chain.Roles))
	if err != nil {
		return awsCaller{}, explainAWS(err)
	}
	return awsCaller{sessions.Provider(chain), arn, account}, nil
}

// changeEntry grants or revokes an access entry as this caller.
func (c awsCaller) changeEntry(ctx context.Context, clk clock.Clock, t access.Target, o access.Options, change entryChange) (access.Result, error) {
	if t.AccountID != "" && c.Account != t.AccountID { // EKS knows no clusters of other accounts, and may know one of the same name
		return access.Result{}, fmt.Errorf("EKS cluster %q is in account %s, and the credentials are of %s. Repair: choose others with --profile or --identity", t.Cluster, t.AccountID, c.ARN)
	}
	entries, err := access.New(ctx, clk)
	if err != nil {
		return access.Result{}, err
	}
	result, err := change(entries, ctx, c.Credentials, t, o)
	if err != nil {
		err = fmt.Errorf("%w (asked as %s)", err, c.ARN)
		if known := new(aws.Error); errors.As(err, &known) && known.Repair != "" {
			err = fmt.Errorf("%w. Repair: %s", err, known.Repair)
		}
	}
	return result, err
}

// repairOwn is what mends the credentials of the person at the keyboard.
const repairOwn = "see whose they are with aws sts get-caller-identity, log in again, or choose others with --profile"

// explainAWS says an error of package aws as it is where the person at the keyboard stands: what chains
// start from is not the manager's own identity here, but theirs.
func explainAWS(err error) error {
	known := new(aws.Error)
	switch {
	case err == nil || !errors.As(err, &known):
		return err
	case known.Ref.IsZero() && known.Hop == 0:
		return fmt.Errorf("with your own AWS credentials: %w. Repair: %s", known.Err, repairOwn)
	case known.Repair != "":
		return fmt.Errorf("%w. Repair: %s", err, known.Repair)
	}
	return err
}
