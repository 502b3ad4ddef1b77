package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/cli/doctor/eks"
	"github.com/hawser-io/hawser/internal/version"
)

type awsCheckFlags struct {
	awsFlags
	output    string
	localName string
	timeout   time.Duration
}

func newAWSCheck(d *deps) *cobra.Command {
	var f awsCheckFlags
	cmd := &cobra.Command{
		Use:   "check NAME",
		Short: "Find the broken link between an identity in AWS and an EKS cluster",
		Long: `Walk the way that a connection of auth.type eks takes, from where you are: each hop of the
chain of identities, as STS knows it; policies of the token role, which needs none; what the
EKS API says about the cluster, its account, address, CA and authentication mode; the access
entry; and whom the cluster takes a token for. The first link that is broken is an error, with
the command that repairs it; what comes after it is skipped.

A chain starts with the manager's own identity, unless it starts with static keys. You have
another: your own AWS credentials, or those of --profile. Where you may not assume a role that
the manager may, run it as the manager:
  kubectl -n hawser exec deploy/hawser -- hawser aws check NAME

Nothing is changed. The exit code is 1 if there is an error; warnings leave it at 0. -o json
prints {cluster, findings: [{check, severity, message, repair}]}, with the severities ok,
skipped, warning and error. hawser check NAME examines the way to the API server itself.`,
		Example: `  hawser aws check prod
  hawser aws check prod --profile prod-admin -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.awsCheck(ctx, args[0], f)
		},
	}
	f.addProfile(cmd)
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	cmd.Flags().StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 2*time.Minute, "deadline of the whole check")
	return cmd
}

func (d *deps) awsCheck(ctx context.Context, name string, f awsCheckFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	rc, err := getCluster(ctx, here.Client, name)
	if err != nil {
		return err
	}
	patient, err := awsPatient(ctx, here, rc)
	if err != nil {
		return err
	}
	around, err := d.awsSurroundings(ctx, here, rc, f)
	if err != nil {
		return err
	}
	report := eks.Examine(ctx, patient, around)
	if f.output != formatTable {
		err = encode(d.out, f.output, report)
	} else {
		d.printReports([]doctor.Report{report})
	}
	if err != nil {
		return err
	}
	return d.reportFindings([]doctor.Report{report})
}

func awsPatient(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster) (eks.Patient, error) {
	p := eks.Patient{Cluster: rc}
	all, err := listClusters(ctx, here.Client, nil)
	if err != nil {
		return p, err
	}
	p.SameName = sameEKSName(all, rc)
	namespace := rc.Labels[v1alpha1.NamespaceLabel]
	if namespace == "" {
		return p, nil
	}
	var ns corev1.Namespace
	if err := here.Client.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil && !apierrors.IsNotFound(err) {
		return p, fmt.Errorf("reading namespace %q, which RemoteCluster %q was made for: %w", namespace, rc.Name, err)
	}
	p.OnBehalfOf = aws.Namespace{Name: namespace, Labels: ns.Labels}
	return p, nil
}

// sameEKSName are the other clusters whose tokens are signed for the name that those of rc are signed for.
func sameEKSName(all []v1alpha1.RemoteCluster, rc *v1alpha1.RemoteCluster) []string {
	ours := rc.Spec.Auth.EKS
	var names []string
	for _, other := range all {
		theirs := other.Spec.Auth.EKS
		if ours == nil || theirs == nil || other.Name == rc.Name || other.Spec.Auth.EKSClusterName(other.Name) != rc.Spec.Auth.EKSClusterName(rc.Name) ||
			aws.PartitionOfRegion(ours.Region) != aws.PartitionOfRegion(theirs.Region) {
			continue
		}
		if ours.Region != theirs.Region || ours.AccountID != theirs.AccountID {
			names = append(names, other.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (d *deps) awsSurroundings(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster, f awsCheckFlags) (eks.Surroundings, error) {
	identities, err := d.identities(ctx, here)
	if err != nil {
		return eks.Surroundings{}, err
	}
	s := eks.Surroundings{
		Clock: d.clock, Namespace: d.namespace, UserAgent: "hawser/" + version.String(), Identities: identities,
		// A pod of the manager is the only place where its own identity is to be had.
		AsManager: here.Config != nil && here.Config.BearerTokenFile == podTokenFile,
	}
	id, err := d.identityOf(ctx, here.Client)
	if err != nil {
		return s, err
	}
	s.Local = cmp.Or(f.localName, id.Name)
	if rc.Spec.Auth.EKS == nil {
		return s, nil
	}
	if s.Sessions, err = d.awsSessions(ctx, f.profile, rc.Spec.Auth.EKS.Region); err != nil {
		return s, err
	}
	if s.Entries, err = access.New(ctx, d.clock); err != nil {
		return s, err
	}
	config, err := aws.LoadConfig(ctx, d.clock)
	s.Policies = func(region string, creds awssdk.CredentialsProvider) eks.Policies {
		own := config.Copy()
		own.Region, own.Credentials = region, creds
		return iam.NewFromConfig(own, func(o *iam.Options) { o.HTTPSignerV4 = aws.Signer(d.clock) })
	}
	return s, err
}

// podTokenFile is where a pod has the token of its service account.
const podTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
