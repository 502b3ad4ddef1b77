package authcache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// key is one that nobody else uses.
func key(n int) string { return fmt.Sprintf("%064x", n) }

func newCache(t *testing.T) (*Cache, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hawser-auth")
	c, err := OpenAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, dir
}

func entry(t *testing.T, life time.Duration, files ...string) Entry {
	t.Helper()
	status, err := NewStatus([]byte(`{"token":"s3cret"}`))
	if err != nil {
		t.Fatal(err)
	}
	var seen []File
	for _, f := range files {
		seen = append(seen, Look(f))
	}
	return NewEntry(status, now, now.Add(life), seen)
}

func (c *Cache) put(t *testing.T, key string, e Entry) {
	t.Helper()
	lock, ok := c.TryLock(key)
	if !ok {
		t.Fatal("the lock is taken")
	}
	defer lock.Release()
	if err := c.Write(lock, e); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	c, dir := newCache(t)
	want := entry(t, time.Hour, "/nowhere")
	c.put(t, key(1), want)
	got, ok := c.Read(key(1), now)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Status{})); !ok || diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := c.Read(key(2), now); ok {
		t.Error("another key has an answer")
	}
	for name, want := range map[string]os.FileMode{".": 0o700, key(1) + entrySuffix: 0o600, key(1) + lockSuffix: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestAnEntryOfNoUseIsAMiss(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func(change func(text []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		spoil func(t *testing.T, path string)
		at    time.Time
		hit   bool
	}{
		"one that is as it was written is none":          {at: now, hit: true},
		"one that is due can still be given":             {at: now.Add(30 * time.Minute), hit: true},
		"its time is over":                               {at: now.Add(time.Hour)},
		"it is from the future, since a clock was moved": {at: now.Add(-time.Hour)},
		"it is cut short":                                {at: now, spoil: edit(func(b []byte) []byte { return b[:len(b)/2] })},
		"it is empty, as after a crash":                  {at: now, spoil: edit(func([]byte) []byte { return nil })},
		"a byte of it is another":                        {at: now, spoil: edit(func(b []byte) []byte { return bytes.Replace(b, []byte("s3cret"), []byte("s4cret"), 1) })},
		"it is no entry at all":                          {at: now, spoil: edit(func([]byte) []byte { return []byte("hello\nworld") })},
		"it is larger than any entry":                    {at: now, spoil: edit(func(b []byte) []byte { return append(b, make([]byte, maxEntry)...) })},
		"others may read it":                             {at: now, spoil: func(t *testing.T, path string) { must(t, os.Chmod(path, 0o640)) }},
		"another user wrote it":                          {at: now, spoil: func(t *testing.T, path string) { asRoot(t); must(t, os.Chown(path, 65534, -1)) }},
		"it is a directory":                              {at: now, spoil: func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }},
		"it is a link to a file elsewhere": {at: now, spoil: func(t *testing.T, path string) {
			must(t, os.Rename(path, file+"x"))
			must(t, os.Symlink(file+"x", path))
		}},
		"a file that it was made of has changed since":               {at: now, spoil: func(t *testing.T, _ string) { must(t, os.WriteFile(file, []byte("two two"), 0o600)) }},
		"a file that it was made of was replaced by one of its size": {at: now, spoil: func(t *testing.T, _ string) { must(t, os.Chtimes(file, now, now)) }},
		"a file that it was made of is gone":                         {at: now, spoil: func(t *testing.T, _ string) { must(t, os.Remove(file)) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(file, []byte("one"), 0o600))
			c, dir := newCache(t)
			c.put(t, key(1), entry(t, time.Hour, file))
			if test.spoil != nil {
				test.spoil(t, filepath.Join(dir, key(1)+entrySuffix))
			}
			if _, ok := c.Read(key(1), test.at); ok != test.hit {
				t.Errorf("is it a hit? %t, want %t", ok, test.hit)
			}
		})
	}
}

