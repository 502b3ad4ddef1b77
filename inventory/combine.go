package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Prefixed puts prefix before every name that inv tells, of clusters and of faults alike, so that several
// inventories can stand side by side. The separator is part of the prefix: "kind#" makes "kind#dev" of "dev",
// which is how multicluster-runtime joins them. A name may have a separator in it, so split at the first.
//
// What inv tells of itself, as Fault with an empty name, is told under the prefix alone.
func Prefixed(prefix string, inv Inventory) Inventory { return prefixed{prefix, inv} }

type prefixed struct {
	prefix string
	inv    Inventory
}

// Run implements Inventory.
func (p prefixed) Run(ctx context.Context, to Sink) error {
	return p.inv.Run(ctx, prefixing{p.prefix, to})
}

// String is what the inventory is called among others.
func (p prefixed) String() string { return p.prefix }

type prefixing struct {
	prefix string
	to     Sink
}

func (p prefixing) Set(c Cluster) {
	c.Spec.Name = p.prefix + c.Spec.Name
	p.to.Set(c)
}

func (p prefixing) Remove(name string)           { p.to.Remove(p.prefix + name) }
func (p prefixing) Fault(name string, err error) { p.to.Fault(p.prefix+name, err) }
func (p prefixing) Synced()                      { p.to.Synced() }

// An inventory that ended is started again after firstRestart, then after twice as long, up to maxRestart,
// with up to a fifth of it off at random; the first wait is short again once it was in sync.
const (
	firstRestart = time.Second
	maxRestart   = 5 * time.Minute
)

// All runs inventories side by side, as Combined does.
func All(inventories ...Inventory) Inventory { return &Combined{Inventories: inventories} }

// Combined is several inventories as one. It is in sync once all of them have been.
//
// One that ends with an error is started again, after a while; until it is in sync again, what it told stands,
// and a Fault under its own name says so. Then what it no longer tells is removed. The others do not notice. One that
// ends without an error has told all that it ever will.
//
// A name that two tell is the first one's; the other is a Fault of that name until the first removes it. If
// that is not what you want, give each a prefix: see [Prefixed].
//
// The name of an inventory, for its Faults, is its prefix, or what its method String returns, or its Go type; the
// second of that name has "#2" after it.
type Combined struct {
	Inventories []Inventory
	// Clock for waits before a restart. Nil means the real one.
	Clock clock.WithTicker
}

// Run implements Inventory. It returns when ctx has ended and every inventory with it.
func (a *Combined) Run(ctx context.Context, to Sink) error {
	clk := a.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	var members, synced sync.WaitGroup
	claims := NewClaims(to)
	names := map[string]int{}
	for _, inv := range a.Inventories {
		m := &member{name: nameOf(inv), inv: inv, clock: clk, claims: claims}
		names[m.name]++
		if n := names[m.name]; n > 1 {
			m.name += fmt.Sprintf("#%d", n)
		}
		synced.Add(1)
		m.synced = sync.OnceFunc(synced.Done)
		members.Go(func() { m.run(ctx) })
	}
	all := make(chan struct{})
	go func() { // ends when all are in sync, or have ended
		synced.Wait()
		close(all)
	}()
	select {
	case <-all:
		if ctx.Err() == nil {
			to.Synced()
		}
	case <-ctx.Done():
	}
	<-ctx.Done()
	members.Wait()
	<-all
	return nil
}

func nameOf(inv Inventory) string {
	if s, ok := inv.(fmt.Stringer); ok {
		return s.String()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", inv), "*")
}

// member is one of several inventories.
type member struct {
	name   string
	inv    Inventory
	clock  clock.WithTicker
	claims *Claims
	synced func() // may be called again
}

// run runs the inventory again and again until ctx ends.
func (m *member) run(ctx context.Context) {
	defer m.synced() // for nobody waits for it any more
	for tries := 0; ; tries++ {
		t := &telling{member: m, told: map[string]bool{}, faulted: map[string]bool{}}
		err := m.inv.Run(ctx, t)
		if err == nil && ctx.Err() == nil {
			t.Synced()
		}
		if t.end() {
			tries = 0
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		wait := restartDelay(tries)
		m.claims.Fault(m.name, m.name, fmt.Errorf("inventory %s ended, and is started again in %s: %w", m.name, wait.Round(time.Second), err))
		timer := m.clock.NewTimer(wait)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func restartDelay(tries int) time.Duration {
	d := maxRestart
	if tries < 16 {
		d = min(firstRestart<<tries, maxRestart)
	}
	return d - time.Duration(rand.Float64()*0.2*float64(d))
}

// telling is the Sink of one run of an inventory.
type telling struct {
	*member

	mu      sync.Mutex
	told    map[string]bool // the names of this run, until it is in sync
	faulted map[string]bool // those of them that are faults
	insync  bool
	over    bool
}

func (t *telling) Set(c Cluster) {
	t.pass(func() {
		t.told[c.Spec.Name] = true
		t.claims.Set(t.name, c)
	})
}

func (t *telling) Remove(name string) {
	t.pass(func() {
		delete(t.told, name)
		delete(t.faulted, name)
		t.claims.Remove(t.name, name)
	})
}

func (t *telling) Fault(name string, err error) {
	if name == "" {
		name = t.name // it speaks of itself
	}
	t.pass(func() {
		delete(t.faulted, name)
		if err != nil {
			t.told[name], t.faulted[name] = true, true
		}
		t.claims.Fault(t.name, name, err)
	})
}

// pass passes on what the inventory tells while it runs.
func (t *telling) pass(tell func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		tell()
	}
}

// Synced ends what only an earlier run has told.
func (t *telling) Synced() {
	t.pass(func() {
		if t.insync {
			return
		}
		t.insync = true
		t.claims.Retain(t.name, func(name string) (cluster, fault bool) { return t.told[name], t.faulted[name] })
		t.synced()
	})
}

// end says that the inventory has returned, and reports whether it was in sync. What a goroutine
// that it left behind tells is not heard.
func (t *telling) end() (insync bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.insync
}
