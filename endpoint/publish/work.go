package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// progress is what is known of an item in a cluster. It is used by one task of each kind at a time, under the
// publisher's lock.
type progress struct {
	staleness staleness
	restored  bool // what an earlier process has left was read
	// entry is what there is to say in the status; nil: nothing yet.
	entry    *v1alpha1.FederatedCluster
	reported *v1alpha1.FederatedCluster // what was said last
	at       time.Time                  // when
}

// work does a task. What is to be done again it notes.
func (p *Publisher) work(ctx context.Context, t task) {
	if t.what == spreading {
		p.spread(t)
		p.queue.done(t, nil)
		return
	}
	working, leave, ok := p.enter(ctx, t.cluster)
	if !ok { // another replica's; if it becomes ours, we are told
		p.mu.Lock()
		delete(p.progress, owner{t.key, t.cluster})
		p.mu.Unlock()
		p.queue.done(t, nil)
		return
	}
	defer leave()
	var err error
	if t.what == writing {
		err = p.write(working, owner{t.key, t.cluster})
	} else {
		err = p.report(working, owner{t.key, t.cluster})
	}
	if working.Err() != nil {
		err = nil // it is not ours any more
	}
	if err != nil && !errors.Is(err, errChanged) {
		p.options.Log.Info("publishing failed, and is tried again", "item", t.key.String(), "cluster", t.cluster, "reason", err.Error())
	}
	p.queue.done(t, err)
}

// spread makes tasks of what is meant for several.
func (p *Publisher) spread(t task) {
	var clusters []string
	if t.cluster != "" {
		clusters = []string{t.cluster}
	} else {
		for _, s := range p.options.Catalog.States() {
			clusters = append(clusters, s.Name)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.items {
		if t.key != (Key{}) && t.key != k {
			continue
		}
		for _, cluster := range clusters {
			p.queue.note(task{k, cluster, writing}, 0)
		}
	}
}

// write makes the objects of an item in a cluster what they are to be.
func (p *Publisher) write(ctx context.Context, at owner) error {
	state, known := p.options.Catalog.State(at.cluster)
	if !p.objects.Settled() {
		return nil // we are told when it is
	}
	now := p.options.Clock.Now()
	p.mu.Lock()
	item := p.items[at.key]
	if item == nil || !known || !Selects(item.Scope, state.Name, state.Labels, state.Local) {
		delete(p.progress, at) // the leader sweeps what is left
		p.mu.Unlock()
		return nil
	}
	g := p.progressOf(at, item)
	phase, again := g.staleness.look(now, item.Staleness, state.Synced, state.StaleSince)
	age := g.staleness
	p.mu.Unlock()
	if !again.IsZero() {
		p.queue.note(task{at.key, at.cluster, writing}, again.Sub(now))
	}
	if phase == held {
		p.hold(at, item, state, age)
		return nil
	}
	rendered, err := item.Render(p.request(item, at, state, phase == expired))
	if after, still := p.options.Catalog.State(at.cluster); !still || after.Synced != state.Synced || after.ID != state.ID {
		return fmt.Errorf("reading cluster %q: %w", at.cluster, errChanged) // it was lost while it was read
	}
	if !p.current(item) {
		return nil // its selectors may have ended while they were read; what took its place is noted
	}
	if err != nil { // which comes of the item alone, so that another try would be of no use
		p.say(at, item, state, age, func(e *v1alpha1.FederatedCluster) { e.Refused = []string{shortened(err.Error())} })
		return nil //nolint:nilerr // it is told
	}
	wants, err := p.wants(at, item, rendered, phase, age)
	if err != nil {
		return err
	}
	out, err := p.objects.write(ctx, at, wants, true)
	if err != nil {
		return err
	}
	if out.again {
		p.queue.note(task{at.key, at.cluster, writing}, p.options.LookAgain)
	}
	p.say(at, item, state, age, func(e *v1alpha1.FederatedCluster) {
		e.ObservedGeneration = item.Generation
		e.Endpoints, e.Addresses, e.Objects = int64(rendered.Endpoints), int64(rendered.Addresses), int32(out.objects) //nolint:gosec // they were counted here
		e.Refused = atMost(append(slices.Clone(rendered.Refused), out.refused...))
	})
	return nil
}

// current says whether an item was not replaced, and so its selectors are live.
func (p *Publisher) current(item *live) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.items[item.Key] == item
}

// progressOf is called with p.mu held.
func (p *Publisher) progressOf(at owner, item *live) *progress {
	g := p.progress[at]
	if g == nil {
		g = &progress{}
		p.progress[at] = g
	}
	if !g.restored {
		g.restored = true
		g.staleness = p.restore(at, item)
	}
	return g
}

// restore reads what an earlier process has left of a cluster that was not heard of.
func (p *Publisher) restore(at owner, item *live) (s staleness) {
	for _, e := range item.Known {
		if e.Name == at.cluster && e.StaleSince != nil {
			s.since = e.StaleSince.Time
		}
	}
	for _, r := range p.objects.records.of(at) {
		if since, err := time.Parse(time.RFC3339, r.annotations[StaleSinceAnnotation]); err == nil && (s.since.IsZero() || since.Before(s.since)) {
			s.since = since
		}
		s.expired = s.expired || r.annotations[ExpiredAnnotation] == "true"
	}
	s.began = s.since
	if s.expired {
		s.times = []time.Time{p.options.Clock.Now()}
	}
	return s
}
