package authcache

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// format changes with the meaning of what is stored.
	format = 1
	// Brink is how long before its end an answer is renewed while its asker waits, so that nobody is given
	// what ends on the way.
	Brink = time.Minute
	// maxAge is after how long an answer is renewed though it is still good: what was cut off and granted
	// anew is found out by then.
	maxAge = time.Minute
)

// Status is status of an ExecCredential, as JSON: a token, or a certificate with its key. It prints as [redacted].
type Status struct{ json []byte }

// NewStatus takes the JSON of a status.
func NewStatus(text []byte) (Status, error) {
	if !json.Valid(text) {
		return Status{}, fmt.Errorf("keeping an answer: it is no JSON")
	}
	return Status{text}, nil
}

// Reveal returns the JSON.
func (s Status) Reveal() []byte { return s.json }

// Format implements fmt.Formatter for every verb.
func (s Status) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText serves the encoders.
func (s Status) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Entry is an answer that is kept.
type Entry struct {
	Status Status
	// ExpiresAt is the end that the asker is told. The credential itself lives somewhat longer.
	ExpiresAt time.Time
	// RefreshAfter is when to ask anew, though the answer can still be given.
	RefreshAfter time.Time
	// Files decided the answer, besides the key: it is of no use once one of them has changed.
	Files []File
}

// NewEntry is an answer that was obtained now and ends at expiresAt.
func NewEntry(status Status, now, expiresAt time.Time, files []File) Entry {
	return Entry{Status: status, ExpiresAt: expiresAt, RefreshAfter: now.Add(min(expiresAt.Sub(now)/2, maxAge)), Files: files}
}

// Due reports whether the answer should be asked for anew.
func (e Entry) Due(now time.Time) bool { return !now.Before(e.RefreshAfter) }

// Pressing reports whether the answer ends so soon that its asker should wait for the next one.
func (e Entry) Pressing(now time.Time) bool { return e.ExpiresAt.Sub(now) < Brink }

// good reports whether the answer may be given away.
func (e Entry) good(now time.Time) bool {
	if !now.Before(e.ExpiresAt) || now.Before(e.RefreshAfter.Add(-maxAge-time.Minute)) { // over, or from the future: a clock was moved
		return false
	}
	for _, f := range e.Files {
		if Look(f.Path) != f {
			return false
		}
	}
	return true
}

// File is a file as it was when an answer was made of it.
type File struct {
	Path string `json:"path"`
	// Size is -1 where there was no such file.
	Size     int64 `json:"size"`
	Modified int64 `json:"modified"` // nanoseconds since 1970
}

// Look says how a file is now.
func Look(path string) File {
	info, err := os.Stat(path)
	if err != nil {
		return File{Path: path, Size: -1}
	}
	return File{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano()}
}

// stored is an entry in its file. Its key is stored, too, so that a file that was moved is not believed.
type stored struct {
	Format       int             `json:"format"`
	Key          string          `json:"key"`
	Status       json.RawMessage `json:"status"`
	ExpiresAt    time.Time       `json:"expiresAt"`
	RefreshAfter time.Time       `json:"refreshAfter"`
	Files        []File          `json:"files,omitempty"`
}
