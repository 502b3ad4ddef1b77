// Package eks finds out which link is broken on the way from an identity in AWS
// into an EKS cluster, from where the person at the keyboard is: hop by hop along
// the chain of roles, over what the EKS API says about the cluster and the access
// entry, to what the cluster itself takes a token for. It reads, and changes
// nothing. How the API server is reached is the business of package doctor.
package eks

import (
	"context"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

// Patient is one cluster to examine.
type Patient struct {
	Cluster *v1alpha1.RemoteCluster
	// OnBehalfOf is the namespace that the identities are used for; empty where a person wrote the RemoteCluster.
	OnBehalfOf aws.Namespace
	// SameName are other RemoteClusters whose tokens are signed for the same name.
	SameName []string
}

// Surroundings are what all patients share.
type Surroundings struct {
	Clock clock.WithTicker
	// Local is the name of the local cluster, and Namespace the one there that Hawser runs in.
	Local, Namespace string
	UserAgent        string
	// Identities of the local cluster.
	Identities aws.Reader
	// Sessions begin with the AWS credentials that are to be had here.
	Sessions *aws.Sessions
	// AsManager says that these are the manager's own.
	AsManager bool
	Entries   access.Entries
	// Policies tells what a role may do.
	Policies func(region string, creds awssdk.CredentialsProvider) Policies
}

// Policies is what is asked of IAM about the token role. *iam.Client is one.
type Policies interface {
	ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput, opts ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error)
	ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput, opts ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error)
}

// stepTimeout is the deadline of each question to AWS and to the cluster.
const stepTimeout = 15 * time.Second

// Examine examines one cluster. It ends when ctx does, or by the deadlines of its steps. Its checks are
// ground, chain, hop 0 and on, policies, api chain, api hop 0 and on, cluster, account, endpoint, entry,
// token, audience and manager.
func Examine(ctx context.Context, p Patient, s Surroundings) doctor.Report {
	report := doctor.Report{Cluster: p.Cluster.Name}
	if p.Cluster.Spec.Auth.EKS == nil {
		report.Findings = []doctor.Finding{{
			Check: "spec", Severity: doctor.Error, Repair: "hawser check " + p.Cluster.Name,
			Message: "auth.type is " + string(p.Cluster.Spec.Auth.Type) + ": AWS has nothing to do with it",
		}}
		return report
	}
	e := &examination{Patient: p, Surroundings: s}
	report.Findings = judge(p, s, e.observe(ctx))
	return report
}
