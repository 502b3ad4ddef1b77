// Package cli is devfleet's command line. It only wires packages fleet and server to flags and a terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

const dirVariable = "DEVFLEET_DIR"

// Main runs the command line and returns the exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := newRoot()
	if err := root.ExecuteContext(ctx); err != nil {
		var code exitCode
		if errors.As(err, &code) {
			return int(code)
		}
		fmt.Fprintln(os.Stderr, "devfleet:", err)
		return 1
	}
	return 0
}

// exitCode ends the program with a code and no message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func newRoot() *cobra.Command {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		dir = ".devfleet"
	}
	root := &cobra.Command{
		Use:   "devfleet",
		Short: "Run a fleet of real Kubernetes API servers on this machine",
		Long: `devfleet runs real Kubernetes control planes on 127.0.0.1, one process for each cluster:
kube-apiserver, kube-controller-manager, an embedded etcd and, if asked for, nodes and
running pods played by kwok. Nothing is downloaded and no container runtime is needed.`,
		Example: `  # three clusters, until Ctrl-C
  devfleet up

  # two clusters with pods, in the background
  devfleet up --clusters primary,alpha --pods 100 --detach
  devfleet kubectl --context alpha get pods -A
  devfleet down`,
		Version:          version.Get().GitVersion,
		SilenceUsage:     true,
		SilenceErrors:    true,
		TraverseChildren: true, // so that --dir may stand before `kubectl`, which takes all flags after it
	}
	root.PersistentFlags().StringVar(&dir, "dir", dir, "directory of the fleet (or set "+dirVariable+")")
	get := func() (fleet.Dir, error) {
		abs, err := filepath.Abs(dir)
		return fleet.Dir(abs), err
	}
	root.AddCommand(newUp(get), newStatus(get), newStart(get), newStop(get), newDown(get), newKubectl(get), newServe())
	return root
}

// dirFlag is evaluated when the command runs: flags are not parsed yet when commands are made.
type dirFlag func() (fleet.Dir, error)
