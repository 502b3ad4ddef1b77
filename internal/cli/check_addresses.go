package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
  ippools        with Calico: IPPools that are missing, so that Calico would translate what goes to another
                 cluster, and IPPools that would assign another cluster's addresses. The missing ones are
                 printed as manifests, which assign nothing (disabled: true)
  selectors      namespaces, labels and service accounts that the selector of an EndpointSet or a
                 FederatedNetworkPolicy asks for, and a cluster that it looks in lacks

Policies by address work only where the network carries the pods' addresses between the clusters as they
are. Whether it does is not tried here: ask from a pod, and see in the other cluster who asked.

The clusters are asked directly, the remote ones by the credentials at rest, which takes the right to get
the Secrets in Hawser's namespace. What may not be read is skipped, and named. A cluster that does not
answer is told on stderr. Nothing is changed.

The exit code is 1 if there is an error, or a cluster did not answer; warnings leave it at 0. -o json prints
a list of {check, severity, clusters, message, repair, manifests}.`,
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
	cmd.Flags().StringVar(&f.manifests, "manifests", "", "print nothing but the IPPools that this cluster lacks")
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
	if _, err := fleet.expected(f.manifests); err != nil {
		return err
	}
	world, unread, err := d.world(ctx, here, fleet)
	if err != nil {
		return d.unanswered(remoteFlags{}, here, err)
	}
	clusters, missing := d.addressesOf(ctx, here, fleet)
	findings := ranges.Examine(clusters, usesOf(world, fleet))
	switch {
	case f.manifests != "":
		err = printManifests(d.out, findings, f.manifests)
	case f.output != formatTable:
		err = encode(d.out, f.output, findings)
	default:
		err = d.printAddresses(findings)
	}
	if err != nil {
		return err
	}
	wrong := slices.ContainsFunc(findings, func(finding ranges.Finding) bool { return finding.Severity == ranges.Error })
	if err := d.tellGaps(append(missing, unread...)); err != nil || wrong && f.manifests == "" {
		return gaps()
	}
	return nil
}

func (d *deps) printAddresses(findings []ranges.Finding) error {
	tones := map[ranges.Severity]tone{ranges.OK: good, ranges.Warning: warn, ranges.Error: bad}
	t := table{d: d}
	var rows [][]cell
	var lacking []string
	for _, f := range findings {
		rows = append(rows, []cell{{text: string(f.Severity), tone: tones[f.Severity]}, {text: f.Check}, {text: shown(f.Message)}})
		if f.Repair != "" {
			rows = append(rows, cells("", "", "repair: "+d.shell.In(shown(f.Repair))))
		}
		if len(f.Manifests) > 0 && (len(lacking) == 0 || lacking[len(lacking)-1] != f.Clusters[0]) {
			lacking = append(lacking, f.Clusters[0])
		}
	}
	t.print(rows)
	for _, cluster := range lacking {
		fmt.Fprintf(d.out, "\n# IPPools that cluster %s lacks:\n", cluster)
		if err := printManifests(d.out, findings, cluster); err != nil {
			return err
		}
	}
	return nil
}

// printManifests prints the IPPools that a cluster lacks, as YAML to apply.
func printManifests(out io.Writer, findings []ranges.Finding, cluster string) error {
	for _, f := range findings {
		if len(f.Manifests) == 0 || f.Clusters[0] != cluster {
			continue
		}
		for _, m := range f.Manifests {
			var text strings.Builder
			if err := encode(&text, formatYAML, m); err != nil {
				return err
			}
			if _, err := fmt.Fprint(out, "---\n"+text.String()); err != nil {
				return err
			}
		}
	}
	return nil
}
