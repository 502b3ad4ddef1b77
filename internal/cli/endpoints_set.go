package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

func newEndpointsSet(d *deps) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Print the endpoints that are in an EndpointSet",
		Long: `Print the endpoints that the selector of an EndpointSet matches in its clusters, as they are now. What was
made of them is in the status of the EndpointSet.

` + aboutAsking + `

-o json prints what that of hawser endpoints eval does, and set.`,
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
	var set v1alpha1.EndpointSet
	err = here.Client.Get(ctx, client.ObjectKey{Name: name}, &set)
	switch {
	case apierrors.IsNotFound(err) && !isMissingKind(err):
		return fmt.Errorf("there is no EndpointSet %q: kubectl get endpointsets lists them", name)
	case err != nil:
		return d.unanswered(remoteFlags{}, here, fmt.Errorf("reading EndpointSet %q: %w", name, err))
	}
	if _, err := selector.Parse(set.Spec.Selector); err != nil {
		return fmt.Errorf("EndpointSet %q matches nothing: spec.selector: %s", name, query.Explain(err))
	}
	from, a, err := d.askEndpoints(ctx, here, f, query.Question{Selectors: []string{set.Spec.Selector}, Cluster: f.cluster})
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	a = a.Within(set.Spec.Clusters)
	switch f.output {
	case formatJSON, formatYAML:
		err = encode(d.out, f.output, SetEvaluated{Evaluated{answered(from, a), set.Spec.Selector, a.Endpoints}, name})
	default:
		fmt.Fprintf(d.out, "Endpoints in EndpointSet %q (selector %s):\n", name, quoted(set.Spec.Selector))
		d.printEndpoints(a.Endpoints, f.output == formatWide)
	}
	if err != nil {
		return err
	}
	return d.tellGaps(a.Gaps)
}
