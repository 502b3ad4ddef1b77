package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
)

// entryFlags name an access entry where a RemoteCluster does not.
type entryFlags struct {
	awsFlags
	cluster, region, role string
	localName             string
}

func (f *entryFlags) add(cmd *cobra.Command) {
	f.addProfile(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.identity, "identity", "", "AWSIdentity to act as, instead of by your own AWS credentials")
	flags.StringVar(&f.cluster, "cluster", "", "name of the EKS cluster (default: that of the RemoteCluster)")
	flags.StringVar(&f.region, "region", "", "region of the EKS cluster (default: that of the RemoteCluster)")
	flags.StringVar(&f.role, "role", "", "ARN of the role or user that is to come in (default: what auth.eks.identityRef leads to)")
	flags.StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	for _, flag := range []string{"identity", "cluster", "region", "role"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

// validate refuses what needs no cluster to be refused.
func (f *entryFlags) validate(name string) error {
	switch {
	case name == "" && (f.cluster == "" || f.region == "" || f.role == ""):
		return usageError("name a RemoteCluster, or an EKS cluster with --cluster, --region and --role")
	case f.identity != "" && f.profile != "":
		return usageError("--identity and --profile: choose one")
	}
	return nil
}

// entryTarget finds out which access entry is meant. The local cluster is asked only for what flags do not say.
func (d *deps) entryTarget(ctx context.Context, f entryFlags, name string) (access.Target, error) {
	t := access.Target{Region: f.region, Cluster: f.cluster, Local: f.localName}
	var here *cluster
	var err error
	if name != "" || f.localName == "" {
		if here, err = d.local(); err != nil {
			return t, err
		}
		if t.Local, err = d.localName(ctx, here.Client, f.localName); err != nil {
			return t, err
		}
	}
	arn := f.role
	if name != "" {
		rc, err := getCluster(ctx, here.Client, name)
		if err != nil {
			return t, err
		}
		if rc.Spec.Auth.EKS == nil && (f.cluster == "" || f.region == "" || f.role == "") {
			return t, usageError("RemoteCluster %q has auth.type %s: name the EKS cluster with --cluster and --region, and who comes in with --role", name, rc.Spec.Auth.Type)
		}
		if eks := rc.Spec.Auth.EKS; eks != nil {
			t.Region, t.AccountID = cmp.Or(t.Region, eks.Region), eks.AccountID
			t.Cluster = cmp.Or(t.Cluster, rc.Spec.Auth.EKSClusterName(name))
			if arn == "" {
				if arn, err = d.principalOf(ctx, here, rc); err != nil {
					return t, err
				}
			}
		}
	}
	t.Principal, err = access.ParsePrincipal(arn)
	return t, err
}

// principalOf finds out whom the tokens of a RemoteCluster prove: the role of its identity, or whoever
// its identity is where it is no role.
func (d *deps) principalOf(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster) (string, error) {
	ref := aws.RefOf(rc.Spec.Auth.EKS.IdentityRef)
	identities, err := d.identities(ctx, here)
	if err != nil {
		return "", err
	}
	chain, err := aws.Resolve(ctx, identities, ref, aws.Namespace{})
	if err != nil {
		return "", explainAWS(err)
	}
	if arn := chain.ARN(); arn != "" {
		return arn, nil
	}
	if chain.Ground.Type == v1alpha1.AWSStaticIdentity {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		sessions, err := d.awsSessions(ctx, "", rc.Spec.Auth.EKS.Region)
		if err != nil {
			return "", err
		}
		arn, _, err := sessions.CallerIdentity(ctx, chain, 0)
		return arn, explainAWS(err)
	}
	// The manager's own identity: only the manager knows it, and has written it down if there is an object for it.
	if ref.Kind == v1alpha1.KindAWSIdentity {
		var identity v1alpha1.AWSIdentity
		if err := here.Client.Get(ctx, client.ObjectKey{Name: ref.Name}, &identity); err != nil {
			return "", fmt.Errorf("reading %s: %w", ref, err)
		}
		if identity.Status.ARN != "" {
			return identity.Status.ARN, nil
		}
	}
	return "", errors.New("the tokens prove the manager's own identity, which is not known from here: name its role with --role " +
		"(kubectl -n " + d.namespace + " exec deploy/hawser -- hawser aws check " + rc.Name + " tells it)")
}
