package fleettest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const binaryVariable = "HAWSER_DEVFLEET"

// ErrNoBinary means that the program devfleet is nowhere to be found.
var ErrNoBinary = errors.New("devfleet is not built; build it once, which takes about five minutes, with: devfleet/build.sh bin/devfleet")

// findBinary looks where the package documentation says.
func findBinary() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("finding devfleet by $%s: %w", binaryVariable, err)
		}
		return path, nil
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file)) // with -trimpath it is no path of this machine
	}
	for _, start := range starts {
		if path, ok := inCheckout(start); ok {
			return path, nil
		}
	}
	if path, err := exec.LookPath("devfleet"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w (or set $%s)", ErrNoBinary, binaryVariable)
}

// inCheckout walks up to the checkout of hawser. Any other bin/devfleet on the way is not ours to run.
func inCheckout(dir string) (string, bool) {
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/hawser-io/hawser\n") {
			path := filepath.Join(dir, "bin", "devfleet")
			_, err := os.Stat(path)
			return path, err == nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
