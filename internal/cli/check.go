package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/internal/version"
)

type checkFlags struct {
	remote    remoteFlags
	output    string
	localName string
	timeout   time.Duration
}

func newCheck(d *deps) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "check [NAME...]",
		GroupID: groupLook,
		Short:   "Find out what is wrong with connections, and how to repair it",
		Long: `Examine connections from where you are, step by step: the spec, the credential at rest, DNS,
proxy, TCP, the TLS chain, whether it is Kubernetes, its clock, who the credential is there,
whether it is the pinned cluster, each verb that is needed, versions, expiry, other names for
the same cluster, and what the manager reports. Each finding comes with the command that
repairs it.

Nothing is changed, and no credential is renewed. You need the right to get the Secrets in
Hawser's namespace. The manager may sit elsewhere in the network: where it sees something
else than you do, that is a finding too.

With --remote-context it also looks into that cluster by your own rights: at the AccessGrants for this
local cluster, their TrustedIssuers, the gate, and whether the member controllers run.

The exit code is 1 if there is an error; warnings leave it at 0. -o json prints a list of
{cluster, findings: [{check, severity, message, repair}]}, with the severities ok, skipped,
warning and error.`,
		Example: `  hawser check
  hawser check alpha beta
  hawser check alpha --remote-context alpha-admin
  hawser check -o json`,
		ValidArgsFunction: d.completeClusters(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.remote.given() && len(args) != 1 {
				return usageError("--remote-context is of one cluster: name that one")
			}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.check(ctx, args, f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	f.remote.add(cmd, "to look into it by your own rights, too")
	cmd.Flags().StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "deadline of the whole check")
	cmd.AddCommand(newCheckAddresses(d))
	return cmd
}

func (d *deps) check(ctx context.Context, names []string, f checkFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	all, err := listClusters(ctx, here.Client, nil)
	if err != nil {
		return err
	}
	chosen, err := choose(ctx, here, all, names)
	if err != nil {
		return err
	}
	around, err := d.surroundings(ctx, here, f.localName)
	if err != nil {
		return err
	}
	reports := make([]doctor.Report, len(chosen))
	var group sync.WaitGroup
	for i := range chosen {
		patient := doctor.Patient{Cluster: &chosen[i], Twins: twins(all, &chosen[i])}
		if source, err := d.sourceOf(ctx, here, &chosen[i]); err != nil {
			patient.SourceErr = err
		} else {
			patient.Source = atRest{source}
		}
		group.Go(func() { reports[i] = doctor.Examine(ctx, patient, around) })
	}
	group.Wait()
	var there error // told after what was found from here
	if f.remote.given() {
		there = d.checkThere(ctx, f.remote, &chosen[0], around.Local, &reports[0])
	}
	for _, r := range reports {
		for i := range r.Findings {
			r.Findings[i].Message, r.Findings[i].Repair = d.shell.In(r.Findings[i].Message), d.shell.In(r.Findings[i].Repair)
		}
	}
	if f.output != formatTable {
		err = encode(d.out, f.output, reports)
	} else {
		d.printReports(reports)
	}
	if err := cmp.Or(err, there); err != nil {
		return err
	}
	return d.reportFindings(reports)
}

func choose(ctx context.Context, here *cluster, all []v1alpha1.RemoteCluster, names []string) ([]v1alpha1.RemoteCluster, error) {
	if len(names) == 0 {
		return all, nil
	}
	return listClusters(ctx, here.Client, names)
}

func (d *deps) surroundings(ctx context.Context, here *cluster, localName string) (doctor.Surroundings, error) {
	s := doctor.Surroundings{Clock: d.clock, Local: localName, Namespace: d.namespace, UserAgent: "hawser/" + version.String()}
	id, err := d.identityOf(ctx, here.Client)
	if err != nil {
		return s, err
	}
	if s.Local == "" {
		s.Local = id.Name
	}
	s.ManagerVersion = id.Version
	lease, err := here.Kube.CoordinationV1().Leases(d.namespace).Get(ctx, manager.LeaderLease, metav1.GetOptions{})
	if err == nil && lease.Spec.RenewTime != nil && id.Version != "" { // forbidden, or no leader election: nothing to tell by
		s.ManagerSeen, s.ManagerFresh = lease.Spec.RenewTime.Time, leaseFresh(lease)
	}
	if v, err := here.Kube.Discovery().ServerVersion(); err == nil {
		s.LocalKubernetes = v.GitVersion
	}
	return s, nil
}

// twins are the other names of the cluster that rc is.
func twins(all []v1alpha1.RemoteCluster, rc *v1alpha1.RemoteCluster) []string {
	var names []string
	for i := range all {
		if id := clusterID(&all[i]); id != "" && id == clusterID(rc) && all[i].Name != rc.Name {
			names = append(names, all[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

func (d *deps) printReports(reports []doctor.Report) {
	tones := map[doctor.Severity]tone{doctor.OK: good, doctor.Warning: warn, doctor.Error: bad}
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(d.out)
		}
		fmt.Fprintf(d.out, "%s: %s\n", r.Cluster, tally(r))
		t := table{d: d}
		var rows [][]cell
		for _, f := range r.Findings {
			rows = append(rows, []cell{{text: "  " + string(f.Severity), tone: tones[f.Severity]}, {text: f.Check}, {text: oneLine(f.Message)}})
			if f.Repair != "" {
				rows = append(rows, cells("", "", "repair: "+f.Repair))
			}
		}
		t.print(rows)
	}
	if len(reports) == 0 {
		fmt.Fprintln(d.err, "There are no clusters yet. Connect one: hawser join NAME --remote-context CONTEXT")
	}
}

func tally(r doctor.Report) string {
	errs, warnings := r.Count(doctor.Error), r.Count(doctor.Warning)
	if errs == 0 && warnings == 0 {
		return "all is well"
	}
	return count(errs, "error") + ", " + count(warnings, "warning")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// reportFindings names each cluster with an error.
func (d *deps) reportFindings(reports []doctor.Report) error {
	failed := false
	for _, r := range reports {
		if n := r.Count(doctor.Error); n > 0 {
			failed = true
			fmt.Fprintf(d.err, "cluster %q: %s\n", r.Cluster, count(n, "error"))
		}
	}
	if failed {
		return gaps()
	}
	return nil
}