func TestAnEntryUnderAnotherKeyIsAMiss(t *testing.T) {
	c, dir := newCache(t)
	c.put(t, key(1), entry(t, time.Hour))
	must(t, os.Rename(filepath.Join(dir, key(1)+entrySuffix), filepath.Join(dir, key(2)+entrySuffix)))
	if _, ok := c.Read(key(2), now); ok {
		t.Error("an entry that was moved is believed")
	}
}

func TestADirectoryOfOthersIsRefused(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"others may list it":  {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) }, "others than its owner may use it (mode 0755)"},
		"others may write it": {func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o1777)) }, "others than its owner may use it (mode 0777)"},
		"another user's":      {func(t *testing.T, dir string) { asRoot(t); must(t, os.Chown(dir, 65534, -1)) }, "it belongs to user 65534"},
		"it is a file":        {func(t *testing.T, dir string) { must(t, os.Remove(dir)); must(t, os.WriteFile(dir, nil, 0o600)) }, "not a directory"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hawser-auth")
			must(t, os.Mkdir(dir, 0o700))
			test.spoil(t, dir)
			if _, err := OpenAt(dir); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want …%s…", err, test.want)
			}
		})
	}
}

func TestWhenAnAnswerIsAskedForAnew(t *testing.T) {
	tests := map[string]struct {
		life, after   time.Duration
		due, pressing bool
	}{
		"a new one is not due":                   {time.Hour, 59 * time.Second, false, false},
		"one of an hour is due after a minute":   {time.Hour, time.Minute, true, false},
		"a short one is due at half of its life": {100 * time.Second, 50 * time.Second, true, true},
		"in its last minute it is pressing":      {time.Hour, 59*time.Minute + time.Second, true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := entry(t, test.life)
			at := now.Add(test.after)
			if e.Due(at) != test.due || e.Pressing(at) != test.pressing {
				t.Errorf("due %t, pressing %t", e.Due(at), e.Pressing(at))
			}
		})
	}
}

func TestPruneRemovesWhatIsForgotten(t *testing.T) {
	c, dir := newCache(t)
	for n := range 3 {
		c.put(t, key(n), entry(t, time.Hour))
	}
	must(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
	old := now.Add(-keep - time.Hour)
	for _, name := range []string{key(0) + entrySuffix, key(0) + lockSuffix, key(1) + entrySuffix, "README"} {
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	busy, ok := c.TryLock(key(1))
	if !ok {
		t.Fatal("the lock is taken")
	}
	defer busy.Release()
	c.Prune(now)
	var left []string
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		left = append(left, f.Name())
	}
	want := []string{key(1) + entrySuffix, key(1) + lockSuffix, key(2) + entrySuffix, key(2) + lockSuffix, "README"}
	for i, name := range want {
		want[i] = strings.ReplaceAll(name, strings.Repeat("0", 63), "…")
	}
	for i, name := range left {
		left[i] = strings.ReplaceAll(name, strings.Repeat("0", 63), "…")
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("what is left (-want +got)\n%s", diff)
	}
}

func TestAStatusDoesNotPrintItself(t *testing.T) {
	e := entry(t, time.Hour)
	text, err := json.Marshal(e)
	must(t, err)
	for _, got := range []string{fmt.Sprint(e), fmt.Sprintf("%+v %#v %s %x", e, e.Status, e.Status, e.Status), string(text)} {
		if strings.Contains(got, "s3cret") || strings.Contains(got, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("it prints the token: %s", got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	status, _ := NewStatus([]byte(`{"token":"t"}`))
	good, err := encode(key(1), NewEntry(status, now, now.Add(time.Hour), []File{{Path: "/a"}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\n"))
	f.Add([]byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := decode(key(1), text)
		if err == nil && !json.Valid(e.Status.Reveal()) {
			t.Errorf("an answer that is no JSON: %q", text)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
}
