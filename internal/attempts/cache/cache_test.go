package cache_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawser-io/hawser/internal/authcache"
)

const cacheNobody = 65534

// TestAttemptsOnTheCache are those on the files in which hawser-auth keeps its answers, which are credentials: by
// another user of the machine, who reads them or has the owner use theirs, and by whoever may write one file.
func TestAttemptsOnTheCache(t *testing.T) {
	now := time.Now()
	key, other := strings.Repeat("1", 64), strings.Repeat("2", 64)
	for name, attempt := range map[string]func(t *testing.T, dir, file string){
		"a directory that others may list":  func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o755)) },
		"a directory that others may write": func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o730)) },
		"a directory of another user's":     func(t *testing.T, dir, _ string) { chown(t, dir) },
		"a file that others may read":       func(t *testing.T, _, file string) { must(t, os.Chmod(file, 0o644)) },
		"a file that others may write":      func(t *testing.T, _, file string) { must(t, os.Chmod(file, 0o620)) },
		"a file of another user's":          func(t *testing.T, _, file string) { chown(t, file) },
		"a link out of the directory":       func(t *testing.T, _, file string) { linked(t, file, filepath.Join(t.TempDir(), "planted")) },
		"an answer to another question, by a link": func(t *testing.T, dir, file string) {
			keep(t, dir, other, now)
			must(t, os.Remove(file))
			must(t, os.Symlink(other+".entry", file))
		},
		"an answer to another question, moved here": func(t *testing.T, dir, file string) { planted(t, dir, file, other) },
		"a token that was put into the file": func(t *testing.T, _, file string) {
			edit(t, file, func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("owners"), []byte("thiefs")) })
		},
		"a torn file": func(t *testing.T, _, file string) { edit(t, file, cutAndClosed) },
		"a file that never ends": func(t *testing.T, _, file string) {
			edit(t, file, func(text []byte) []byte { return append(text, make([]byte, 2<<20)...) })
		},
		"a pipe that never talks": func(t *testing.T, _, file string) { must(t, os.Remove(file)); must(t, syscall.Mkfifo(file, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hawser-auth")
			keep(t, dir, key, now)
			if _, ok := read(t, dir, key, now); !ok {
				t.Fatal("what was kept is not there")
			}
			attempt(t, dir, filepath.Join(dir, key+".entry"))
			if e, ok := read(t, dir, key, now); ok {
				t.Errorf("hawser-auth answers with it: %s", e.Status.Reveal())
			}
		})
	}
	t.Run("the modes that it makes itself", func(t *testing.T) {
		old := syscall.Umask(0)
		defer syscall.Umask(old)
		dir := filepath.Join(t.TempDir(), "hawser-auth")
		keep(t, dir, key, now)
		must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is open to others: %v (%v, %v)", path, info, err, statErr)
			}
			return nil
		}))
	})
	t.Run("a file that lies ready where it writes", func(t *testing.T) {
		dir, loot := filepath.Join(t.TempDir(), "hawser-auth"), filepath.Join(t.TempDir(), "loot")
		must(t, os.MkdirAll(dir, 0o700))
		must(t, os.WriteFile(loot, nil, 0o666))
		for _, ready := range []func(string) error{
			func(path string) error { return os.Symlink(loot, path) },
			func(path string) error { return os.Link(loot, path) },
		} {
			must(t, ready(filepath.Join(dir, key+".new")))
			keep(t, dir, key, now)
			if text, err := os.ReadFile(loot); err != nil || len(text) > 0 {
				t.Errorf("the answer was written into a file of the thief's (%v)", err)
			}
		}
	})
}

// must fails the test with what is wrong, if anything is.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func keep(t *testing.T, dir, key string, now time.Time) {
	t.Helper()
	cache, err := authcache.OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cache.Close() }()
	lock, ok := cache.TryLock(key)
	if !ok {
		t.Fatal("the lock is taken")
	}
	defer lock.Release()
	status, err := authcache.NewStatus([]byte(`{"token":"owners"}`))
	if err != nil {
		t.Fatal(err)
	}
	must(t, cache.Write(lock, authcache.NewEntry(status, now, now.Add(time.Hour), nil)))
}

func read(t *testing.T, dir, key string, now time.Time) (authcache.Entry, bool) {
	t.Helper()
	cache, err := authcache.OpenAt(dir)
	if err != nil {
		return authcache.Entry{}, false // it works without
	}
	var e authcache.Entry
	var ok bool
	done := make(chan struct{})
	go func() { // ends with the read, or with the test program
		defer close(done)
		e, ok = cache.Read(key, now)
	}()
	select {
	case <-done:
		_ = cache.Close()
		return e, ok
	case <-time.After(5 * time.Second):
		t.Error("it waits for ever")
		return authcache.Entry{}, false
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	must(t, os.Chown(path, cacheNobody, -1))
}

// linked puts a link in the place of a file, to one that has everything but the place.
func linked(t *testing.T, file, to string) {
	t.Helper()
	must(t, os.Rename(file, to))
	must(t, os.Symlink(to, file))
}

// planted puts an answer to another question in the place of a file.
func planted(t *testing.T, dir, file, from string) {
	t.Helper()
	keep(t, dir, from, time.Now())
	must(t, os.Rename(filepath.Join(dir, from+".entry"), file))
}

// cutAndClosed is a file that lost something and still reads as one.
func cutAndClosed(text []byte) []byte {
	kept, _, _ := bytes.Cut(text, []byte(`,"refreshAfter"`))
	return append(bytes.Clone(kept), '}')
}

func edit(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(file, change(text), 0o600))
}
