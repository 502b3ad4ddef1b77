package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/endpoint/ranges"
)

type addressesFlags struct {
	output, manifests string
	timeout           time.Duration
}

func newCheckAddresses(d *deps) *cobra.Command {
	var f addressesFlags
	cmd := &cobra.Command{
		Use:   "addresses",
		Short: "Find addresses of clusters that collide, and words of selectors that a cluster lacks",
		Long: `Examine the addresses of all clusters, before policies are written by them:

  overlap        ranges of pods (the nodes' podCIDRs, Calico's IPPools), Services and nodes of several
                 clusters that overlap
  endpointCIDRs  pods and nodes of a cluster that its endpointCIDRs leave out, and addresses of others that
                 they let in
  ippools        with Calico: IPPools that are missing, so that Calico would translate what goes to pods of
                 another cluster, or to its nodes that are endpoints (a warning), and IPPools that would assign
                 another cluster's addresses. The missing ones are printed as manifests, which assign nothing
                 (disabled: true)
  selectors      namespaces, labels and service accounts that the selector of an EndpointSet, a
                 FederatedNetworkPolicy or a federated Service asks for, and a cluster that it looks in lacks
  network        policies by address work only where the network carries the pods' addresses between the
                 clusters as they are (routable, no SNAT). Whether it does cannot be seen from here: connect
                 from a pod, and see in the other cluster from which address that came

The clusters are asked directly, the remote ones by the credentials at rest, which takes the right to get
the Secrets in Hawser's namespace. What may not be read is skipped, and named. A cluster that does not
answer is told on stderr; of that, and of one that is disabled, only the endpointCIDRs are looked at. Nothing
is changed.

The exit code is 1 if there is an error, or something is missing that stderr names: a cluster that does not
answer, or answers with an error, and a set, policy or Service that may not be listed, cannot be read, or
asks for more than its target can express. Warnings leave it at 0, and so do a cluster that is disabled and
what may not be read of a cluster. With --manifests, it is 1 only where what is missing leaves it open which
IPPools the cluster lacks. -o json prints a list of {check, severity, clusters, message, repair,
manifests}; of very many manifests it has the first, and --manifests has all.`,
		Example: `  hawser check addresses
  hawser check addresses -o json
  hawser check addresses --manifests alpha | kubectl --context alpha-admin apply -f -`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.checkAddresses(ctx, f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	cmd.Flags().StringVar(&f.manifests, "manifests", "", "print nothing but the IPPools that this cluster lacks, as YAML whatever -o says")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "deadline of the whole check")
	_ = cmd.RegisterFlagCompletionFunc("manifests", d.completeClusters(0))
	return cmd
}

func (d *deps) checkAddresses(ctx context.Context, f addressesFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	fleet.addLocal()
	if _, err := fleet.expected(f.manifests); err != nil {
		return err
	}
	if f.manifests != "" {
		return d.lackingPools(ctx, here, fleet, f.manifests)
	}
	uses, unread, err := d.usesOf(ctx, here, fleet)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	clusters, missing := d.addressesOf(ctx, here, fleet)
	findings := ranges.Examine(clusters, uses)
	switch {
	case f.output != formatTable:
		err = encode(d.out, f.output, findings)
	default:
		err = d.printAddresses(findings)
	}
	if err != nil {
		return err
	}
	wrong := slices.ContainsFunc(findings, func(finding ranges.Finding) bool { return finding.Severity == ranges.Error })
	if err := d.tellGaps(append(missing, unread...)); err != nil || wrong {
		return gaps()
	}
	return nil
}

// lackingPools prints the IPPools that a cluster lacks. What is missing of another cluster is a gap where some may be
// missing because of it.
func (d *deps) lackingPools(ctx context.Context, here *cluster, fleet contributors, name string) error {
	clusters, missing := d.addressesOf(ctx, here, fleet)
	if err := d.printManifests(clusters, name); err != nil {
		return err
	}
	bounded := map[string]bool{}
	missing = slices.DeleteFunc(missing, func(g query.Gap) bool {
		at := slices.IndexFunc(clusters, func(c ranges.Cluster) bool { return c.Name == g.Cluster })
		if at < 0 || g.Reason == endpoint.ReasonDisabled || clusters[at].Concerns(name) {
			return false
		}
		if clusters[at].Unasked {
			bounded[g.Cluster] = true
		}
		return true
	})
	d.note("not heard of, and so known by endpointCIDRs alone", bounded, nil)
	return d.tellGaps(missing, name)
}

func (d *deps) printAddresses(findings []ranges.Finding) error {
	tones := map[ranges.Severity]tone{ranges.OK: good, ranges.Warning: warn, ranges.Error: bad}
	t := table{d: d}
	var rows [][]cell
	var lacking []string
	pools := map[string][]ranges.Manifest{}
	for _, f := range findings {
		rows = append(rows, []cell{{text: string(f.Severity), tone: tones[f.Severity]}, {text: f.Check}, {text: upTo(longestMessage, shown(f.Message))}})
		if f.Repair != "" {
			rows = append(rows, cells("", "", "repair: "+d.shell.In(shown(f.Repair))))
		}
		if len(f.Manifests) == 0 {
			continue
		}
		name := f.Clusters[0]
		if pools[name] == nil {
			lacking = append(lacking, name)
		}
		pools[name] = append(pools[name], f.Manifests...)
	}
	t.print(rows)
	for _, name := range lacking {
		fmt.Fprintf(d.out, "\n# IPPools that cluster %s lacks:\n", name)
		some := pools[name][:min(len(pools[name]), mostPools)]
		if err := d.printPools(some); err != nil {
			return err
		}
		if len(some) < len(pools[name]) {
			fmt.Fprintf(d.out, "# and more: %s prints all\n", d.shell.In("hawser check addresses --manifests "+name))
		}
	}
	return nil
}

// mostPools is how many IPPools of a cluster are printed beside other things.
const mostPools = 20

// printManifests prints the IPPools that a cluster lacks, and nothing else. What they cannot be told without, and where
// there is nothing to apply why, it says on stderr.
func (d *deps) printManifests(clusters []ranges.Cluster, name string) error {
	at := slices.IndexFunc(clusters, func(c ranges.Cluster) bool { return c.Name == name })
	if at < 0 || clusters[at].Unasked { // which is told as a gap
		return nil
	}
	if clusters[at].Pools == nil {
		if u := slices.IndexFunc(clusters[at].Unread, func(u ranges.Unread) bool { return u.What == ranges.IPPoolsOf }); u >= 0 {
			fmt.Fprintf(d.err, "the IPPools of cluster %s could not be read: %s\n", name, shown(clusters[at].Unread[u].Why))
		} else {
			fmt.Fprintf(d.err, "cluster %s has no IPPools at all, as it is without Calico: it lacks none\n", name)
		}
		return nil
	}
	lacking := ranges.Missing(clusters, name)
	if err := d.printPools(lacking); err != nil {
		return err
	}
	unread := d.tellUnread(clusters)
	switch {
	case len(lacking) > 0:
	case unread:
		fmt.Fprintf(d.err, "cluster %s lacks no IPPool for what could be read\n", name)
	default:
		fmt.Fprintf(d.err, "cluster %s lacks no IPPool\n", name)
	}
	return nil
}

// tellUnread names the addresses of clusters that could not be read. Those of a cluster that was not asked are told as a gap.
func (d *deps) tellUnread(clusters []ranges.Cluster) (some bool) {
	var lines []string
	for _, c := range clusters {
		some = some || c.Unasked
		for _, u := range c.Unread {
			if u.OfAddresses() {
				lines = append(lines, fmt.Sprintf("%s of cluster %s could not be read: %s", u.What, c.Name, shown(u.Why)))
			}
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(d.err, line)
	}
	return some || len(lines) > 0
}

// printPools prints IPPools as YAML to apply.
func (d *deps) printPools(all []ranges.Manifest) error {
	for _, m := range all {
		var text strings.Builder
		if err := encode(&text, formatYAML, m); err != nil {
			return err
		}
		if _, err := fmt.Fprint(d.out, "---\n"+text.String()); err != nil {
			return err
		}
	}
	return nil
}
