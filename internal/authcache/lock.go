package authcache

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Lock is the right to find the answer to one key. It is the kernel's: it ends with the last process that
// holds it, however that ends. It can be handed to a child or over an exec.
type Lock struct {
	key  string
	file *os.File
}

// poll is how often a lock that is taken is tried again.
const poll = 10 * time.Millisecond

// ErrTaken says that somebody else has held the lock all the time.
var ErrTaken = errors.New("somebody else is at work on the same answer")

// TryLock takes the lock of a key, if nobody holds it.
func (c *Cache) TryLock(key string) (*Lock, bool) {
	l, err := c.tryLock(key)
	return l, err == nil
}

func (c *Cache) tryLock(key string) (*Lock, error) {
	if !isKey(key) {
		return nil, errors.New("locking the cache: that is no key")
	}
	for range 3 { // somebody may prune the file between opening and locking it
		file, err := c.root.OpenFile(key+lockSuffix, os.O_RDWR|os.O_CREATE|nonblocking, 0o600)
		if err != nil {
			return nil, fmt.Errorf("locking the cache: %w", err)
		}
		info, err := file.Stat()
		if err == nil {
			err = refuse(info)
		}
		if err == nil {
			err = flock(file)
		}
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		if named, err := c.root.Stat(key + lockSuffix); err == nil && os.SameFile(info, named) {
			return &Lock{key, file}, nil
		}
		_ = file.Close()
	}
	return nil, ErrTaken
}

// Lock takes the lock of a key, and waits for it: ErrTaken after the given time. Any other error means that
// there can be no lock.
func (c *Cache) Lock(key string, patience time.Duration) (*Lock, error) {
	var tick *time.Ticker
	for deadline := time.Now().Add(patience); ; {
		l, err := c.tryLock(key)
		if err == nil || !errors.Is(err, ErrTaken) || !time.Now().Before(deadline) {
			return l, err
		}
		if tick == nil {
			tick = time.NewTicker(poll)
			defer tick.Stop()
		}
		<-tick.C
	}
}

// Release gives the lock up, unless a child has it, too.
func (l *Lock) Release() { _ = l.file.Close() }

// File is the handle that is the lock, for a child to inherit.
func (l *Lock) File() *os.File { return l.file }
