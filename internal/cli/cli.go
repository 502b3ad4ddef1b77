// Package cli is Hawser's command line: flags, words and a terminal around the
// packages that do the work. There is a file for each command; what commands take
// from their surroundings is in deps. It runs as hawser, and as kubectl hawser
// where a link of the name kubectl-hawser is in the path.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/fleet"
)

// Run runs the command line args, whose first element is the name of the program, and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newDeps(stdin, stdout, stderr).run(ctx, args)
}

// RunManager is Run for the command manager in a program that goes over the manager's connections itself: started is
// handed them before the first one is made.
func RunManager(ctx context.Context, args []string, stderr io.Writer, started func(*fleet.Links)) int {
	d := newDeps(strings.NewReader(""), stderr, stderr)
	d.links = started
	return d.run(ctx, args)
}

func newDeps(stdin io.Reader, stdout, stderr io.Writer) *deps {
	return &deps{
		in: stdin, out: stdout, err: stderr,
		clock:   clock.RealClock{},
		connect: connect(stderr),
		colour:  colourful(stdout),
	}
}

// run is Run for any surroundings.
func (d *deps) run(ctx context.Context, args []string) int {
	program := "hawser"
	if len(args) > 0 && strings.HasPrefix(filepath.Base(args[0]), "kubectl-") {
		program = "kubectl hawser"
	}
	root := newRoot(d, program)
	root.SetArgs(args[min(1, len(args)):])
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		code := exitFailed
		if !d.started {
			code = exitUsage
		}
		exit = &exitError{code, err}
	}
	if ctx.Err() != nil {
		exit.code = exitInterrupted
	}
	if exit.err != nil {
		fmt.Fprintf(d.err, "%s: %s\n", program, exit.err)
	}
	if exit.code == exitUsage {
		fmt.Fprintf(d.err, "See `%s --help`.\n", cmd.CommandPath())
	}
	return exit.code
}

func newRoot(d *deps, program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "hawser",
		Short: "Tie Kubernetes clusters together",
		Long: `Hawser holds a live connection to each remote cluster, renews its credential
underneath it, and says what works and what does not.

Commands act on the local cluster, where Hawser runs: that of the current context,
or of --context. A cluster that is joined is named by its own context.`,
		Example: `  # connect a cluster, see all of them, find out what is wrong with one
  hawser join alpha --remote-context alpha-admin
  hawser clusters
  hawser check alpha`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: program},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(d.in)
	root.SetOut(d.out)
	root.SetErr(d.err)
	d.globalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupConnect, Title: "Connecting clusters:"},
		&cobra.Group{ID: groupLook, Title: "Looking after them:"},
		&cobra.Group{ID: groupRun, Title: "Installing and running Hawser:"},
	)
	root.AddCommand(
		newJoin(d), newLeave(d), newAWS(d),
		newStatus(d), newClusters(d), newCheck(d), newRotate(d), newRevoke(d),
		newMember(d), newManager(d), newGate(d), newTrust(d),
		newAuth(d), newKubeconfig(d),
		newImport(d), newCan(d), newGrants(d),
		newEndpoints(d), newPolicy(d),
		newVersion(d), newExitCodes(),
	)
	markStart(d, root)
	if program != root.Use {
		nameAs(program, root)
	}
	return root
}

// Groups of the help text.
const (
	groupConnect = "connect"
	groupLook    = "look"
	groupRun     = "run"
)

// markStart notes when a command begins to run: every error before that is one of usage.
func markStart(d *deps, cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		markStart(d, sub)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			d.started = true
			d.speak(cmd)
			return run(cmd, args)
		}
	}
}

// nameAs puts the plugin's name into the examples.
func nameAs(program string, cmd *cobra.Command) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "  hawser ", "  "+program+" ")
	cmd.Example = strings.ReplaceAll(cmd.Example, "$(hawser ", "$("+program+" ")
	for _, sub := range cmd.Commands() {
		nameAs(program, sub)
	}
}
