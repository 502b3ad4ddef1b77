package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/inventory/clusterproperty"
)

type identityFlags struct {
	remote   remoteFlags
	id       string
	ensureID bool
	set      string
	leaveSet bool
	output   string
}

func newMemberIdentity(d *deps) *cobra.Command {
	var f identityFlags
	cmd := &cobra.Command{
		Use:   "identity --remote-context CONTEXT",
		Short: "Show or set what a cluster says about itself: its id and its ClusterSet",
		Long: `Show what a remote cluster says about itself by its ClusterProperties (about.k8s.io,
KEP-2149): its id, cluster.clusterset.k8s.io, and the ClusterSet that it is a member of,
clusterset.k8s.io. With a flag it also writes them, by your own rights there.

An id is given once and a membership is left before there is another: neither is ever
changed. A cluster that joins a ClusterSet and has no id gets one. --leave-set takes
back only what Hawser wrote.

The manager reads both over its own connection, now and then: they are then
status.clusterProperty and status.clusterSet of the RemoteCluster, and properties of its
ClusterProfile where those are published.`,
		Example: `  hawser member identity --remote-context alpha-admin
  # an id: the UID of its namespace kube-system, or one of your own
  hawser member identity --remote-context alpha-admin --ensure-id
  hawser member identity --remote-context alpha-admin --id alpha.example.com
  # into a ClusterSet, and out of it
  hawser member identity --remote-context alpha-admin --set prod
  hawser member identity --remote-context alpha-admin --leave-set`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			ctx, cancel := within(cmd, answerTimeout)
			defer cancel()
			return d.memberIdentity(ctx, f)
		},
	}
	f.remote.add(cmd, "whose ClusterProperties you may read, and write (required)")
	flags := cmd.Flags()
	flags.BoolVar(&f.ensureID, "ensure-id", false, "give it an id where it has none: the UID of its namespace kube-system")
	flags.StringVar(&f.id, "id", "", "give it this id where it has none")
	flags.StringVar(&f.set, "set", "", "make it a member of this ClusterSet, and give it an id where it has none")
	flags.BoolVar(&f.leaveSet, "leave-set", false, "let it be a member of no ClusterSet")
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	for _, flag := range []string{"id", "set"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return cmd
}

func (f *identityFlags) validate() error {
	switch {
	case !f.remote.given():
		return usageError("--remote-context is missing: name the context of the cluster")
	case f.id != "" && f.ensureID:
		return usageError("--id and --ensure-id: choose one")
	case f.set != "" && f.leaveSet:
		return usageError("--set and --leave-set: choose one")
	}
	return nil
}

// writes reports whether anything is to be written.
func (f *identityFlags) writes() bool { return f.ensureID || f.id != "" || f.set != "" || f.leaveSet }

// memberIdentity writes what was asked for, and prints what is there then.
func (d *deps) memberIdentity(ctx context.Context, f identityFlags) error {
	there, err := d.remote(f.remote)
	if err != nil {
		return err
	}
	properties, err := clusterproperty.New(there.Config)
	if err != nil {
		return err
	}
	list := &changes{d: d, title: "In the remote cluster:"}
	if f.output != formatTable {
		list = &changes{d: &deps{out: d.err}, title: list.title} // what is printed to stdout is for programs
	}
	if err := f.write(ctx, properties, list); err != nil {
		return fmt.Errorf("setting the identity of the cluster: %w", err)
	}
	if f.writes() {
		list.end()
	}
	now, err := properties.Read(ctx)
	if err != nil {
		return fmt.Errorf("asking the cluster who it is: %w", err)
	}
	return d.printIdentity(now, f.output)
}

func (f *identityFlags) write(ctx context.Context, properties *clusterproperty.Client, list *changes) error {
	if f.id != "" {
		created, err := properties.SetID(ctx, f.id)
		if err != nil {
			return err
		}
		list.property(created, "created", clusterproperty.ClusterID, f.id)
	}
	if f.ensureID || f.set != "" {
		id, created, err := properties.EnsureID(ctx)
		if err != nil {
			return err
		}
		list.property(created, "created", clusterproperty.ClusterID, id)
	}
	if f.set != "" {
		created, err := properties.EnsureSet(ctx, f.set)
		if err != nil {
			return err
		}
		list.property(created, "created", clusterproperty.ClusterSet, f.set)
	}
	if f.leaveSet {
		left, err := properties.LeaveSet(ctx)
		if err != nil {
			return err
		}
		list.property(left != "", "deleted", clusterproperty.ClusterSet, left)
	}
	return nil
}

func (c *changes) property(changed bool, what, name, value string) {
	if changed {
		c.add(what, fmt.Sprintf("ClusterProperty %s: %s", name, value))
	}
}

func (d *deps) printIdentity(now clusterproperty.Properties, format string) error {
	if format != formatTable {
		return encode(d.out, format, struct {
			ID         string `json:"id"`
			ClusterSet string `json:"clusterSet"`
		}{now.ID, now.Set})
	}
	said := func(value string) string {
		if value == "" {
			return "<none>"
		}
		return value
	}
	(&table{d: d}).print([][]cell{cells("ID", "CLUSTERSET"), cells(said(now.ID), said(now.Set))})
	return nil
}
