package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

type upFlags struct {
	clusters      []string
	pods, nodes   int
	kwok          bool
	audit         bool
	trust         []string
	apiserverArgs []string
	basePort      int
	detach        bool
	force         bool
	ownerLock     string
	ephemeral     bool
}

func newUp(get dirFlag) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start clusters",
		Long: `Start clusters, and make them first if they are new. Without --detach the command stays in the
foreground and stops them at Ctrl-C; should it be killed, they end by themselves.

With --trust B=A, cluster B believes service-account tokens of cluster A that were issued for
the audience "hawser:B"; their users are called "A:system:serviceaccount:NAMESPACE:NAME" in B.`,
		Example: `  # primary, alpha and beta, until Ctrl-C
  devfleet up

  # 500 running pods on 3 nodes in each of two clusters, in the background
  devfleet up --clusters primary,alpha --pods 500 --nodes 3 --detach

  # beta believes tokens of primary; alpha writes an audit log and logs more
  devfleet up --trust beta=primary --apiserver-arg alpha=--audit-log-path=/tmp/alpha.log --apiserver-arg '*=--v=2'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			return up(cmd.Context(), dir, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.clusters, "clusters", []string{"primary", "alpha", "beta"}, "names of the clusters")
	flags.IntVar(&f.pods, "pods", 0, "running pods in each cluster")
	flags.IntVar(&f.nodes, "nodes", 0, "nodes in each cluster (1 if there are pods)")
	flags.BoolVar(&f.kwok, "kwok", false, "run kwok even without nodes")
	flags.BoolVar(&f.audit, "audit", false, "write an audit log (metadata only) to DIR/CLUSTER/"+fleet.AuditFile)
	flags.StringArrayVar(&f.trust, "trust", nil, "CLUSTER=ISSUER: CLUSTER believes service-account tokens of ISSUER")
	flags.StringArrayVar(&f.apiserverArgs, "apiserver-arg", nil, "CLUSTER=--flag=value: argument for an API server; '*' means all")
	flags.IntVar(&f.basePort, "base-port", 0, "cluster i listens on ports N+2i and N+2i+1 (default: free ports, kept from then on)")
	flags.BoolVar(&f.detach, "detach", false, "return when the clusters are ready, and leave them running")
	flags.BoolVar(&f.force, "force", false, "start even if memory is short")
	flags.StringVar(&f.ownerLock, "owner-lock", "", "with --detach: end the clusters when nobody holds the lock of this file")
	flags.BoolVar(&f.ephemeral, "ephemeral", false, "with --owner-lock: remove the clusters' directories then")
	for _, internal := range []string{"owner-lock", "ephemeral"} { // for fleettest
		_ = flags.MarkHidden(internal)
	}
	return cmd
}

func up(ctx context.Context, dir fleet.Dir, f upFlags, out, progress io.Writer) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	if err := refuseRunning(dir, opts.Clusters); err != nil {
		return err
	}
	specs, err := fleet.Prepare(dir, opts)
	if err != nil {
		return err
	}
	launchOpts := launchOptions{owner: f.ownerLock, ephemeral: f.ephemeral, force: f.force, out: progress}
	if !f.detach {
		lock, err := fleet.TryLock(dir.OwnerLock())
		if errors.Is(err, fleet.ErrLocked) {
			return fmt.Errorf("another `devfleet up` is in the foreground in %s; use --detach to add clusters to its fleet", dir)
		}
		if err != nil {
			return err
		}
		defer lock.Close()
		launchOpts.owner = dir.OwnerLock()
	}
	launched, err := launch(ctx, dir, specs, launchOpts)
	if err != nil {
		return err
	}
	if err := printReady(dir, out, f.detach); err != nil || f.detach {
		return err
	}
	return holdUntilDone(ctx, dir, launched, progress)
}

func (f upFlags) options() (fleet.Options, error) {
	opts := fleet.Options{
		Clusters: f.clusters, Pods: f.pods, Nodes: f.nodes, Kwok: f.kwok, Audit: f.audit, BasePort: f.basePort,
		Trust: map[string][]string{}, APIServerArgs: map[string][]string{},
	}
	const mostPods = 60000 // the addresses of a /16, less some
	if f.pods < 0 || f.pods > mostPods || f.nodes < 0 {
		return opts, fmt.Errorf("--pods must be between 0 and %d, and --nodes not negative", mostPods)
	}
	if err := checkNames(f.clusters); err != nil {
		return opts, err
	}
	for _, t := range f.trust {
		cluster, issuer, ok := strings.Cut(t, "=")
		if !ok || !slices.Contains(f.clusters, cluster) || fleet.CheckName(issuer) != nil {
			return opts, fmt.Errorf("--trust %q: write CLUSTER=ISSUER, where CLUSTER is one of --clusters", t)
		}
		opts.Trust[cluster] = append(opts.Trust[cluster], issuer)
	}
	for _, a := range f.apiserverArgs {
		cluster, arg, ok := strings.Cut(a, "=")
		if !ok || !strings.HasPrefix(arg, "--") || (cluster != "*" && !slices.Contains(f.clusters, cluster)) {
			return opts, fmt.Errorf("--apiserver-arg %q: write CLUSTER=--flag=value, where CLUSTER is one of --clusters or '*'", a)
		}
		opts.APIServerArgs[cluster] = append(opts.APIServerArgs[cluster], arg)
	}
	return opts, nil
}

func checkNames(clusters []string) error {
	if len(clusters) == 0 {
		return errors.New("--clusters names no cluster")
	}
	for i, name := range clusters {
		if err := fleet.CheckName(name); err != nil {
			return err
		}
		if slices.Contains(clusters[:i], name) {
			return fmt.Errorf("cluster %q is named twice", name)
		}
	}
	return nil
}

func refuseRunning(dir fleet.Dir, names []string) error {
	var running []string
	for _, name := range names {
		if dir.Running(name) {
			running = append(running, name)
		}
	}
	if len(running) == 0 {
		return nil
	}
	return fmt.Errorf("this fleet is up already: %s run in %s\n"+
		"See `devfleet --dir %s status`; stop them with `devfleet --dir %s down`, or name another directory with --dir",
		strings.Join(running, ", "), dir, dir, dir)
}

func printReady(dir fleet.Dir, out io.Writer, detached bool) error {
	rows, err := statusOf(dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := printTable(out, rows); err != nil {
		return err
	}
	stop := "Ctrl-C stops the fleet; its data stays in " + string(dir)
	if detached {
		stop = fmt.Sprintf("%s --dir %s down", os.Args[0], dir)
	}
	self := os.Args[0]
	_, err = fmt.Fprintf(out, `
Use it:   export KUBECONFIG=%s
          %s --dir %s kubectl --context %s get namespaces
Stop it:  %s
`, dir.Kubeconfig(), self, dir, rows[0].Name, stop)
	return err
}

// holdUntilDone stays in the foreground until Ctrl-C, and then stops the whole fleet. That a cluster was stopped
// with `stop` is no reason to end; it may be started again.
func holdUntilDone(ctx context.Context, dir fleet.Dir, launched []*fleet.Launched, progress io.Writer) error {
	for _, l := range launched {
		go func() {
			<-l.Done()
			if ctx.Err() != nil {
				return
			}
			state, err := dir.State(l.Name())
			if err == nil && state.Error != "" {
				fmt.Fprintf(progress, "cluster %s has ended: %s (see %s)\n", l.Name(), state.Error, dir.Log(l.Name()))
			}
		}()
	}
	<-ctx.Done()
	fmt.Fprintln(progress, "\nstopping …")
	specs, err := dir.Specs()
	if err != nil {
		return err
	}
	return stopAll(context.WithoutCancel(ctx), dir, namesOf(specs), progress)
}
