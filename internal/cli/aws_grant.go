package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/install"
)

type grantFlags struct {
	entryFlags
	access.Options
	output string
}

func newAWSGrant(d *deps) *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use:   "grant NAME | grant --cluster EKS --region REGION --role ARN",
		Short: "Let the identity of a connection into an EKS cluster",
		Long: `Make the access entry that maps the identity of a connection to the Kubernetes group
hawser-members of an EKS cluster, or repair it. What the group may do there is for hawser
join, or hawser member manifests --auth eks, to say; the identity needs no permission in AWS.

It acts by your own AWS credentials, as the AWS CLI does, or as an AWSIdentity with
--identity, and takes eks:DescribeAccessEntry, eks:CreateAccessEntry, eks:UpdateAccessEntry,
eks:DeleteAccessEntry and eks:TagResource. It can be run again at any time.

An entry that Hawser did not make for this connection is left alone: it serves if it has the
group, and is refused if not, with the command that adds it. --adopt takes it over.

A role that was deleted and made again is refused by the entry of the old one, though all
looks well: the entry is for the role's unique id. That is found out where you may read the
role (iam:GetRole), and repaired by a new entry; --repair makes one in any case.`,
		Example: `  hawser aws grant prod
  hawser aws grant prod --profile prod-admin --dry-run
  hawser aws grant --cluster prod --region eu-north-1 --role arn:aws:iam::111122223333:role/hawser --local-name primary`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, time.Minute)
			defer cancel()
			return d.changeEntry(ctx, f, strings.Join(args, ""), access.Entries.Grant)
		},
	}
	f.add(cmd)
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	flags := cmd.Flags()
	flags.BoolVar(&f.Adopt, "adopt", false, "take over an entry that Hawser did not make: it keeps no other group")
	flags.BoolVar(&f.Repair, "repair", false, "delete the entry and make it anew, for a role that was made anew")
	flags.BoolVar(&f.DryRun, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

func newAWSRevoke(d *deps) *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use:   "revoke NAME | revoke --cluster EKS --region REGION --role ARN",
		Short: "Take the access of a connection to an EKS cluster away",
		Long: `Delete the access entry that hawser aws grant made for a connection. The cluster refuses the
identity's tokens some seconds later. An entry that Hawser did not make stays, unless --force
is given.

The bindings of the group hawser-members in the cluster are not touched: hawser revoke NAME
--remote-context CONTEXT takes them away.`,
		Example: `  hawser aws revoke prod
  hawser aws revoke --cluster prod --region eu-north-1 --role arn:aws:iam::111122223333:role/hawser --local-name primary`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, time.Minute)
			defer cancel()
			return d.changeEntry(ctx, f, strings.Join(args, ""), access.Entries.Revoke)
		},
	}
	f.add(cmd)
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	cmd.Flags().BoolVar(&f.Force, "force", false, "delete the entry although Hawser did not make it for this connection")
	cmd.Flags().BoolVar(&f.DryRun, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

// entryChange is Grant or Revoke of access.Entries.
type entryChange func(access.Entries, context.Context, awssdk.CredentialsProvider, access.Target, access.Options) (access.Result, error)

// changeEntry is grant and revoke from beginning to end.
func (d *deps) changeEntry(ctx context.Context, f grantFlags, name string, change entryChange) error {
	if err := f.validate(name); err != nil {
		return err
	}
	target, err := d.entryTarget(ctx, f.entryFlags, name)
	if err != nil {
		return fmt.Errorf("finding the access entry: %w", err)
	}
	caller, err := d.awsCaller(ctx, f.awsFlags, target.Region, func() (aws.Reader, error) {
		here, err := d.local()
		if err != nil {
			return nil, err
		}
		return d.identities(ctx, here)
	})
	if err != nil {
		return err
	}
	result, err := caller.changeEntry(ctx, d.clock, target, f.Options, change)
	if err != nil {
		return err
	}
	if f.output != formatTable {
		return encode(d.out, f.output, describeEntry(result, f.DryRun))
	}
	d.printEntry(result, f.DryRun)
	return nil
}

// EntryResult is the output of hawser aws grant -o json and hawser aws revoke -o json. Fields are only
// ever added.
type EntryResult struct {
	Cluster   string `json:"cluster"`
	Region    string `json:"region"`
	AccountID string `json:"accountID,omitempty"`
	Principal string `json:"principal"`
	// Action is create, change, recreate, delete, keep (nothing is to be done) or leave (it serves, and
	// is somebody else's).
	Action access.Action `json:"action"`
	Why    string        `json:"why"`
	DryRun bool          `json:"dryRun"`
	// Entry is what there is now; absent where there is none.
	Entry *access.Entry `json:"entry,omitempty"`
}

func describeEntry(r access.Result, dryRun bool) EntryResult {
	return EntryResult{
		Cluster: r.Target.Cluster, Region: r.Target.Region, AccountID: r.Found.AccountID, Principal: r.Target.Principal.ARN,
		Action: r.Plan.Action, Why: r.Plan.Why, DryRun: dryRun, Entry: r.Entry,
	}
}

// entryDone says what an action did, in the words of other commands.
var entryDone = map[access.Action]string{
	access.Create: install.Created, access.Change: install.Changed, access.Recreate: "recreated", access.Delete: install.Deleted,
}

func (d *deps) printEntry(r access.Result, dryRun bool) {
	list := changes{d: d, title: fmt.Sprintf("In EKS cluster %q in %s:", r.Target.Cluster, r.Target.Region)}
	done, acts := entryDone[r.Plan.Action]
	entry := "access entry of " + r.Target.Principal.ARN
	switch {
	case acts && dryRun:
		list.add("would be "+done, entry+": "+r.Plan.Why)
	case acts:
		list.add(done, entry+": "+r.Plan.Why)
	default:
		fmt.Fprintf(d.out, "%s nothing to change, %s: %s\n", list.title, entry, r.Plan.Why)
	}
	if acts && r.Plan.Action != access.Delete && r.Target.Principal.PathUnknown {
		fmt.Fprintf(d.err, "The ARN was made from that of a session, which does not tell the path of its role: if the role has one, name it with --role.\n")
	}
	if !dryRun && r.Plan.Action == access.Delete {
		fmt.Fprintln(d.out, "The cluster refuses the tokens of that identity some seconds from now.")
	}
}
