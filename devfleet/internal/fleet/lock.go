package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("held by another process")

// A Lock is the identity of a running process: the kernel drops it when the process ends, however it ends,
// so a pid that was used again is never mistaken for one of ours.
type Lock struct {
	file *os.File
}

// holder is what the lock file says about the process that holds it.
type holder struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

// TryLock takes the lock, or returns ErrLocked at once.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock: %w", err)
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	data, err := json.Marshal(holder{PID: os.Getpid(), Started: time.Now()})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing lock: %w", err)
	}
	return &Lock{file: f}, nil
}

// Close gives the lock back.
func (l *Lock) Close() error { return l.file.Close() }

// Held reports whether some process holds the lock.
func Held(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(flock(f, syscall.LOCK_SH|syscall.LOCK_NB), ErrLocked)
}

// WaitReleased returns when no process holds the lock any more.
func WaitReleased(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening owner's lock: %w", err)
	}
	defer f.Close()
	return flock(f, syscall.LOCK_SH)
}

// process finds the process that holds the lock; nil if there is none. The handle is taken before the lock
// is looked at again, and on Linux it is a pidfd, so that the signal cannot go to a successor with the same pid.
func process(path string) (*os.Process, holder, error) {
	if !Held(path) { // nobody has, or the file was never made
		return nil, holder{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, holder{}, fmt.Errorf("reading lock: %w", err)
	}
	var h holder
	if err := json.Unmarshal(data, &h); err != nil || h.PID <= 1 {
		return nil, holder{}, fmt.Errorf("reading lock %s: it is held, but names no process", path)
	}
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return nil, holder{}, fmt.Errorf("finding process %d: %w", h.PID, err)
	}
	if !Held(path) {
		return nil, holder{}, nil
	}
	return p, h, nil
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		case err != nil:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		return nil
	}
}
