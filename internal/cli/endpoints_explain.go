package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/endpoint/index"
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
because}], profiles, ruleMatches: [{policy, direction, rule, side, not, selector, nets, notNets, refused, because}],
endpointSets: [{name, selector, because}]}]}. Fields are only ever added.`,
		Example: `  hawser endpoints explain shop/web-5d9c7
  hawser endpoints explain alpha/shop/web-5d9c7 -o wide
  hawser endpoints explain shop/web-5d9c7 --cluster alpha -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: d.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			parts := strings.Split(args[0], "/")
			if len(parts) == 3 {
				if f.cluster != "" {
					return usageError("%q names its cluster: without --cluster", args[0])
				}
				f.cluster, parts = parts[0], parts[1:]
			}
			if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
				return usageError("%q is no pod: write NAMESPACE/POD, or CLUSTER/NAMESPACE/POD", args[0])
			}
			pods, err := podsOf(parts[0])
			if err != nil {
				return usageError("%q is no pod: %w", args[0], err)
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			title := fmt.Sprintf("Policies and profiles for endpoints matching %q:", args[0])
			return d.explainEndpoints(ctx, f, title, wanted{args[0], "endpoint " + args[0], "a pod counts once it has an address, unless it uses its host's network or has ended"},
				query.Question{Selectors: []string{pods.String()}, Name: parts[1]})
		},
	}
	f.add(d, cmd)
	return cmd
}

// podsOf selects the pods of a namespace, and no network set.
func podsOf(namespace string) (*selector.Selector, error) {
	in, err := selector.Equals(selector.NamespaceLabel, namespace)
	if err != nil {
		return nil, err
	}
	pods, err := selector.Equals(index.OrchestratorLabel, "k8s")
	if err != nil {
		return nil, err
	}
	return selector.And(in, pods)
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
			if cluster, node, ok := strings.Cut(name, "/"); ok {
				if f.cluster != "" {
					return usageError("%q names its cluster: without --cluster", args[0])
				}
				f.cluster, name = cluster, node
			}
			if name == "" || strings.Contains(name, "/") {
				return usageError("%q is no host: write NODE, or CLUSTER/NODE", args[0])
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			title := fmt.Sprintf("Policies and profiles for each endpoint on host %q:", args[0])
			return d.explainEndpoints(ctx, f, title, wanted{args[0], "endpoint on host " + args[0], "either there is no such node, or neither it nor its pods have addresses that count"},
				query.Question{Selectors: []string{"all()"}, Node: name})
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

// wanted is what somebody asks about: as it was written, what it is called, and why it may be missing where it seems to
// be there.
type wanted struct{ text, what, why string }

// missing says that a cluster has no such endpoint, as far as that is known.
func (w wanted) missing(cluster string, a query.Answer) string {
	at := slices.IndexFunc(a.Clusters, func(c query.Cluster) bool { return c.Name == cluster })
	switch {
	case at < 0 || !a.Clusters[at].Synced:
		return fmt.Sprintf("whether there is an %s in cluster %q is not known: the cluster could not be asked", shown(w.what), cluster)
	case a.Clusters[at].StaleSince != nil:
		return fmt.Sprintf("whether there is an %s in cluster %q is not known: there was none when it was heard of last, at %s", shown(w.what), cluster, a.Clusters[at].StaleSince.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("there is no %s in cluster %q: %s", shown(w.what), cluster, w.why)
}

// explainEndpoints explains those that a question is for, of the local cluster where none is named.
func (d *deps) explainEndpoints(ctx context.Context, f askFlags, title string, what wanted, q query.Question) error {
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
			return usageError("the local cluster is not in the fleet, and so has no endpoints: name the cluster of %q with --cluster", what.text)
		}
	}
	world, unread, err := d.world(ctx, here, fleet)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	f.cluster = q.Cluster
	from, a, err := d.askEndpoints(ctx, here, fleet, f, q, nil)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	explained := world.Explain(a)
	a.AddGaps(slices.Concat(unread, world.Withheld(explained))...)
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
	err = d.tellGaps(a.Gaps, q.Cluster)
	if len(explained) == 0 {
		fmt.Fprintln(d.err, what.missing(q.Cluster, a))
		err = gaps()
	}
	return err
}
