package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/version"
)

// joinEKSFlags are those of join --auth eks.
type joinEKSFlags struct {
	region, cluster, account string
	identity, apiIdentity    string
	fromEKS                  bool
	accessEntry              bool
	role                     string
	awsFlags                 awsFlags
}

// eksFlags are the names of those that belong to no other way to authenticate.
var eksFlags = []string{"region", "eks-cluster", "account", "identity", "api-identity", "from-eks", "access-entry", "role", "profile"}

func (f *joinEKSFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.region, "region", "", "with --auth eks: region of the EKS cluster")
	flags.StringVar(&f.cluster, "eks-cluster", "", "with --auth eks: name of the EKS cluster (default: NAME)")
	flags.StringVar(&f.account, "account", "", "with --auth eks: account of the EKS cluster (default: with --from-eks, the one that it is in)")
	flags.StringVar(&f.identity, "identity", "", "with --auth eks: AWSIdentity that the tokens prove (default: the manager's own identity)")
	flags.StringVar(&f.apiIdentity, "api-identity", "", "with --auth eks: AWSIdentity that asks the EKS API about the cluster (default: nobody does)")
	flags.BoolVar(&f.fromEKS, "from-eks", false, "with --auth eks: reach the cluster as the EKS API describes it and by your own AWS credentials, instead of by --remote-context")
	flags.BoolVar(&f.accessEntry, "access-entry", false, "with --auth eks: make the access entry, too, by your own AWS credentials, as hawser aws grant does")
	flags.StringVar(&f.role, "role", "", "with --access-entry: ARN of the role or user (default: what --identity leads to)")
	f.awsFlags.addProfile(cmd)
	for _, flag := range []string{"region", "eks-cluster", "account", "identity", "api-identity", "role"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

// refuseWay refuses no way to the remote cluster, and two.
func (f *joinFlags) refuseWay() error {
	if f.eks.fromEKS {
		return usageError("--from-eks and --remote-context: choose one")
	}
	return usageError("--remote-context is missing: name the context of the cluster to join")
}

// validateEKS refuses flags that make no sense together.
func (j *joining) validateEKS() error {
	f := j.flags
	switch auth := v1alpha1.AuthType(f.auth); {
	case auth == v1alpha1.AuthEKS && f.lifetime != 0:
		return usageError("--lifetime is not for --auth eks: its tokens live for 14 minutes, and are made anew all the time")
	case f.eks.role != "" && !f.eks.accessEntry:
		return usageError("--role is only for --access-entry")
	case auth == "" || auth == v1alpha1.AuthEKS: // what a cluster that is there has is seen later
		return nil
	}
	return j.refuseEKSFlags(v1alpha1.AuthType(f.auth))
}

// refuseEKSFlags refuses the flags of --auth eks for any other way.
func (j *joining) refuseEKSFlags(auth v1alpha1.AuthType) error {
	for _, flag := range eksFlags {
		if auth != v1alpha1.AuthEKS && j.given(flag) {
			return usageError("--%s is only for --auth eks", flag)
		}
	}
	return nil
}

// reach reaches the remote cluster by the person's rights: by a context, or as the EKS API describes it.
func (j *joining) reach(ctx context.Context) (*cluster, error) {
	if !j.flags.eks.fromEKS {
		return j.d.remote(j.flags.remote)
	}
	auth, err := j.eksSettings(ctx)
	if err != nil {
		return nil, err
	}
	name := v1alpha1.Auth{EKS: auth}.EKSClusterName(j.name)
	caller, err := j.d.awsCaller(ctx, j.flags.eks.awsFlags, auth.Region, nil)
	if err != nil {
		return nil, err
	}
	found, err := (aws.Clusters{}).Describe(ctx, caller.Credentials, auth.Region, name)
	switch {
	case err != nil:
		return nil, explainAWS(err)
	case auth.AccountID != "" && auth.AccountID != found.AccountID:
		return nil, fmt.Errorf("EKS cluster %q in %s is in account %s, and account %s is meant: use credentials of that, or correct --account", name, auth.Region, found.AccountID, auth.AccountID)
	case !found.Active() || found.Server == "":
		return nil, fmt.Errorf("EKS cluster %q in %s is %s: wait with aws eks wait cluster-active --region %s --name %s", name, auth.Region, found.Status, auth.Region, name)
	}
	j.account = found.AccountID
	token, err := aws.NewToken(ctx, caller.Credentials, auth.Region, name, j.d.clock.Now())
	if err != nil {
		return nil, explainAWS(err)
	}
	there, err := newCluster(&rest.Config{
		Host: found.Server, BearerToken: token.Value.Reveal(), TLSClientConfig: rest.TLSClientConfig{CAData: found.CAData},
		UserAgent: "hawser/" + version.String(), QPS: 50, Burst: 100,
	})
	if err != nil {
		return nil, err
	}
	if _, err := kubeSystemUID(ctx, there.Client); apierrors.IsUnauthorized(err) {
		return nil, fmt.Errorf("EKS cluster %q does not let %s in: use credentials that have an access entry there, with --profile, or another way, with --remote-context", name, caller.ARN)
	}
	return there, nil
}

// eksSettings is auth.eks as it was, changed by the flags.
func (j *joining) eksSettings(ctx context.Context) (*v1alpha1.EKSAuth, error) {
	eks := &v1alpha1.EKSAuth{}
	var now v1alpha1.RemoteCluster
	switch err := j.here.Client.Get(ctx, client.ObjectKey{Name: j.name}, &now); {
	case err == nil && now.Spec.Auth.EKS != nil:
		eks = now.Spec.Auth.EKS.DeepCopy()
	case client.IgnoreNotFound(err) != nil:
		return nil, explainMissingKind(fmt.Errorf("reading RemoteCluster %q: %w", j.name, err))
	}
	f := j.flags.eks
	eks.Region, eks.AccountID = cmp.Or(f.region, eks.Region), cmp.Or(f.account, eks.AccountID, j.account)
	if f.cluster != "" {
		eks.ClusterName = f.cluster
	}
	if f.identity != "" {
		eks.IdentityRef = &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: f.identity}
	}
	if f.apiIdentity != "" {
		eks.APIIdentityRef = &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: f.apiIdentity}
	}
	if eks.Region == "" {
		return nil, usageError("--region is missing: name the region of the EKS cluster")
	}
	return eks, nil
}

