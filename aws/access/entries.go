// Package access owns access entries: what lets an AWS role or user into an EKS
// cluster, as a member of a Kubernetes group. It makes, repairs and deletes the
// one entry of a connection, for the group v1alpha1.MembersGroup, and nothing that
// somebody else made. What the group may do is RBAC, and the business of package
// member.
package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// API is what entries need of the EKS API. *eks.Client is one.
type API interface {
	DescribeAccessEntry(ctx context.Context, in *eks.DescribeAccessEntryInput, opts ...func(*eks.Options)) (*eks.DescribeAccessEntryOutput, error)
	ListAssociatedAccessPolicies(ctx context.Context, in *eks.ListAssociatedAccessPoliciesInput, opts ...func(*eks.Options)) (*eks.ListAssociatedAccessPoliciesOutput, error)
	CreateAccessEntry(ctx context.Context, in *eks.CreateAccessEntryInput, opts ...func(*eks.Options)) (*eks.CreateAccessEntryOutput, error)
	UpdateAccessEntry(ctx context.Context, in *eks.UpdateAccessEntryInput, opts ...func(*eks.Options)) (*eks.UpdateAccessEntryOutput, error)
	DeleteAccessEntry(ctx context.Context, in *eks.DeleteAccessEntryInput, opts ...func(*eks.Options)) (*eks.DeleteAccessEntryOutput, error)
	TagResource(ctx context.Context, in *eks.TagResourceInput, opts ...func(*eks.Options)) (*eks.TagResourceOutput, error)
}

// Roles tells of a role, where that is permitted. *iam.Client is one.
type Roles interface {
	GetRole(ctx context.Context, in *iam.GetRoleInput, opts ...func(*iam.Options)) (*iam.GetRoleOutput, error)
}

// Entries looks at access entries and changes them, with the credentials of whoever asks. New makes them.
type Entries struct {
	// API makes a client of the EKS API in a region.
	API func(region string, creds awssdk.CredentialsProvider) API
	// Roles makes a client of IAM. Nil: nothing is asked about roles, so that a role that was made
	// again is not noticed.
	Roles func(region string, creds awssdk.CredentialsProvider) Roles
	// Clusters tells the authentication mode of a cluster.
	Clusters aws.Clusters
	// Clock for the wait between deletion and creation. Nil: the real one.
	Clock clock.Clock
}

// Result is what was found, decided and done.
type Result struct {
	// Target, with the path of the role where it was found out.
	Target Target
	// Found is what there was, and Entry what there is now; nil where there is none.
	Found Observed
	Entry *Entry
	Plan  Plan
}

// Look finds out what there is. The target that it returns has the path of the role where only IAM knew it.
func (e Entries) Look(ctx context.Context, creds awssdk.CredentialsProvider, t Target) (Observed, Target, error) {
	var found Observed
	if err := t.validate(); err != nil {
		return found, t, err
	}
	cluster, err := e.Clusters.Describe(ctx, creds, t.Region, t.Cluster)
	if err != nil && reasonOf(err) != v1alpha1.ReasonEKSDenied { // who may grant need not be who may describe
		return found, t, asFailure(err)
	}
	found.AccountID, found.AuthenticationMode = cluster.AccountID, cluster.AuthenticationMode
	if t.elsewhere(found) || found.AuthenticationMode == configMapMode {
		return found, t, nil
	}
	t.Principal, found.RoleCreated = e.role(ctx, creds, t)
	found.Entry, err = e.describe(ctx, creds, t)
	return found, t, err
}

// Grant makes the access entry of a connection, or repairs it, and says what it did. It may be
// repeated at any time. What it refuses is an *aws.Error with the command that helps.
func (e Entries) Grant(ctx context.Context, creds awssdk.CredentialsProvider, t Target, o Options) (Result, error) {
	result, err := e.grant(ctx, creds, t, o)
	if isInUse(err) {
		result, err = e.grant(ctx, creds, t, o) // somebody else made it meanwhile: look again, once
	}
	return result, err
}

