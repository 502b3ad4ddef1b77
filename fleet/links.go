package fleet

import (
	"context"
	"errors"
	"fmt"
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

	mu    sync.Mutex
	links map[string]*entry
}

type entry struct {
	conn   *connection.Connection
	cancel context.CancelFunc
	done   chan struct{}
}

// NewLinks returns a holder without connections that lives until ctx ends or Close is called.
func NewLinks(ctx context.Context) *Links {
	ctx, cancel := context.WithCancel(ctx)
	return &Links{ctx: ctx, cancel: cancel, links: map[string]*entry{}}
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
// it returns is closed when the end has come. It is no error if there is no such cluster.
func (f *Links) Remove(name string) (ended <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.links[name]
	if !ok {
		none := make(chan struct{})
		close(none)
		return none
	}
	delete(f.links, name)
	e.cancel()
	return e.done
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
	ending := make([]*entry, 0, len(f.links))
	for _, e := range f.links {
		ending = append(ending, e)
	}
	f.mu.Unlock()
	for _, e := range ending {
		<-e.done
	}
}
