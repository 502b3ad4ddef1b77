package fleettest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Kubectl runs the kubectl that is built into devfleet, and returns what it printed, without the last line end. It
// reads the given kubeconfig, or that of the fleet where the name is empty, and has this program's environment, as
// have the plugins that the kubeconfig names. Where it fails, the error holds what it printed as errors.
func (f *Fleet) Kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	binary, err := findBinary()
	if err != nil {
		return "", err
	}
	if kubeconfig == "" {
		kubeconfig = f.Kubeconfig()
	}
	cmd := exec.CommandContext(ctx, binary, append([]string{"--dir", f.dir, "kubectl", "--kubeconfig", kubeconfig}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return strings.TrimRight(string(out), "\n"), fmt.Errorf("running kubectl %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// Kubectl is [Fleet.Kubectl] of the cluster's fleet.
func (c *Cluster) Kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	return c.fleet.Kubectl(ctx, kubeconfig, args...)
}
