package fleettest

import (
	"slices"
	"testing"
)

// Pool hands out clusters to tests that wait long, for caches and leases of API servers, and share nothing but what they
// leave as it is: such tests wait side by side, when all others have run.
type Pool struct {
	names []string
	free  chan string
}

// NewPool makes a pool of clusters of the package's fleet.
func NewPool(names ...string) *Pool {
	p := &Pool{names: names, free: make(chan string, len(names))}
	for _, name := range names {
		p.free <- name
	}
	return p
}

// Names are those of its clusters.
func (p *Pool) Names() []string { return slices.Clone(p.names) }

// Take lets a test run aside, and returns a cluster that no other test of the pool has until all that this one cleans up
// is cleaned up.
func (p *Pool) Take(t *testing.T) string {
	t.Helper()
	t.Parallel()
	name := <-p.free
	t.Cleanup(func() { p.free <- name })
	return name
}
