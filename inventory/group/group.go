// Package group makes one inventory of several kinds of objects, each of which somebody follows: it is in sync when all
// of them are, and what keeps any of them from being read is its one Fault.
package group

import (
	"context"
	"errors"
	"sync"

	"github.com/hawser-io/hawser/inventory"
)

// Group is what an inventory follows. Set its members up before any of them is followed.
type Group struct {
	// To is told of faults, with an empty name: they are the inventory's own.
	To inventory.Sink
	// Synced is called once, when every member has been in sync.
	Synced func()

	mu      sync.Mutex
	members []*Member
	fault   string // that was told
}

// Member is one kind that is followed. Its methods do not wait, and may be called from any goroutine.
type Member struct {
	group *Group

	// Under the lock of the group.
	fault  error
	synced bool
}

// Member returns a further member.
func (g *Group) Member() *Member {
	m := &Member{group: g}
	g.members = append(g.members, m)
	return m
}

// Fault tells what keeps the objects of this kind from being read; nil that they can be.
func (m *Member) Fault(err error) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock() // also while To is told, which never waits
	m.fault = err
	var faults []error
	for _, other := range g.members {
		if other.fault != nil {
			faults = append(faults, other.fault)
		}
	}
	err, text := errors.Join(faults...), ""
	if err != nil {
		text = err.Error()
	}
	if text != g.fault {
		g.fault = text
		g.To.Fault("", err)
	}
}

// InSync tells that every object of this kind has been told of.
func (m *Member) InSync() {
	if m.group.settle(m) {
		m.group.Synced()
	}
}

// settle reports whether m was the last to be in sync.
func (g *Group) settle(m *Member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.synced {
		return false
	}
	m.synced = true
	for _, other := range g.members {
		if !other.synced {
			return false
		}
	}
	return true
}

// Run runs everything that follows until ctx ends, and returns when all of it has. The first error that no
// retry can mend ends the rest.
func Run(ctx context.Context, follow ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, run := range follow {
		go func() { ended <- run(ctx) }() // all of them are waited for below
	}
	var first error
	for range follow {
		if err := <-ended; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}
