package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

type statusFlags struct {
	output   string
	all      bool
	watch    bool
	interval time.Duration
}

func newStatus(d *deps) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupLook,
		Short:   "Show the whole fleet on one screen: what runs, what works, what expires, what is missing",
		Long: `Show the whole fleet on one screen: which processes run, who leads and which replica owns what, the
clusters, credentials by the time that is left to them, EndpointSets and FederatedNetworkPolicies,
AccessRequests, and what this cluster itself lets in: its AccessGrants and TrustedIssuers. It asks the local cluster only, with the rights of role
hawser-viewer.

Each gap is named on stderr with its age, and the exit code is then 1: a cluster that is not Ready, or
has a condition that is False all the same (a credential that could not be renewed or put in use), a set,
policy, request, grant or issuer that is not, a manager that does not renew its Lease, or runs without
--endpoints where there are sets and policies, a kind that you may not list. A grant that has ended by itself is none. Long lists are cut: --all shows them whole.

-o json prints one object with the fields at, local {name, defaultCluster, version}, processes [{kind,
state, holder, seenAt, ready, wanted, replicas [{name, state, seenAt, clusters, leaving}]}], clusters (as
hawser clusters -o json, and owner), credentials [{kind, namespace, name, subject, expiresAt, renewedAt,
fresh, reason}], endpointSets and federatedNetworkPolicies [{namespace, name, ready, reason, message,
endpoints, addresses}], accessRequests, accessGrants, trustedIssuers, and gaps [{kind, namespace, name,
reason, message, since}]. Lists are whole, and null where the kind is not installed or may not be listed. Fields
are only ever added.`,
		Example: `  hawser status
  hawser status --watch
  hawser status -o json | jq '.gaps'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.status(cmd.Context(), f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	cmd.Flags().BoolVar(&f.all, "all", false, "cut no list")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "show it again and again, until interrupted")
	cmd.Flags().DurationVar(&f.interval, "interval", 5*time.Second, "how often, with --watch; 1s at least")
	return cmd
}

func (d *deps) status(ctx context.Context, f statusFlags) error {
	if f.interval < time.Second {
		return usageError("--interval %s: 1s at least", f.interval)
	}
	here, err := d.local()
	if err != nil {
		return err
	}
	if !f.watch {
		return d.showStatus(ctx, here, f)
	}
	ticker := d.clock.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		if err := d.showStatus(ctx, here, f); err != nil && ctx.Err() == nil {
			fmt.Fprintln(d.err, err) // the next one may be answered
		}
		select {
		case <-ctx.Done():
			return nil // which is how a watch should end
		case <-ticker.C():
		}
	}
}

// showStatus prints the status once. With --watch, gaps are no reason to end.
func (d *deps) showStatus(ctx context.Context, here *cluster, f statusFlags) error {
	asked, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s, err := d.gatherStatus(asked, here.Client)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	if f.output != formatTable {
		if f.watch && f.output == formatYAML {
			fmt.Fprintln(d.out, "---")
		}
		err = encode(d.out, f.output, s)
	} else {
		if f.watch && d.colour {
			fmt.Fprint(d.out, "\x1b[H\x1b[2J")
		}
		d.printStatus(s, f.all)
	}
	if err != nil {
		return err
	}
	for _, g := range s.Gaps {
		fmt.Fprintln(d.err, g.line(s.At.Time))
	}
	if len(s.Gaps) > 0 && !f.watch {
		return gaps()
	}
	return nil
}
