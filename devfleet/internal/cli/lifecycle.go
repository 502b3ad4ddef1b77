package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

const (
	startWithin = 3 * time.Minute // a machine that swaps is slow, not broken
	stopWithin  = 30 * time.Second
)

func newStart(get dirFlag) *cobra.Command {
	var ephemeral bool
	cmd := &cobra.Command{
		Use:     "start CLUSTER...",
		Short:   "Start clusters that were stopped: same address, same data, same keys",
		Example: "  devfleet start alpha",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			specs, err := specsOf(dir, names)
			if err != nil {
				return err
			}
			for _, spec := range specs {
				if dir.Running(spec.Name) {
					return fmt.Errorf("cluster %q is running already", spec.Name)
				}
			}
			// An `up` in the foreground goes on to own the cluster; without one it lives until `stop` or `down`.
			owner := ""
			if fleet.Held(dir.OwnerLock()) {
				owner = dir.OwnerLock()
			}
			_, err = launch(cmd.Context(), dir, specs, launchOptions{owner: owner, ephemeral: ephemeral, out: cmd.ErrOrStderr()})
			return err
		},
	}
	cmd.Flags().BoolVar(&ephemeral, "ephemeral", false, "remove the clusters' directories when the owner is gone")
	_ = cmd.Flags().MarkHidden("ephemeral") // for fleettest
	return cmd
}

func newStop(get dirFlag) *cobra.Command {
	return &cobra.Command{
		Use:     "stop CLUSTER...",
		Short:   "Stop the processes of clusters, and keep their data",
		Example: "  devfleet stop alpha beta",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			if _, err := specsOf(dir, names); err != nil {
				return err
			}
			return stopAll(cmd.Context(), dir, names, cmd.ErrOrStderr())
		},
	}
}

func newDown(get dirFlag) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop every cluster of the fleet",
		Long:  "Stop every cluster of the fleet. Data, keys and ports are kept for the next `up`, unless --purge is given.",
		Example: `  devfleet down
  devfleet down --purge   # and remove the directory`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			specs, err := dir.Specs()
			if err != nil {
				return err
			}
			if err := stopAll(cmd.Context(), dir, namesOf(specs), cmd.ErrOrStderr()); err != nil {
				return err
			}
			if purge {
				return purgeFleet(dir, specs)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove keys and data as well")
	return cmd
}

// purgeFleet removes what devfleet made and nothing else: the directory may be one that somebody else uses too.
func purgeFleet(dir fleet.Dir, specs []fleet.Spec) error {
	for _, spec := range specs {
		if err := os.RemoveAll(dir.Cluster(spec.Name)); err != nil {
			return fmt.Errorf("removing cluster %q: %w", spec.Name, err)
		}
	}
	for _, file := range dir.OwnFiles() {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing fleet: %w", err)
		}
	}
	_ = os.Remove(string(dir)) // stays if it is not empty
	return nil
}

func specsOf(dir fleet.Dir, names []string) ([]fleet.Spec, error) {
	var specs []fleet.Spec
	for _, name := range names {
		spec, err := dir.Spec(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no cluster %q in %s; `devfleet status` lists them", name, dir)
		}
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

func namesOf(specs []fleet.Spec) []string {
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	return names
}

type launchOptions struct {
	owner     string
	ephemeral bool
	force     bool
	out       io.Writer
}

// launch starts clusters at the same time and returns when all are ready. If one fails, all that were started
// here are stopped: half a fleet is of no use.
func launch(ctx context.Context, dir fleet.Dir, specs []fleet.Spec, opts launchOptions) ([]*fleet.Launched, error) {
	if err := checkMemory(specs, opts); err != nil {
		return nil, err
	}
	for _, spec := range specs {
		if err := fleet.PortProblem(spec); err != nil {
			return nil, err
		}
	}
	wctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	progress := newProgress(opts.out, namesOf(specs))
	group, gctx := errgroup.WithContext(wctx)
	launched := make([]*fleet.Launched, len(specs))
	for i, spec := range specs {
		group.Go(func() error {
			l, err := dir.Launch(spec.Name, opts.owner, opts.ephemeral)
			if err != nil {
				return err
			}
			launched[i] = l
			return l.WaitReady(gctx, func(phase string) { progress.set(spec.Name, phase) })
		})
	}
	err := group.Wait()
	progress.close(err == nil)
	if err == nil {
		err = publishIssuers(ctx, dir)
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted while starting; what had started was stopped")
	}
	if err != nil {
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		return nil, errors.Join(err, stopAll(sctx, dir, namesOf(specs), io.Discard))
	}
	return launched, nil
}

func checkMemory(specs []fleet.Spec, opts launchOptions) error {
	have, ok := fleet.AvailableMegabytes()
	need := fleet.NeededMegabytes(specs)
	if !ok || have >= need {
		return nil
	}
	problem := fmt.Sprintf("starting %d cluster(s) takes about %d MB of memory, and %d MB are available", len(specs), need, have)
	if opts.force {
		fmt.Fprintf(opts.out, "warning: %s\n", problem)
		return nil
	}
	return fmt.Errorf("%s\nStart fewer clusters or pods, or go on with --force", problem)
}

func stopAll(ctx context.Context, dir fleet.Dir, names []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	var group errgroup.Group // one that fails must not keep the others running
	for _, name := range names {
		group.Go(func() error {
			stopped, err := dir.Stop(ctx, name)
			if stopped {
				fmt.Fprintf(out, "stopped %s\n", name)
			}
			return err
		})
	}
	return group.Wait()
}
