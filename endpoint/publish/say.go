package publish

import (
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// grace is how long nothing is said of a cluster that is not heard of after a start: most are heard of by then.
const grace = 10 * time.Second

// mentionEvery is how much longer than others an entry stays of which only gaps have changed.
const mentionEvery = 3

// hold says of a cluster that was not listed how it was left.
func (p *Publisher) hold(at owner, item *live, of view) {
	if left := grace - p.options.Clock.Since(of.age.seen); left > 0 {
		p.queue.note(task{at.key, at.cluster, writing}, left)
		return
	}
	objects := len(p.objects.records.believed(at, item.Places))
	p.say(at, item, of, func(e *v1alpha1.FederatedCluster) {
		if e.Objects > 0 && objects == 0 { // somebody has deleted them, which nobody can mend before the cluster was listed
			e.Endpoints, e.Addresses = 0, 0
		}
		e.Objects = int32(objects) //nolint:gosec // they were counted here
	})
}

// say changes what there is to say of a cluster.
func (p *Publisher) say(at owner, item *live, of view, change func(*v1alpha1.FederatedCluster)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.progress[at]
	if g == nil || p.items[at.key] != item {
		return // it was forgotten, or is asked for anew
	}
	var e v1alpha1.FederatedCluster
	if said := g.said(item.known(at.cluster)); said != nil {
		e = *said
	}
	e.Name, e.Expired, e.StaleSince, e.Gaps = at.cluster, of.age.Expired, nil, g.gaps()
	if !of.state.Synced || !of.state.StaleSince.IsZero() {
		e.StaleSince = seconds(of.age.Since)
	}
	change(&e)
	g.entry = &e
	p.reports.note(task{at.key, at.cluster, reporting}, 0)
}

// said is what there was to say last; nil: nothing. What the status says, which was said before a restart, holds on until we
// know better.
func (g *progress) said(known *v1alpha1.FederatedCluster) *v1alpha1.FederatedCluster {
	if g.entry != nil {
		return g.entry
	}
	return known
}

// known is what the status says of a cluster; nil: nothing.
func (l *live) known(cluster string) *v1alpha1.FederatedCluster {
	if at := slices.IndexFunc(l.Known, func(e v1alpha1.FederatedCluster) bool { return e.Name == cluster }); at >= 0 {
		return &l.Known[at]
	}
	return nil
}

// gaps are what is missing of a cluster, as it was looked at last.
func (g *progress) gaps() (texts []string) {
	if g.outdated.why != "" {
		texts = append(texts, g.outdated.why)
	}
	for _, gap := range g.looked.Gaps {
		texts = append(texts, inGeneral(gap))
	}
	return atMost(slices.Compact(texts))
}

// inGeneral says a gap without how many addresses it is about and which is one of them: these change all the time, every
// item would say it, and not everybody who may read an item may know of pods of other namespaces. Commands tell.
func inGeneral(g endpoint.Gap) string {
	text, _, _ := strings.Cut(g.Message, ", as ")
	return g.Reason + ": " + text
}
