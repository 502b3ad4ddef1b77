//go:build unix

package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/hawser-io/hawser/internal/authcache"
)

// become replaces this program by `hawser auth`, which takes the lock over. It returns only with an error.
func become(lock *authcache.Lock, key string, args, env []string) error {
	path, err := find()
	if err != nil {
		return err
	}
	held := ""
	if lock != nil {
		if fd, err := lock.KeepOverExec(); err == nil {
			held = strconv.Itoa(fd)
		}
	}
	err = syscall.Exec(path, command(held, key, args), env) //nolint:gosec // the program beside us, with our own arguments
	return fmt.Errorf("running %s: %w", path, err)
}

// refresh starts `hawser auth` in a session of its own, with nothing of ours but the lock. It ends by its own
// deadline; that it fails is seen by the one who needs the answer.
func refresh(lock *authcache.Lock, key string, env []string) {
	defer lock.Release() // the child has it
	path, err := find()
	if err != nil {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	child, err := os.StartProcess(path, command("3", key, os.Args[1:], "--background"), &os.ProcAttr{ //nolint:gosec // the program beside us, with our own arguments
		Env: env, Files: []*os.File{null, null, null, lock.File()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err == nil {
		_ = child.Release()
	}
}
