package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/internal/manager"
)

func newEndpoints(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "endpoints",
		Aliases: []string{"endpoint", "ep"},
		GroupID: groupLook,
		Short:   "Ask for pods and hosts of all clusters: what selectors match, which policies are for them",
		Long: `Ask for the endpoints of the fleet: pods, hosts and network sets of the local cluster and of the
remote ones, as EndpointSets and FederatedNetworkPolicies see them.

` + aboutAsking,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newEndpointsEval(d), newEndpointsSet(d), newEndpointsExplain(d), newEndpointsHost(d))
	return cmd
}

// aboutAsking is the same for each command that asks.
const aboutAsking = `The manager answers, where it runs with --endpoints: it is reached by a port-forward to its pods, which
takes the rights of hawser-endpoints-viewer in Hawser's namespace (to get and list pods, and to get and
create pods/portforward). Where several share the clusters, all are asked. With --from self, the command
asks the clusters itself, by the credentials at rest, which takes the right to get the Secrets in Hawser's
namespace, and lists everything once, which may take a while. The default is auto: the manager, or else self.

What is missing from an answer, or old, is told on stderr, and the exit code is then 1. A cluster that is
disabled, or without the capability endpoints, is told there as a note, and leaves the exit code at 0, unless
it was asked for by name.`

// Ways to ask.
const (
	fromAuto    = "auto"
	fromManager = "manager"
	fromSelf    = "self"
)

// askFlags say how endpoints are asked for.
type askFlags struct {
	output, from, cluster string
	timeout               time.Duration
	port                  int
}

func (f *askFlags) add(d *deps, cmd *cobra.Command) {
	outputFlag(cmd, &f.output, formatTable, formatWide, formatJSON, formatYAML)
	checkOutput := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if ways := []string{fromAuto, fromManager, fromSelf}; !slices.Contains(ways, f.from) {
			return usageError("--from %q: there is only %s", f.from, strings.Join(ways, ", "))
		}
		return checkOutput(cmd, args)
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cluster, "cluster", "", "only endpoints of this cluster (default: all)")
	flags.StringVar(&f.from, "from", fromAuto, "who answers: manager, self, or auto, which is the manager if it does and else self")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "deadline of the whole command; what has not answered by then is a gap")
	flags.IntVar(&f.port, "query-port", manager.DefaultQueryPort, "port that the manager answers at, in its pod")
	_ = cmd.RegisterFlagCompletionFunc("cluster", d.completeClusters(0))
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{fromAuto, fromManager, fromSelf}, cobra.ShellCompDirectiveNoFileComp))
}

// Answered is what every answer in JSON says of itself.
type Answered struct {
	// From is manager or self.
	From     string          `json:"from"`
	Clusters []query.Cluster `json:"clusters"`
	Gaps     []query.Gap     `json:"gaps"`
}

func answered(from string, a query.Answer) Answered {
	return Answered{From: from, Clusters: a.Clusters, Gaps: a.Gaps}
}