func (e Entries) grant(ctx context.Context, creds awssdk.CredentialsProvider, t Target, o Options) (Result, error) {
	found, t, err := e.Look(ctx, creds, t)
	if err != nil {
		return Result{Target: t, Found: found}, err
	}
	result := Result{Target: t, Found: found, Entry: found.Entry, Plan: Decide(t, found, o)}
	if result.Plan.Action == Refuse {
		return result, t.refusal("granting access to "+t.String(), result.Plan)
	}
	if o.DryRun {
		return result, nil
	}
	api := e.API(t.Region, creds)
	switch result.Plan.Action {
	case Create:
		result.Entry, err = e.create(ctx, api, t)
	case Recreate:
		if err = e.delete(ctx, api, t); err == nil {
			result.Entry = nil
			result.Entry, err = e.createAfterDelete(ctx, api, t)
		}
	case Change:
		result.Entry, err = e.change(ctx, api, t, result.Plan, found.Entry)
	}
	return result, err
}

// Revoke deletes the access entry of a connection, if it is Hawser's or with Options.Force, and says
// what it did. It may be repeated, and waits for nothing: EKS takes some seconds to refuse the tokens.
func (e Entries) Revoke(ctx context.Context, creds awssdk.CredentialsProvider, t Target, o Options) (Result, error) {
	found, t, err := e.Look(ctx, creds, t)
	if err != nil {
		return Result{Target: t, Found: found}, err
	}
	result := Result{Target: t, Found: found, Entry: found.Entry, Plan: DecideRevoke(t, found, o)}
	if result.Plan.Action == Refuse {
		return result, t.refusal("revoking access to "+t.String(), result.Plan)
	}
	if o.DryRun || result.Plan.Action != Delete {
		return result, nil
	}
	if err := e.delete(ctx, e.API(t.Region, creds), t); err != nil {
		return result, err
	}
	result.Entry = nil
	return result, nil
}

// String names the target in messages.
func (t Target) String() string {
	return fmt.Sprintf("cluster %q in %s for %s", t.Cluster, t.Region, t.Principal.ARN)
}

func (t Target) validate() error {
	switch partition := aws.PartitionOfRegion(t.Region); {
	case t.Region == "" || t.Cluster == "" || t.Local == "" || t.Principal.ARN == "":
		return errors.New("naming an access entry: region, cluster, principal and local cluster are all needed")
	case partition != t.Principal.Partition:
		return fail(v1alpha1.ReasonCrossPartition, "use a role of partition "+partition, nil,
			"naming an access entry: %s is of partition %s, and region %s of partition %s", t.Principal.ARN, t.Principal.Partition, t.Region, partition)
	}
	return nil
}

// role asks IAM when the role was made, and for its path where a session's ARN did not tell it. IAM
// looks a role up by name, in the account of whoever asks: an answer about another account's is no answer.
func (e Entries) role(ctx context.Context, creds awssdk.CredentialsProvider, t Target) (Principal, time.Time) {
	if e.Roles == nil || !t.Principal.Role {
		return t.Principal, time.Time{}
	}
	out, err := e.Roles(t.Region, creds).GetRole(ctx, &iam.GetRoleInput{RoleName: &t.Principal.Name})
	if err != nil || out.Role == nil || out.Role.CreateDate == nil {
		return t.Principal, time.Time{} // most who may grant may not look at roles
	}
	p := t.Principal
	switch known := awssdk.ToString(out.Role.Arn); {
	case known == p.ARN:
	case p.PathUnknown && p.sameButPath(known):
		p.ARN, p.PathUnknown = known, false
	default:
		return t.Principal, time.Time{}
	}
	return p, *out.Role.CreateDate
}