// decideEKS settles auth.eks, and refuses identities that lead nowhere.
func (j *joining) decideEKS(ctx context.Context) (*v1alpha1.EKSAuth, error) {
	eks, err := j.eksSettings(ctx)
	if err != nil {
		return nil, err
	}
	identities, err := j.d.identities(ctx, j.here)
	if err != nil {
		return nil, err
	}
	for _, ref := range []*v1alpha1.AWSIdentityRef{eks.IdentityRef, eks.APIIdentityRef} {
		if _, err := aws.Resolve(ctx, identities, aws.RefOf(ref), aws.Namespace{}); err != nil {
			return nil, explainAWS(err)
		}
	}
	if !j.flags.eks.accessEntry {
		return eks, nil
	}
	rc := &v1alpha1.RemoteCluster{}
	rc.Name, rc.Spec.Auth.EKS = j.name, eks
	arn := j.flags.eks.role
	if arn == "" {
		if arn, err = j.d.principalOf(ctx, j.here, rc); err != nil {
			return nil, err
		}
	}
	j.entry = access.Target{Region: eks.Region, Cluster: rc.Spec.Auth.EKSClusterName(j.name), AccountID: eks.AccountID, Local: j.local}
	j.entry.Principal, err = access.ParsePrincipal(arn)
	return eks, err
}

// applyEKS lets the identity in, and declares the RemoteCluster. Nothing is stored.
func (j *joining) applyEKS(ctx context.Context) error {
	if err := j.grantEntry(ctx, false); err != nil {
		return err
	}
	j.fresh = j.provesAnother()
	list := changes{d: j.d, title: "In the local cluster:"}
	if err := j.writeCluster(ctx, &list); err != nil {
		return err
	}
	list.end()
	return nil
}

// provesAnother reports whether the tokens will prove something else than what is in use, which then
// has to be waited for.
func (j *joining) provesAnother() bool {
	if j.existing == nil {
		return false
	}
	was := j.existing.Spec.Auth
	return was.EKS == nil || was.EKS.Region != j.auth.EKS.Region || was.EKSClusterName(j.name) != j.auth.EKSClusterName(j.name) ||
		aws.RefOf(was.EKS.IdentityRef) != aws.RefOf(j.auth.EKS.IdentityRef)
}

// grantEntry makes the access entry, if that is asked for.
func (j *joining) grantEntry(ctx context.Context, dryRun bool) error {
	if !j.flags.eks.accessEntry {
		return nil
	}
	caller, err := j.d.awsCaller(ctx, j.flags.eks.awsFlags, j.entry.Region, nil)
	if err != nil {
		return err
	}
	result, err := caller.changeEntry(ctx, j.d.clock, j.entry, access.Options{DryRun: dryRun}, access.Entries.Grant)
	if err != nil {
		return err
	}
	j.d.printEntry(result, dryRun)
	return nil
}

// forgetStored deletes the Secrets that an earlier way to authenticate needed, and this one does not.
func (j *joining) forgetStored(ctx context.Context) error {
	if !storesNothing(j.auth.Type) {
		return nil
	}
	list := changes{d: j.d, title: "In the local cluster, where nothing is stored any more:"}
	return j.d.deleteSecrets(ctx, j.here, j.name, &list)
}

// eksPlan is what a dry run says about the local side of auth.type eks.
func (j *joining) eksPlan(ctx context.Context) error {
	if j.flags.eks.accessEntry {
		fmt.Fprint(j.d.out, "---\n# ")
		return j.grantEntry(ctx, true)
	}
	_, err := fmt.Fprintf(j.d.out, "---\n# Then, unless there is one: the access entry, by hawser aws grant %s, or here with --access-entry.\n", j.name)
	return err
}
