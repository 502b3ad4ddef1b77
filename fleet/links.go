package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
)

// ErrNotFound says that no cluster of that name is in the fleet.
var ErrNotFound = errors.New("no such cluster in the fleet")

// Links holds connections by name. The zero value is not usable; see NewLinks.
type Links struct {
	ctx    context.Context //nolint:containedctx // the life of every connection, ended by Close
	cancel context.CancelFunc

	mu     sync.Mutex
	links  map[string]*entry
	ending map[string]chan struct{} // of what was removed, by name, until it has ended
}

type entry struct {
	conn   *connection.Connection
	cancel context.CancelFunc
	done   chan struct{}
}

// NewLinks returns a holder without connections that lives until ctx ends or Close is called.
func NewLinks(ctx context.Context) *Links {
	ctx, cancel := context.WithCancel(ctx)
	return &Links{ctx: ctx, cancel: cancel, links: map[string]*entry{}, ending: map[string]chan struct{}{}}
}

// Add starts a connection. A name that is taken is an error: an existing connection is changed
// through its own Update, so that nobody replaces it, and what runs over it, by accident.
func (f *Links) Add(spec connection.Spec, source credential.Source, options connection.Options) (*connection.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.ctx.Err(); err != nil {
		return nil, fmt.Errorf("adding cluster %q: the fleet is closed: %w", spec.Name, err)
	}
	if _, taken := f.links[spec.Name]; taken {
		return nil, fmt.Errorf("adding cluster %q: it is in the fleet already", spec.Name)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	e := &entry{conn: connection.New(spec, source, options), cancel: cancel, done: make(chan struct{})}
	f.links[spec.Name] = e
	go func() { // ends with the entry's context
		defer close(e.done)
		e.conn.Run(ctx)
	}()
	return e.conn, nil
}

// Get returns the connection to a cluster, or ErrNotFound.
func (f *Links) Get(name string) (*connection.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.links[name]; ok {
		return e.conn, nil
	}
	return nil, fmt.Errorf("cluster %q: %w", name, ErrNotFound)
}

// Remove ends the connection to a cluster and what runs over it. It does not wait: the channel that
// it returns is closed when the end has come, also of those that were removed before under this name. It is no
// error if there is no such cluster.
func (f *Links) Remove(name string) (ended <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, before := f.links[name], f.ending[name]
	if e == nil && before != nil {
		return before
	}
	all := make(chan struct{})
	if e == nil {
		close(all)
		return all
	}
	delete(f.links, name)
	e.cancel()
	f.ending[name] = all
	go func() { // ends with the connections
		<-e.done
		if before != nil {
			<-before
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.ending[name] == all {
			delete(f.ending, name)
		}
		close(all)
	}()
	return all
}

// All returns the connections, sorted by name.
func (f *Links) All() []*connection.Connection {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*connection.Connection, 0, len(f.links))
	for _, e := range f.links {
		all = append(all, e.conn)
	}
	slices.SortFunc(all, func(a, b *connection.Connection) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// Close ends every connection and waits until they have ended.
func (f *Links) Close() {
	f.cancel()
	f.mu.Lock()
	ending := slices.Collect(maps.Values(f.ending))
	for _, e := range f.links {
		ending = append(ending, e.done)
	}
	f.mu.Unlock()
	for _, ended := range ending {
		<-ended
	}
}
