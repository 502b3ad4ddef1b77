package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/install"
)

// leaveEKSFlags are those of leave and revoke for auth.type eks.
type leaveEKSFlags struct {
	accessEntry bool
	role        string
	awsFlags    awsFlags
}

func (f *leaveEKSFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.accessEntry, "access-entry", false, "for auth.type eks: delete the access entry, too, by your own AWS credentials, as hawser aws revoke does")
	cmd.Flags().StringVar(&f.role, "role", "", "with --access-entry: ARN of the role or user (default: what auth.eks.identityRef leads to)")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.NoFileCompletions)
	f.awsFlags.addProfile(cmd)
}

// entryToLeave is the access entry of a connection that ends. Nil: there is none to think of.
type entryToLeave struct {
	d       *deps
	flags   leaveEKSFlags
	target  access.Target
	unknown error // whose entry it is
}

// entryToLeave finds out which entry it is while the objects are still there that tell.
func (d *deps) entryToLeave(ctx context.Context, here *cluster, rc *v1alpha1.RemoteCluster, local string, f leaveEKSFlags) (*entryToLeave, error) {
	if rc == nil || rc.Spec.Auth.EKS == nil {
		if f.accessEntry {
			return nil, usageError("--access-entry is only for a RemoteCluster of auth.type eks: hawser aws revoke takes the cluster and the role by name")
		}
		return nil, nil
	}
	e := &entryToLeave{d: d, flags: f, target: access.Target{
		Region: rc.Spec.Auth.EKS.Region, Cluster: rc.Spec.Auth.EKSClusterName(rc.Name), AccountID: rc.Spec.Auth.EKS.AccountID, Local: local,
	}}
	arn := f.role
	if arn == "" {
		arn, e.unknown = d.principalOf(ctx, here, rc)
	}
	if e.unknown == nil {
		e.target.Principal, e.unknown = access.ParsePrincipal(arn)
	}
	if f.accessEntry && e.unknown != nil {
		return nil, fmt.Errorf("finding the access entry: %w", e.unknown)
	}
	return e, nil
}

// leave deletes the entry, or says how to.
func (e *entryToLeave) leave(ctx context.Context) error {
	switch {
	case e == nil:
		return nil
	case !e.flags.accessEntry:
		fmt.Fprintf(e.d.out, "In AWS, the access entry may be left, if there is one. Delete it with\n  %s\n", e.command())
		return nil
	}
	caller, err := e.d.awsCaller(ctx, e.flags.awsFlags, e.target.Region, nil)
	if err != nil {
		return err
	}
	result, err := caller.changeEntry(ctx, e.d.clock, e.target, access.Options{}, access.Entries.Revoke)
	if err != nil {
		return err
	}
	e.d.printEntry(result, false)
	return nil
}

// command deletes the entry also when the RemoteCluster is gone.
func (e *entryToLeave) command() string {
	role := e.target.Principal.ARN
	if e.unknown != nil {
		role = "ARN"
	}
	return fmt.Sprintf("hawser aws revoke --cluster %s --region %s --role %s --local-name %s", e.target.Cluster, e.target.Region, role, e.target.Local)
}

// refuseHalf wants to know by which right an identity in AWS is to be cut off: it has none to do so itself.
func (r *revoking) refuseHalf() error {
	if r.entry == nil || r.there != nil || r.flags.entry.accessEntry {
		return nil
	}
	return usageError("an identity in AWS has no right to cut itself off: take its rights with --remote-context CONTEXT, its access entry with --access-entry, or both")
}

// cutEKS takes the rights of the connection's group, or the access entry, or both.
func (r *revoking) cutEKS(ctx context.Context, list *changes) error {
	if r.there != nil {
		if err := install.CutBindings(ctx, r.there.Client, r.local, list.report); err != nil {
			return err
		}
		list.end()
	}
	if !r.flags.entry.accessEntry {
		return nil
	}
	return r.entry.leave(ctx)
}

// aftermathEKS says what is left and what can be done next.
func (r *revoking) aftermathEKS() {
	out := r.d.out
	if !r.flags.entry.accessEntry {
		fmt.Fprintf(out, "The access entry is still there, and with it the rights that the group %s has from others:\n  %s\n", v1alpha1.MembersGroup, r.entry.command())
	}
	fmt.Fprintf(out, "RemoteCluster %q is still here. A session of the role lives for up to an hour, and comes in again with the\nrole: end it first, in IAM (AWSRevokeOlderSessions), if it was stolen.\n", r.name)
	if advice.ReleaseOf(r.rc) == nil {
		fmt.Fprintf(out, "Join again:               hawser join %s --remote-context CONTEXT --access-entry\n", r.name)
	} else {
		fmt.Fprintf(out, "Let it in again:          hawser aws grant %s, and the release over there, whose next upgrade makes its bindings anew\n", r.name)
	}
	r.sayForGood()
}
