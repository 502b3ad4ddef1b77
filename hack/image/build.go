package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

const (
	module      = "github.com/hawser-io/hawser"
	programsDir = "usr/local/bin" // in the image
)

// programs of the image, by their folder in cmd. The first one is its entry point.
var programs = []string{"hawser", "hawser-auth"}

// build compiles the programs for linux into the folder dir: static, and the same on every machine with this
// version of Go. What a person has set for their own builds takes no part.
func build(ctx context.Context, root, dir, arch, version string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("building the programs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("building the programs: %w", err)
	}
	flags := "-s -w"
	if version != "devel" {
		flags += " -X " + module + "/internal/version.version=" + version
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-tags=", "-ldflags=" + flags, "-o", dir + string(filepath.Separator)}
	for _, name := range programs {
		args = append(args, "./"+path.Join("cmd", name))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(),
		"GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the programs for linux/%s: %w\n%s", arch, err, stderr.Bytes())
	}
	return nil
}