// describe returns the entry, nil where there is none.
func (e Entries) describe(ctx context.Context, creds awssdk.CredentialsProvider, t Target) (*Entry, error) {
	api := e.API(t.Region, creds)
	out, err := api.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: &t.Cluster, PrincipalArn: &t.Principal.ARN})
	if isNoEntry(err) {
		return nil, nil
	}
	if err != nil {
		return nil, t.explain("reading", "eks:DescribeAccessEntry", err)
	}
	entry := entryOf(out.AccessEntry)
	policies, err := api.ListAssociatedAccessPolicies(ctx, &eks.ListAssociatedAccessPoliciesInput{ClusterName: &t.Cluster, PrincipalArn: &t.Principal.ARN})
	if err != nil {
		return entry, nil //nolint:nilerr // worth a warning where it is known, and not worth a permission
	}
	for _, policy := range policies.AssociatedAccessPolicies {
		entry.Policies = append(entry.Policies, awssdk.ToString(policy.PolicyArn))
	}
	return entry, nil
}

func (e Entries) create(ctx context.Context, api API, t Target) (*Entry, error) {
	out, err := api.CreateAccessEntry(ctx, &eks.CreateAccessEntryInput{
		ClusterName: &t.Cluster, PrincipalArn: &t.Principal.ARN, Type: awssdk.String(Standard),
		KubernetesGroups: wantedGroups, Tags: t.tags(),
	})
	if err != nil {
		return nil, t.explain("creating", "eks:CreateAccessEntry and eks:TagResource", err)
	}
	return entryOf(out.AccessEntry), nil
}

// createDelays are how long to wait for a deletion to be known everywhere in EKS.
var createDelays = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

func (e Entries) createAfterDelete(ctx context.Context, api API, t Target) (*Entry, error) {
	clk := e.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	for _, delay := range createDelays {
		entry, err := e.create(ctx, api, t)
		if !isInUse(err) {
			return entry, err
		}
		select {
		case <-clk.After(delay):
		case <-ctx.Done():
			return nil, fmt.Errorf("creating the access entry of %s anew, which is deleted: %w", t.Principal.ARN, ctx.Err())
		}
	}
	return e.create(ctx, api, t)
}

func (e Entries) change(ctx context.Context, api API, t Target, p Plan, was *Entry) (*Entry, error) {
	// The tags come first: an entry that is tagged and not changed is repaired by the next grant.
	if p.Tag {
		if _, err := api.TagResource(ctx, &eks.TagResourceInput{ResourceArn: &was.ARN, Tags: t.tags()}); err != nil {
			return was, t.explain("tagging", "eks:TagResource", err)
		}
	}
	out, err := api.UpdateAccessEntry(ctx, &eks.UpdateAccessEntryInput{ClusterName: &t.Cluster, PrincipalArn: &t.Principal.ARN, KubernetesGroups: wantedGroups})
	if err != nil {
		return was, t.explain("changing", "eks:UpdateAccessEntry", err)
	}
	now := entryOf(out.AccessEntry)
	now.Policies = was.Policies
	if p.Tag {
		now.Tags = maps.Clone(now.Tags)
		if now.Tags == nil {
			now.Tags = map[string]string{}
		}
		maps.Copy(now.Tags, t.tags())
	}
	return now, nil
}

// delete takes an entry that is gone already for deleted.
func (e Entries) delete(ctx context.Context, api API, t Target) error {
	_, err := api.DeleteAccessEntry(ctx, &eks.DeleteAccessEntryInput{ClusterName: &t.Cluster, PrincipalArn: &t.Principal.ARN})
	if err != nil && !isNoEntry(err) {
		return t.explain("deleting", "eks:DeleteAccessEntry", err)
	}
	return nil
}

func (t Target) tags() map[string]string {
	return map[string]string{ManagedByTag: v1alpha1.ManagedBy, LocalClusterTag: t.Local}
}

func entryOf(e *ekstypes.AccessEntry) *Entry {
	return &Entry{
		ARN:       awssdk.ToString(e.AccessEntryArn),
		Principal: awssdk.ToString(e.PrincipalArn),
		Type:      awssdk.ToString(e.Type),
		Username:  awssdk.ToString(e.Username),
		Groups:    e.KubernetesGroups,
		Tags:      e.Tags,
		CreatedAt: awssdk.ToTime(e.CreatedAt),
	}
}
