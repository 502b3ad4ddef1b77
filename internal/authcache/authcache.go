// Package authcache is the memory of hawser-auth, the exec credential plugin: one file for each thing that can
// be asked of it, which the thin program reads and `hawser auth` writes. It owns what decides an answer (Key),
// how an answer is kept (Entry), and who may work on it (Lock). How an answer is found is not its business.
//
// It imports the standard library only, since the thin program starts for every kubectl.
//
// What is kept is a credential: the directory is 0700 and the files are 0600, those of another user are
// refused, and a file that is torn, moved or of another format is as good as none.
package authcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxEntry bounds what is read: more than any certificate chain with its key has.
	maxEntry = 1 << 20
	// keep is how long files that nobody wrote to stay. No answer lives that long.
	keep = 48 * time.Hour

	entrySuffix = ".entry"
	newSuffix   = ".new"
	lockSuffix  = ".lock"
)

// Cache is a directory of entries. Close it.
type Cache struct {
	root *os.Root // a handle, so that nobody swaps the directory that was checked
}

// Open opens the cache of the user who runs us: below $XDG_RUNTIME_DIR, which ends with the session, or else
// below the user's cache directory. It makes the directory where it is missing. The error says why there is
// no cache; everything works without one, only slower.
func Open() (*Cache, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		if c, err := OpenAt(filepath.Join(dir, "hawser-auth")); err == nil {
			return c, nil
		} // another user's session, as after su: ours has a home
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the cache directory: %w", err)
	}
	return OpenAt(filepath.Join(dir, "hawser-auth"))
}

// OpenAt opens the cache in a directory, and makes that where it is missing.
func OpenAt(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the user says where their own cache is
		return nil, fmt.Errorf("making the cache directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the cache directory: %w", err)
	}
	info, err := root.Stat(".")
	if err == nil {
		err = refuse(info)
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("opening the cache directory %s: %w", dir, err)
	}
	return &Cache{root}, nil
}

// Close ends the use of the cache. Locks live on.
func (c *Cache) Close() error { return c.root.Close() }

// refuse refuses what another user owns, may read, or may write.
func refuse(info fs.FileInfo) error {
	if owner, known := ownerOf(info); known && owner != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d, and we are %d", owner, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others than its owner may use it (mode %04o): chmod go= it, and see who did that", info.Mode().Perm())
	}
	return nil
}

// errMiss is every reason for which an entry is not used. None of them is anybody's fault to report.
var errMiss = errors.New("there is no answer of use in the cache")

// Read returns the answer that is kept under a key, if it can be given away now. Everything else is a miss.
func (c *Cache) Read(key string, now time.Time) (Entry, bool) {
	e, err := c.read(key)
	return e, err == nil && e.good(now)
}

func (c *Cache) read(key string) (Entry, error) {
	if !isKey(key) {
		return Entry{}, errMiss
	}
	file, err := c.root.OpenFile(key+entrySuffix, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		return Entry{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Entry{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEntry || refuse(info) != nil {
		return Entry{}, errMiss
	}
	text, err := io.ReadAll(io.LimitReader(file, maxEntry))
	if err != nil {
		return Entry{}, err
	}
	return decode(key, text)
}

// Write keeps an answer under the key of the lock, which has to be held.
func (c *Cache) Write(l *Lock, e Entry) error {
	text, err := encode(l.key, e)
	if err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	temporary := l.key + newSuffix // one name: who dies here leaves one file, which the next one overwrites
	if err := c.root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	file, err := c.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	if err := c.root.Rename(temporary, l.key+entrySuffix); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	return nil
}

// Forget removes what is kept under the key of the lock.
func (c *Cache) Forget(l *Lock) { _ = c.root.Remove(l.key + entrySuffix) }

// Prune removes what nobody has written to for two days, apart from what somebody is at work on.
func (c *Cache) Prune(now time.Time) {
	dir, err := c.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	list, _ := dir.ReadDir(-1)
	for _, file := range list {
		info, err := file.Info()
		key, _, _ := strings.Cut(file.Name(), ".")
		if err != nil || !isKey(key) || now.Sub(info.ModTime()) < keep {
			continue
		}
		if lock, ok := c.TryLock(key); ok {
			_ = c.root.Remove(file.Name())
			_ = c.root.Remove(key + lockSuffix) // who waits for it notices
			lock.Release()
		}
	}
}

// An entry is a line with the sum of what follows, and JSON.
func encode(key string, e Entry) ([]byte, error) {
	body, err := json.Marshal(stored{
		Format: format, Key: key, Status: e.Status.json, ExpiresAt: e.ExpiresAt, RefreshAfter: e.RefreshAfter, Files: e.Files,
	})
	if err != nil {
		return nil, err
	}
	if len(body)+sha256.Size*2+1 > maxEntry {
		return nil, errors.New("the answer is larger than 1 MiB")
	}
	sum := sha256.Sum256(body)
	return append(append([]byte(hex.EncodeToString(sum[:])), '\n'), body...), nil
}

func decode(key string, text []byte) (Entry, error) {
	line, body, ok := bytes.Cut(text, []byte("\n"))
	sum := sha256.Sum256(body)
	if !ok || string(line) != hex.EncodeToString(sum[:]) {
		return Entry{}, errMiss // torn
	}
	var s stored
	if err := json.Unmarshal(body, &s); err != nil || s.Format != format || s.Key != key || len(s.Status) == 0 {
		return Entry{}, errMiss
	}
	return Entry{Status: Status{s.Status}, ExpiresAt: s.ExpiresAt, RefreshAfter: s.RefreshAfter, Files: s.Files}, nil
}
