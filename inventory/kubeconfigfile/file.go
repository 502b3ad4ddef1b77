package kubeconfigfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// file is what is known of a kubeconfig.
type file struct {
	path     string
	required bool

	seen    bool   // it has been told of
	sum     string // of the state that was told
	pending string // of another state that it is in since
	since   time.Time

	textSum  string    // of the text that document was parsed from
	document *document // nil where it cannot be parsed
	parseErr error

	known  map[string]*known // clusters that were told, by context
	faults map[string]bool   // names that were told as faults
}

// known is a cluster that was told.
type known struct {
	missing bool // in the file as it was told last
	since   time.Time
}

// state is what a file says at one moment. Equal sums mean equal states.
type state struct {
	sum      string
	document *document
	missing  bool
	err      error
}

// state reads the file, and those that it names.
func (f *file) state() state {
	text, err := readFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.textSum = ""
		return state{sum: "missing", missing: true, err: err}
	case err != nil:
		f.textSum = ""
		return state{sum: "error: " + err.Error(), err: err}
	}
	if sum := credential.Fingerprint(text); sum != f.textSum {
		f.textSum = sum
		f.document, f.parseErr = parse(text, filepath.Dir(f.path))
	}
	if f.parseErr != nil {
		return state{sum: f.textSum, err: fmt.Errorf("reading %s: %w", f.path, f.parseErr)}
	}
	parts := [][]byte{[]byte(f.textSum)}
	for _, e := range f.document.contexts {
		for _, path := range e.files() {
			content, err := readFile(path)
			if err != nil {
				content = []byte("error: " + err.Error())
			}
			parts = append(parts, content)
		}
	}
	return state{sum: credential.Fingerprint(parts...), document: f.document}
}

// loses reports whether a known context is not in d.
func (f *file) loses(d *document) bool {
	for context := range f.known {
		if !d.has(context) {
			return true
		}
	}
	return false
}

// keep notes which of the known contexts are in d, which is nil where there is no file.
func (f *file) keep(d *document, at time.Time) {
	for context, k := range f.known {
		switch there := d.has(context); {
		case there:
			k.missing = false
		case !k.missing:
			k.missing, k.since = true, at
		}
	}
}

func (d *document) has(context string) bool {
	return d != nil && slices.ContainsFunc(d.contexts, func(e entry) bool { return e.name == context })
}
