package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

type clustersFlags struct {
	output string
	watch  bool
}

func newClusters(d *deps) *cobra.Command {
	var f clustersFlags
	cmd := &cobra.Command{
		Use:     "clusters [NAME]",
		Aliases: []string{"get"},
		GroupID: groupLook,
		Short:   "Show the clusters of the fleet, or all about one",
		Long: `Show the clusters of the fleet and whether each is Ready, as the manager sees them.
With a name, show every condition of that cluster.

Each cluster that is not Ready is named on stderr, and the exit code is then 1.
hawser check finds out why.

-o json prints a list of objects (with a name: one object) with the fields name, ready,
reason, message, local, default, disabled, authType, server, clusterID, kubernetesVersion,
memberVersion, subject, expiresAt, renewedAt, owner (the manager's replica, where several
divide the clusters), createdAt and conditions. Fields are only ever added.`,
		Example: `  hawser clusters
  hawser clusters -o wide
  hawser clusters -w
  hawser clusters alpha
  hawser clusters alpha -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: d.completeClusters(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.clusters(cmd.Context(), args, f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatWide, formatJSON, formatYAML, formatName)
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "go on and print each change, until interrupted")
	return cmd
}

func (d *deps) clusters(ctx context.Context, names []string, f clustersFlags) error {
	c, err := d.local()
	if err != nil {
		return err
	}
	asked, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	id, err := d.identityOf(asked, c.Client)
	if err != nil {
		return err
	}
	list, err := listClusters(asked, c.Client, names)
	if err != nil {
		return err
	}
	summaries := make([]Summary, len(list))
	for i := range list {
		summaries[i] = summarize(&list[i], id)
	}
	if err := d.addOwners(asked, c.Client, summaries); err != nil {
		return err
	}
	printer := &clusterPrinter{d: d, format: f.output, one: len(names) == 1}
	if f.watch {
		printer.one = false
		if f.output == formatTable || f.output == formatWide { // columns fit all; programs get one object after the other
			if err := printer.print(summaries); err != nil {
				return err
			}
		}
		return d.watchClusters(ctx, c.Client, names, id, printer)
	}
	if err := printer.print(summaries); err != nil {
		return err
	}
	return d.reportGaps(summaries)
}

// reportGaps names each cluster that is not Ready.
func (d *deps) reportGaps(summaries []Summary) error {
	missing := 0
	for _, s := range summaries {
		if s.Ready != string(metav1.ConditionTrue) {
			missing++
			fmt.Fprintf(d.err, "cluster %q is not Ready: %s: %s\n", s.Name, s.Reason, oneLine(s.Message))
		}
	}
	if missing > 0 {
		return gaps()
	}
	return nil
}

// watchClusters prints each change until ctx ends, which is how a watch should end.
func (d *deps) watchClusters(ctx context.Context, c client.WithWatch, names []string, id identity, p *clusterPrinter) error {
	for ctx.Err() == nil {
		opts := &client.ListOptions{}
		if len(names) == 1 {
			opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", names[0])
		}
		w, err := c.Watch(ctx, &v1alpha1.RemoteClusterList{}, opts)
		if err != nil {
			return notByEnd(ctx, fmt.Errorf("watching RemoteClusters: %w", err))
		}
		if err := d.printEvents(w, id, p); err != nil {
			return err
		}
	}
	return nil
}

func (d *deps) printEvents(w watch.Interface, id identity, p *clusterPrinter) error {
	defer w.Stop()
	for event := range w.ResultChan() {
		rc, ok := event.Object.(*v1alpha1.RemoteCluster)
		if !ok {
			return nil // the watch has expired; the next one begins with what is there now
		}
		s := summarize(rc, id)
		if event.Type == watch.Deleted {
			s.Ready, s.Reason, s.Message = string(metav1.ConditionFalse), "Deleted", "the RemoteCluster was deleted"
		}
		if err := p.printChange(s); err != nil {
			return err
		}
	}
	return nil
}

// notByEnd is err, unless it comes from the end of ctx.
func notByEnd(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
