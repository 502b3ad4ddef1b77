package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

func newEndpointsExplain(d *deps) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "explain [CLUSTER/]NAMESPACE/POD",
		Short: "Print which policies and rules match a pod, and why",
		Long: `Print which FederatedNetworkPolicies are for a pod, which of their rules match it, and which
EndpointSets it is in. Without a cluster the pod is one of the local cluster.

Policies are for pods of the local cluster only; their rules may match pods of any. A rule that says
nothing of endpoints matches any address within its nets. -o wide also prints the labels that each
selector looks at. Policies and sets are read by your own rights in the local cluster.

` + aboutAsking + `

-o json prints {from, clusters, gaps, endpoints: [{endpoint, policies: [{namespace, name, selector, types,
because}], profiles, ruleMatches: [{policy, direction, rule, side, not, selector, nets, notNets, because}],
endpointSets: [{name, selector, because}]}]}. Fields are only ever added.`,
		Example: `  hawser endpoints explain shop/web-5d9c7
  hawser endpoints explain alpha/shop/web-5d9c7 -o wide
  hawser endpoints explain shop/web-5d9c7 --cluster alpha -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := strings.Split(args[0], "/")
			if len(parts) == 3 && f.cluster == "" {
				f.cluster, parts = parts[0], parts[1:]
			}
			if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
				return usageError("%q is no pod: write NAMESPACE/POD, or CLUSTER/NAMESPACE/POD", args[0])
			}
			in, err := selector.Equals(selector.NamespaceLabel, parts[0])
			if err != nil {
				return usageError("%q is no pod: %w", args[0], err)
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			title := fmt.Sprintf("Policies and profiles for endpoints matching %q:", args[0])
			return d.explainEndpoints(ctx, f, title, args[0], query.Question{Selectors: []string{in.String()}, Name: parts[1]})
		},
	}
	f.add(d, cmd)
	return cmd
}

func newEndpointsHost(d *deps) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "host [CLUSTER/]NODE",
		Short: "Print which policies and rules match each endpoint on a host",
		Long: `Print what hawser endpoints explain does for each endpoint on a host: its pods, and the host itself.
Without a cluster the host is one of the local cluster.

` + aboutAsking + `

-o json prints the same as that of hawser endpoints explain.`,
		Example: `  hawser endpoints host node-1
  hawser endpoints host alpha/node-1 -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if cluster, node, ok := strings.Cut(name, "/"); ok && f.cluster == "" {
				f.cluster, name = cluster, node
			}
			if name == "" || strings.Contains(name, "/") {
				return usageError("%q is no host: write NODE, or CLUSTER/NODE", args[0])
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			title := fmt.Sprintf("Policies and profiles for each endpoint on host %q:", args[0])
			return d.explainEndpoints(ctx, f, title, args[0], query.Question{Selectors: []string{"all()"}, Node: name})
		},
	}
	f.add(d, cmd)
	return cmd
}

// Explained is the answer of hawser endpoints explain and host -o json.
type Explained struct {
	Answered
	Endpoints []query.Explanation `json:"endpoints"`
}

// explainEndpoints explains those that a question is for, of the local cluster where none is named.
func (d *deps) explainEndpoints(ctx context.Context, f askFlags, title, what string, q query.Question) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	if q.Cluster = f.cluster; q.Cluster == "" {
		if q.Cluster = fleet.local.Name; q.Cluster == "" {
			return usageError("the local cluster is not in the fleet, and so has no endpoints: name the cluster of %q with --cluster", what)
		}
	}
	world, unread, err := d.world(ctx, here, fleet)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	f.cluster = q.Cluster
	from, a, err := d.askEndpoints(ctx, here, f, q)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	a.AddGaps(unread...)
	explained := world.Explain(a)
	switch f.output {
	case formatJSON, formatYAML:
		err = encode(d.out, f.output, Explained{answered(from, a), explained})
	default:
		fmt.Fprintln(d.out, shown(title))
		for _, x := range explained {
			d.printEndpoint(x, f.output == formatWide)
		}
	}
	if err != nil {
		return err
	}
	err = d.tellGaps(a.Gaps)
	if len(explained) == 0 {
		fmt.Fprintf(d.err, "there is no endpoint %s in cluster %q: a pod counts once it has an address, unless it uses its host's network or has ended\n", shown(what), q.Cluster)
		err = gaps()
	}
	return err
}
