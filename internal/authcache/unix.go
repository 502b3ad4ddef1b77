//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package authcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// nonblocking keeps a pipe that lies in the place of a file from holding us up.
const nonblocking = syscall.O_NONBLOCK

func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// flock takes the kernel's lock on an open file, or returns ErrTaken.
func flock(file *os.File) error {
	for {
		switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrTaken
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("locking the cache: %w", err)
		}
	}
}

// KeepOverExec lets the lock outlive the program that replaces this one, and returns its descriptor for Adopt.
func (l *Lock) KeepOverExec() (int, error) {
	fd := int(l.file.Fd())
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0); errno != 0 {
		return 0, fmt.Errorf("keeping the lock of the cache: %w", errno)
	}
	return fd, nil
}

// Adopt takes over a lock that was handed to this process, and keeps it from programs that this one starts:
// one that they leave behind must not hold it for ever.
func Adopt(key string, fd int) (*Lock, error) {
	if !isKey(key) || fd < 3 {
		return nil, errors.New("taking over the lock of the cache: that is none")
	}
	syscall.CloseOnExec(fd)
	l := &Lock{key, os.NewFile(uintptr(fd), "lock")}
	if err := flock(l.file); err != nil { // it is ours already, or it is not the lock
		return nil, fmt.Errorf("taking over the lock of the cache: %w", err)
	}
	return l, nil
}
