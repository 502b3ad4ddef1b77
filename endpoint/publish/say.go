package publish

import (
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// grace is how long nothing is said of a cluster that is not heard of after a start: most are heard of by then.
const grace = 10 * time.Second

// hold says of a cluster that was not listed how it was left.
func (p *Publisher) hold(at owner, item *live, state endpoint.ClusterState, age staleness) {
	if left := grace - p.options.Clock.Since(age.seen); left > 0 {
		p.queue.note(task{at.key, at.cluster, writing}, left)
		return
	}
	objects := len(p.objects.records.of(at))
	p.say(at, item, state, age, func(e *v1alpha1.FederatedCluster) { e.Objects = int32(objects) }) //nolint:gosec // they were counted here
}

// say changes what there is to say of a cluster.
func (p *Publisher) say(at owner, item *live, state endpoint.ClusterState, age staleness, change func(*v1alpha1.FederatedCluster)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.progress[at]
	if g == nil || p.items[at.key] != item {
		return // it was forgotten, or is asked for anew
	}
	var e v1alpha1.FederatedCluster
	switch {
	case g.entry != nil:
		e = *g.entry
	default: // what was said before a restart holds on until we know better
		for _, known := range item.Known {
			if known.Name == at.cluster {
				e = known
			}
		}
	}
	e.Name, e.Expired, e.StaleSince, e.Gaps = at.cluster, age.expired, nil, nil
	if !state.Synced || !state.StaleSince.IsZero() {
		e.StaleSince = seconds(age.since)
	}
	for _, gap := range state.Gaps {
		e.Gaps = append(e.Gaps, gap.String())
	}
	e.Gaps = atMost(e.Gaps)
	change(&e)
	g.entry = &e
	p.queue.note(task{at.key, at.cluster, reporting}, 0)
}
