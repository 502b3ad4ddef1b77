// Command rbac writes the files that are made from the tables of rights: the roles in config and in the
// chart, and docs/rbac.md. It runs in the root of the repository; `make generate` does that.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hawser-io/hawser/internal/rbac"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rbac:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := os.Stat("go.mod"); err != nil {
		return fmt.Errorf("run it in the root of the repository: %w", err)
	}
	files, err := rbac.Files()
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
