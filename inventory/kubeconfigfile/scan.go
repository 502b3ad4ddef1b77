package kubeconfigfile

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/inventory"
)

const (
	// settled is how long a file has to be the same for a change to count.
	settled = 200 * time.Millisecond
	// gone is how long a context, or file, has to be missing to be gone.
	gone = 2 * time.Second
)

// scanner looks at all files again and again, and tells what is different. One goroutine uses it.
type scanner struct {
	places    places
	separator string
	claims    *inventory.Claims
	warnings  warnings
	files     map[string]*file
	faults    map[string]bool // directories that are told as faults
}

// scan looks at everything. What is there at first counts at once.
func (s *scanner) scan(now time.Time, first bool) {
	found := s.places.find()
	for dir := range s.faults {
		if found.faults[dir] == nil {
			delete(s.faults, dir)
			s.claims.Fault(dir, dir, nil)
		}
	}
	for dir, err := range found.faults {
		s.faults[dir] = true
		s.claims.Fault(dir, dir, err)
	}
	for _, path := range found.files {
		if s.files[path] == nil {
			s.files[path] = &file{
				path: path, required: s.places.required && slices.Contains(s.places.files, path),
				known: map[string]*known{}, faults: map[string]bool{},
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[path]
		s.look(f, now, first)
		if !slices.Contains(found.files, path) && len(f.known)+len(f.faults) == 0 && f.pending == "" {
			delete(s.files, path)
		}
	}
}

// look reads a file, and tells of it when it has been the same for long enough.
func (s *scanner) look(f *file, now time.Time, first bool) {
	current := f.state()
	switch {
	case first:
		s.tell(f, current, now)
	case f.seen && current.sum == f.sum:
		f.pending = ""
	case current.sum != f.pending:
		f.pending, f.since = current.sum, now
	case now.Sub(f.since) >= settled:
		s.tell(f, current, now)
	}
	if current.document != nil {
		s.warn(f.path, current.document)
	}
	for context, k := range f.known {
		if f.pending == "" && k.missing && now.Sub(k.since) >= gone {
			delete(f.known, context)
			s.claims.Remove(f.path, s.name(f.path, context))
		}
	}
}

// name of a context's cluster.
func (s *scanner) name(path, context string) string { return path + s.separator + context }

// warn looks at who else can read a kubeconfig, and the secrets in files that it names.
func (s *scanner) warn(path string, d *document) {
	s.warnings.look(path)
	for _, e := range d.contexts {
		for _, field := range e.fields() {
			if field.secret && field.used() {
				s.warnings.look(e.path(*field.path))
			}
		}
	}
}

// tell tells what a file says now.
func (s *scanner) tell(f *file, now state, at time.Time) {
	f.seen, f.sum, f.pending = true, now.sum, ""
	faults := map[string]error{}
	switch {
	case now.missing:
		if f.required {
			faults[f.path] = now.err
		}
		f.keep(nil, at)
	case now.err != nil:
		s.stand(f, now.err, faults)
	case !now.document.whole && f.loses(now.document):
		s.stand(f, fmt.Errorf("reading %s: it lacks contexts that it had, and one of the lists clusters, contexts and users: it seems to be half-written", f.path), faults)
	default:
		s.tellContexts(f, now.document, faults)
		f.keep(now.document, at)
	}
	for name := range f.faults {
		if faults[name] == nil {
			delete(f.faults, name)
			s.claims.Fault(f.path, name, nil)
		}
	}
	for name, err := range faults {
		f.faults[name] = true
		s.claims.Fault(f.path, name, err)
	}
}

// stand leaves what is known of a file as it is, as faults.
func (s *scanner) stand(f *file, err error, faults map[string]error) {
	for context, k := range f.known {
		k.missing = false
		faults[s.name(f.path, context)] = err
	}
	if len(f.known) == 0 {
		faults[f.path] = err
	}
}

func (s *scanner) tellContexts(f *file, d *document, faults map[string]error) {
	for _, e := range d.contexts {
		name := s.name(f.path, e.name)
		c, err := e.credential(readFile)
		if err != nil {
			faults[name] = fmt.Errorf("using context %q of %s: %w", e.name, f.path, err)
			continue
		}
		if f.known[e.name] == nil {
			f.known[e.name] = &known{}
		}
		s.claims.Set(f.path, inventory.Cluster{
			Spec:       connection.Spec{Name: name, AuthType: string(v1alpha1.AuthKubeconfig)},
			Source:     &source{file: f.path, entry: e},
			Version:    c.Origin,
			Properties: map[string]string{"path": f.path, "context": e.name},
		})
	}
}

// next is how long there is nothing to do, unless something changes.
func (s *scanner) next(now time.Time, poll time.Duration) time.Duration {
	next := poll
	for _, f := range s.files {
		if f.pending != "" {
			next = min(next, f.since.Add(settled).Sub(now))
			continue
		}
		for _, k := range f.known {
			if k.missing {
				next = min(next, k.since.Add(gone).Sub(now))
			}
		}
	}
	return max(next, 0)
}

// directories are where a change shows, of the files that are known and of those that they name.
func (s *scanner) directories() []string {
	dirs := s.places.directories()
	for path, f := range s.files {
		dirs = append(dirs, filepath.Dir(path))
		if f.document == nil {
			continue
		}
		for _, e := range f.document.contexts {
			for _, named := range e.files() {
				dirs = append(dirs, filepath.Dir(named))
			}
		}
	}
	return unique(dirs)
}
