package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

func newEndpointsEval(d *deps) *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "eval SELECTOR",
		Short: "Print the endpoints that a selector matches",
		Long: `Print the endpoints of all clusters that a selector matches, in Calico's grammar, on their own labels
and on these:

  hawser.io/cluster, hawser.io/cluster-id    the cluster that they are in
  projectcalico.org/namespace, pcns.LABEL    their namespace, and its labels
  projectcalico.org/serviceaccount,
  pcsa.LABEL                                 what a pod runs as, and its labels
  projectcalico.org/orchestrator             k8s, of pods

` + aboutAsking + `

-o json prints {from, selector, clusters: [{name, id, labels, local, synced, staleSince,
whole, replica}], endpoints: [{id, cluster, local, kind, namespace, name, node, serviceAccount, addresses, ports,
labels, staleSince}], gaps: [{cluster, replica, object, reason, message, count, since}], warnings}. Fields
are only ever added.`,
		Example: `  hawser endpoints eval 'app == "web"'
  hawser endpoints eval 'hawser.io/cluster in {"alpha", "beta"} && pcns.team == "shop"' -o wide
  hawser endpoints eval 'all()' --cluster alpha --from self -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := selector.Parse(args[0])
			if err != nil {
				return usageError("%s", query.Explain(err))
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.evalEndpoints(ctx, args[0], hardlyMeant(s), f)
		},
	}
	f.add(d, cmd)
	return cmd
}

// Evaluated is the answer of hawser endpoints eval -o json.
type Evaluated struct {
	Answered
	Selector  string           `json:"selector"`
	Endpoints []query.Endpoint `json:"endpoints"`
	// Warnings are of what can be read, and is hardly meant so.
	Warnings []string `json:"warnings"`
}

// hardlyMeant are warnings of a selector that can only match nothing, or everything without saying so.
func hardlyMeant(s *selector.Selector) []string {
	switch {
	case s.MatchesNothing():
		return []string{fmt.Sprintf("%s matches nothing, whatever the labels are", s)}
	case s.MatchesEverything() && s.String() != selector.All().String():
		return []string{fmt.Sprintf("%s matches everything, whatever the labels are: if that is meant, write all()", s)}
	}
	return []string{}
}

func (d *deps) evalEndpoints(ctx context.Context, text string, warnings []string, f askFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	from, a, err := d.askEndpoints(ctx, here, fleet, f, query.Question{Selectors: []string{text}, Cluster: f.cluster}, nil)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	switch f.output {
	case formatJSON, formatYAML:
		err = encode(d.out, f.output, Evaluated{answered(from, a), text, a.Endpoints, warnings})
	default:
		fmt.Fprintf(d.out, "Endpoints matching selector %s:\n", shown(text))
		d.printEndpoints(a.Endpoints, f.output == formatWide)
	}
	if err != nil {
		return err
	}
	d.warn(warnings)
	return d.tellGaps(a.Gaps, f.cluster)
}
