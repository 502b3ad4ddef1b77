package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"
)

// What is shown of a command's output.
type shown int

const (
	everything shown = iota
	onlyFirst        // the first line of each paragraph
	onlyLast
)

// hawser runs a command of the program as a person would, and shows it.
func (w *world) hawser(ctx context.Context, show shown, args ...string) error {
	return w.show(ctx, show, 0, args...)
}

// hawserFails is hawser for a command that has to end with exit code 1, since a cluster is missing.
func (w *world) hawserFails(ctx context.Context, show shown, args ...string) error {
	return w.show(ctx, show, 1, args...)
}

func (w *world) show(ctx context.Context, show shown, want int, args ...string) error {
	fmt.Printf("\n  $ hawser %s\n", strings.Join(args, " "))
	out, err := w.command(ctx, args...).CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		return fmt.Errorf("running hawser: %w", err)
	}
	if code != want {
		fmt.Println(indent(text))
		return fmt.Errorf("hawser %s: exit code %d, not %d", args[0], code, want)
	}
	fmt.Println(indent(excerpt(text, show)))
	return nil
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.fleetDir.Kubeconfig())
	if slices.Contains(args, "grant") {
		for name, value := range w.cloud.operator { // of the two, only the operator may make access entries
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func excerpt(text string, show shown) string {
	lines := strings.Split(text, "\n")
	switch show {
	case onlyLast:
		return lines[len(lines)-1]
	case onlyFirst:
		var first []string
		for i, line := range lines {
			if i == 0 || lines[i-1] == "" {
				first = append(first, line)
			}
		}
		return strings.Join(first, "\n")
	default:
		return text
	}
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

func heading(text string) {
	if term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "" {
		text = "\033[1m" + text + "\033[0m"
	}
	fmt.Printf("\n%s\n", text)
}

func said(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// findProgram returns the hawser that was built from this tree.
func findProgram() (string, error) {
	path, err := filepath.Abs(filepath.Join("bin", "hawser"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", errors.New("bin/hawser is missing: run make demo, in the root of the repository")
	}
	return path, nil
}

// lookAround says what can be done with what still runs.
func (w *world) lookAround() {
	heading("Everything still runs, until Ctrl-C. Look around, in another terminal")
	fmt.Printf(`  export KUBECONFIG=%s
  bin/hawser clusters -w
  bin/hawser status
  bin/hawser policy explain from-db -n shop
  bin/hawser endpoints eval "has(app)" -o wide
  bin/helm --kube-context primary --namespace hawser history hawser
  bin/devfleet --dir %s kubectl get remoteclusters
  tail -f %s
`, w.fleetDir.Kubeconfig(), w.dir, filepath.Join(w.dir, managerLog))
}
