package shard

import (
	"context"
	"sync"

	"github.com/hawser-io/hawser/inventory"
)

// Inventory returns inv as one replica sees it: of all its clusters those that the replica owns. Everything else is passed on,
// faults among it. It is run at most once, and before the replica is started it belongs into the fleet's options.
//
// A Sink that implements [Ender], as that of package fleet does, is waited for: a cluster is another replica's only when its
// controllers have ended here.
func Inventory(inv inventory.Inventory, r *Replica) inventory.Inventory {
	s := &sharded{inv: inv, replica: r, known: map[string]inventory.Cluster{}, owned: map[string]bool{}}
	r.Handle(Handler{Gained: s.gained, End: s.end})
	return s
}

// Ender is a Sink that can say when what it ran for a cluster has ended.
type Ender interface {
	// End removes a cluster. What it returns is closed when nothing runs for it any more. It does not wait.
	End(name string) (ended <-chan struct{})
}

type sharded struct {
	inv     inventory.Inventory
	replica *Replica

	mu    sync.Mutex // also held while the sink is told, which never waits: it hears of a name in order
	to    inventory.Sink
	known map[string]inventory.Cluster
	owned map[string]bool
}

// Run implements inventory.Inventory.
func (s *sharded) Run(ctx context.Context, to inventory.Sink) error {
	s.mu.Lock()
	s.to = to
	s.mu.Unlock()
	return s.inv.Run(ctx, s)
}

// Set implements inventory.Sink.
func (s *sharded) Set(c inventory.Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[c.Spec.Name] = c
	s.replica.Know(c.Spec.Name)
	if s.owned[c.Spec.Name] {
		s.to.Set(c)
	}
}

// Remove implements inventory.Sink.
func (s *sharded) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
	s.replica.Forget(name)
	s.to.Remove(name)
}

// Fault implements inventory.Sink.
func (s *sharded) Fault(name string, err error) { s.to.Fault(name, err) }

// Synced implements inventory.Sink.
func (s *sharded) Synced() {
	s.replica.Synced()
	s.to.Synced()
}

func (s *sharded) gained(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[name] = true
	if c, ok := s.known[name]; ok && s.to != nil {
		s.to.Set(c)
	}
}

func (s *sharded) end(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.owned, name)
	if e, ok := s.to.(Ender); ok {
		return e.End(name)
	}
	if s.to != nil {
		s.to.Remove(name)
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

var _ inventory.Sink = (*sharded)(nil)
