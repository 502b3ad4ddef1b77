package fleettest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// running asks the kernel: the cluster's process holds a lock for as long as it lives.
func (c *Cluster) running() bool {
	f, err := os.Open(filepath.Join(c.dir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
