package publish

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// view is how an item sees a cluster.
type view struct {
	state    endpoint.ClusterState
	phase    phase
	age      age
	outdated outdated // of one that is held
	by       int64    // the generation that something was made of it by last; 0: none
}

// withdrawn begins the gap that says why something does not stay.
const withdrawn = "Withdrawn: "

// outdated says why what was made of a cluster does not stay although nobody knows what the cluster has.
type outdated struct {
	why     string // "": it stays
	another bool   // it was made of another cluster
}

// reprieve is how long what an earlier generation made of a cluster stays until that was listed.
const reprieve = 30 * time.Second

// look says what becomes of what was made of an item in a cluster, and notes when to look again. item is nil where
// nothing is to be made of that cluster.
func (p *Publisher) look(at owner) (item *live, of view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	item = p.items[at.key]
	state, known := p.options.Catalog.State(at.cluster) // under the lock: spread compares with what was looked at last
	if item == nil || !known || !Selects(item.Scope, state.Name, state.Labels, state.Local) {
		delete(p.progress, at)
		return nil, of
	}
	g := p.progress[at]
	if g == nil {
		g = &progress{}
		p.progress[at] = g
	}
	if !g.restored || !state.Synced { // until something was heard of it here, what was left tells, which is told late
		g.restored = true
		g.age.Memory = p.restore(at, item)
	}
	now := p.options.Clock.Now()
	phase, again := g.age.look(now, item.Staleness, state)
	if tell := g.age.tellable(policyOf(item.Staleness)); phase == kept && now.Before(tell) {
		again = earlier(again, tell)
	}
	g.looked, g.outdated = state, outdated{}
	if phase == held {
		var due time.Time
		g.outdated, due = p.outdated(at, item, g, now)
		again = earlier(again, due)
	}
	if !again.IsZero() {
		p.queue.note(task{at.key, at.cluster, writing}, again.Sub(now))
	}
	return item, view{state, phase, g.age, g.outdated, g.by(item.known(at.cluster))}
}

// outdated says whether what was made of a cluster that was not listed can stay. What was made of another cluster cannot,
// nor what may be of addresses that it may not contribute any more, nor what an earlier generation of the item made:
// somebody may have taken back what that allowed. due is when the latter goes, if the cluster was not listed until then.
// Nothing comes back before that, so that what was withdrawn is missing on, also where the objects that are left of it tell
// nothing any more.
func (p *Publisher) outdated(at owner, item *live, g *progress, now time.Time) (found outdated, due time.Time) {
	made, known := fresh(p.objects.records.believed(at, item.Places)), item.known(at.cluster)
	for _, r := range made {
		if g.looked.ID != "" && r.annotations[ClusterIDAnnotation] != g.looked.ID {
			return outdated{withdrawn + "what was made of it was of another cluster", true}, due
		}
	}
	for _, r := range made {
		if was := r.annotations[WithinAnnotation]; was != "" && !stillWithin(g.looked.Bounds, was) {
			return outdated{why: withdrawn + "its endpointCIDRs were narrowed, and nobody knows what was outside of them before it was listed"}, due
		}
	}
	if why := g.withdrawn(known); why != "" || len(made) == 0 {
		return outdated{why: why}, due
	}
	by := g.by(known)
	if by >= item.Generation {
		return found, due
	}
	if due = g.age.seen.Add(reprieve); now.Before(due) {
		return found, due
	}
	return outdated{why: fmt.Sprintf(withdrawn+"what was made of it was of generation %d, and nothing can be made of it by generation %d before it was listed", by, item.Generation)}, time.Time{}
}

// fresh are those of some objects whose annotations are as they were written last. All of them tell where none does: what
// is left alone may still be of another cluster.
func fresh(made map[ref]*record) map[ref]*record {
	some := maps.Clone(made)
	maps.DeleteFunc(some, func(_ ref, r *record) bool { return r.frozen() })
	if len(some) == 0 {
		return made
	}
	return some
}

// stillWithin reports whether all that lies in an extent (endpoint.Bounds.Extent) lies in bounds, too. In one that cannot be
// read may be anything.
func stillWithin(b endpoint.Bounds, extent string) bool {
	ranges := Aggregate(slices.Clone(b.Ranges()))
	for text := range strings.SplitSeq(extent, ",") {
		p, err := netip.ParsePrefix(text)
		if err != nil || len(Outside(nil, p.Masked(), ranges)) > 0 {
			return false
		}
	}
	return true
}

// withdrawn is why something was withdrawn, as it was said last: before a restart, too. "" where nothing was.
func (g *progress) withdrawn(known *v1alpha1.FederatedCluster) string {
	if e := g.said(known); e != nil {
		for _, gap := range e.Gaps {
			if strings.HasPrefix(gap, withdrawn) {
				return gap
			}
		}
	}
	return ""
}

// by is the generation that something was made by last. known is what the status says.
func (g *progress) by(known *v1alpha1.FederatedCluster) int64 {
	if e := g.said(known); e != nil {
		return e.ObservedGeneration
	}
	return 0
}

// earlier is the earlier of two times that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// spread makes tasks of what is meant for several. Where all that has changed of a cluster is what there is to say of it,
// that is said, and nothing is made anew.
func (p *Publisher) spread(t task) {
	clusters := []string{t.cluster}
	if t.cluster == "" {
		clusters = nil
		for _, s := range p.options.Catalog.States() {
			clusters = append(clusters, s.Name)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var state endpoint.ClusterState
	told := t.cluster != "" && t.key == Key{}
	if told {
		state, told = p.options.Catalog.State(t.cluster)
	}
	for k := range p.items {
		if t.key != (Key{}) && t.key != k {
			continue
		}
		for _, cluster := range clusters {
			at := owner{k, cluster}
			if g := p.progress[at]; told && g != nil && g.entry != nil && alike(g.looked, state) {
				p.mention(at, g, state)
			} else {
				p.queue.note(task{k, cluster, writing}, 0)
			}
		}
	}
}

// alike says whether the same is to be made of a cluster in two states.
func alike(a, b endpoint.ClusterState) bool {
	return a.ID == b.ID && a.Local == b.Local && a.Synced == b.Synced && a.StaleSince.Equal(b.StaleSince) && a.Beginning == b.Beginning &&
		slices.Equal(a.Bounds.Within, b.Bounds.Within) && maps.Equal(a.Labels, b.Labels)
}

// mention takes over what is missing of a cluster, to be said before long. It is called with p.mu held.
func (p *Publisher) mention(at owner, g *progress, state endpoint.ClusterState) {
	g.looked = state
	gaps := g.gaps()
	if slices.Equal(gaps, g.entry.Gaps) {
		return
	}
	e := *g.entry
	e.Gaps = gaps
	g.entry = &e
	p.reports.note(task{at.key, at.cluster, reporting}, mentionEvery*p.options.StatusEvery)
}
