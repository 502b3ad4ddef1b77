//go:build !unix

package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/hawser-io/hawser/internal/authcache"
)

// become runs `hawser auth` and ends as that does: this system cannot replace a program, and has no cache.
func become(_ *authcache.Lock, key string, args, env []string) error {
	path, err := find()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, command("", key, args)[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w", path, err)
	}
	return nil
}

// refresh does nothing: there is no cache.
func refresh(lock *authcache.Lock, _ string, _ []string) { lock.Release() }
