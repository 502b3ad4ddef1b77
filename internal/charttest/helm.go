// Package charttest runs Helm on the chart charts/hawser for tests and the demo: it renders the chart, installs it into
// the API servers of package fleettest, and runs the containers of its Deployments as processes. It knows nothing of
// what the chart is made of.
//
// Helm is the program bin/helm of the enclosing checkout, which `make bin/helm` builds from tools.mod, or
// $HAWSER_HELM.
package charttest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Helm is Helm with configuration and caches of its own, in one cluster or in none.
type Helm struct {
	program, home, kubeconfig string
}

// Open returns Helm with its files in a folder, in the cluster that a kubeconfig file leads to.
func Open(home, kubeconfig string) (*Helm, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	program := cmp.Or(os.Getenv("HAWSER_HELM"), filepath.Join(root, "bin", "helm"))
	if _, err := os.Stat(program); err != nil { //nolint:gosec // a test runs the Helm that it is told to
		return nil, fmt.Errorf("looking for Helm, which make bin/helm builds: %w", err)
	}
	return &Helm{program: program, home: home, kubeconfig: kubeconfig}, nil
}

// New is Open for a test, which ends where there is no Helm, with the text of a kubeconfig.
func New(t testing.TB, kubeconfig []byte) *Helm {
	t.Helper()
	home := t.TempDir()
	h, err := Open(home, filepath.Join(home, "kubeconfig"))
	if err == nil {
		err = os.WriteFile(h.kubeconfig, kubeconfig, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Run runs Helm and returns what it printed. values are its standard input: --values - reads them. Where it fails,
// the error holds what it printed as errors.
func (h *Helm) Run(ctx context.Context, values string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.program, args...) //nolint:gosec // as above
	cmd.Env = []string{
		"HOME=" + h.home, "KUBECONFIG=" + h.kubeconfig, "PATH=" + os.Getenv("PATH"),
		"HELM_CACHE_HOME=" + h.home, "HELM_CONFIG_HOME=" + h.home, "HELM_DATA_HOME=" + h.home,
	}
	cmd.Stdin = strings.NewReader(values)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return stdout.String(), &Failure{strings.TrimSpace(stderr.String())}
		}
		return "", fmt.Errorf("running helm %s: %w", args[0], err)
	}
	return stdout.String(), nil
}

// Failure is what Helm printed when it failed.
type Failure struct{ Text string }

func (f *Failure) Error() string { return "helm: " + f.Text }

// Lines are the lines that Helm's failure consists of, without the one that says where in the chart it was found.
func (f *Failure) Lines() []string {
	var lines []string
	for _, line := range strings.Split(f.Text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "Use --debug"), strings.HasPrefix(line, "level="):
		case strings.HasPrefix(line, "Error: execution error at"), strings.HasPrefix(line, "Error: values don't meet"), line == "hawser:":
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

// Chart is the folder of the chart.
func Chart(t testing.TB) string { return filepath.Join(Root(t), "charts", "hawser") }

// Root is the folder of the checkout.
func Root(t testing.TB) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func findRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, found := os.Stat(filepath.Join(dir, "tools.mod")); found == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no tools.mod above the working directory")
		}
	}
	return "", fmt.Errorf("looking for the checkout: %w", err)
}
