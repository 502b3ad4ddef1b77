package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/query"
)

func newEndpointsSet(d *deps) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Print the endpoints that are in an EndpointSet",
		Long: `Print the endpoints that the selector of an EndpointSet matches in its clusters, as they are now. What was
made of them is in the status of the EndpointSet. Where its selector cannot be read, these are the endpoints
of the one that was read last, as for the manager, and stderr says so: that takes the right to list what was
made.

` + aboutAsking + `

-o json prints what that of hawser endpoints eval does, and set. Selector is the one that was evaluated.`,
		Example: `  hawser endpoints set web
  hawser endpoints set web --cluster alpha -o wide`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.endpointsOfSet(ctx, args[0], f)
		},
	}
	f.add(d, cmd)
	return cmd
}

// SetEvaluated is the answer of hawser endpoints set -o json.
type SetEvaluated struct {
	Evaluated
	Set string `json:"set"`
}

func (d *deps) endpointsOfSet(ctx context.Context, name string, f askFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	var es v1alpha1.EndpointSet
	err = here.Client.Get(ctx, client.ObjectKey{Name: name}, &es)
	switch {
	case apierrors.IsNotFound(err) && !isMissingKind(err):
		return fmt.Errorf("there is no EndpointSet %q: kubectl get endpointsets lists them", name)
	case err != nil:
		return d.unanswered(remoteFlags{}, here, fmt.Errorf("reading EndpointSet %q: %w", name, err))
	}
	known, err := d.readSet(ctx, here, &es)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	if known.selector == nil {
		return fmt.Errorf("EndpointSet %q: %s", name, known.why)
	}
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	from, a, err := d.askEndpoints(ctx, here, fleet, f, query.Question{Selectors: []string{known.text}, Cluster: f.cluster}, &es.Spec.Clusters)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	a.AddGaps(known.refused...)
	if f.cluster == "" {
		a.AddGaps(fleet.absent("EndpointSet("+name+")", es.Spec.Clusters)...)
		if known.narrow && a.Everything() {
			known.warnings = append(known.warnings, fmt.Sprintf("spec.selector: %s matches every endpoint that the clusters have now, in all namespaces: if that is meant, write all()", known.text))
		}
	}
	switch f.output {
	case formatJSON, formatYAML:
		err = encode(d.out, f.output, SetEvaluated{Evaluated{answered(from, a), known.text, a.Endpoints, append([]string{}, known.warnings...)}, name})
	default:
		fmt.Fprintf(d.out, "Endpoints in EndpointSet %q (selector %s):\n", name, quoted(known.text))
		d.printEndpoints(a.Endpoints, f.output == formatWide)
	}
	if err != nil {
		return err
	}
	d.warn(known.warnings)
	return d.tellGaps(a.Gaps, append(slices.Clone(es.Spec.Clusters.Names), f.cluster)...)
}
