package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// release is what an image says of itself.
type release struct {
	Version  string
	Revision string    // empty where nobody knows it
	Created  time.Time // of the source, never of the build
}

// complete asks git for what was not given. A folder without git is no error: an image of it names no commit.
func (r *release) complete(ctx context.Context, root string) error {
	if r.Version == "" {
		r.Version = "devel"
		if tag := git(ctx, root, "describe", "--tags", "--exact-match"); tag != "" && clean(ctx, root) {
			r.Version = tag
		}
	}
	if r.Revision == "" {
		r.Revision = git(ctx, root, "rev-parse", "HEAD")
		if r.Revision != "" && !clean(ctx, root) {
			r.Revision += "-dirty"
		}
	}
	seconds, from := os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	if seconds == "" {
		seconds, from = git(ctx, root, "log", "-1", "--format=%ct"), "the time of the commit"
	}
	if seconds == "" {
		seconds = "0"
	}
	epoch, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	r.Created = time.Unix(epoch, 0).UTC()
	return nil
}

func clean(ctx context.Context, root string) bool {
	return git(ctx, root, "status", "--porcelain") == ""
}

// git is what a git command prints; empty where it fails.
func git(ctx context.Context, root string, args ...string) string {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(bytes.TrimSpace(out)))
}

// annotations are the OCI annotations, and labels, of everything that belongs to the image.
func (r release) annotations() map[string]string {
	a := map[string]string{
		"org.opencontainers.image.title":         "Hawser",
		"org.opencontainers.image.description":   "Ties Kubernetes clusters together: connections whose credentials renew themselves",
		"org.opencontainers.image.source":        "https://" + module,
		"org.opencontainers.image.documentation": "https://" + module + "/tree/main/docs",
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.vendor":        "Hawser",
		"org.opencontainers.image.version":       r.Version,
		"org.opencontainers.image.created":       r.Created.Format(time.RFC3339),
	}
	if r.Revision != "" {
		a["org.opencontainers.image.revision"] = r.Revision
	}
	return a
}
