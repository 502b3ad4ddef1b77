package publish

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
)

// live is an item whose selectors are live.
type live struct {
	Item
	queries []*index.Query
	space   types.UID // of the namespace; "" where it was not asked for
}

// Put takes an item over, also in the place of an earlier one of its key. It does not wait.
func (p *Publisher) Put(item Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, before := &live{Item: item}, p.items[item.Key]
	switch {
	case before == nil:
	case before.Owner.UID != item.Owner.UID: // another of the name
		p.forget(item.Key)
	default:
		next.space = before.space
	}
	for _, s := range item.Selectors {
		next.queries = append(next.queries, p.query(before, s.String(), func() *index.Query {
			return p.options.Catalog.Index().Add(s, func(cluster string) { p.queue.note(task{item.Key, cluster, writing}, p.options.Window) })
		}))
	}
	p.items[item.Key] = next
	if before != nil {
		for _, q := range before.queries {
			if !slices.Contains(next.queries, q) {
				q.Close()
			}
		}
	}
	p.queue.note(task{key: item.Key, what: spreading}, 0)
}

// query is the one that an item had for a selector before, or a new one.
func (p *Publisher) query(before *live, text string, add func() *index.Query) *index.Query {
	if before != nil {
		for _, q := range before.queries {
			if q.Selector().String() == text {
				return q
			}
		}
	}
	return add()
}

// Has says whether an item is there as it was read from that generation of the object of that UID.
func (p *Publisher) Has(k Key, uid types.UID, generation int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	item := p.items[k]
	return item != nil && item.Owner.UID == uid && item.Generation == generation
}

// Saw is told what the status of an item says, to go on from where a cluster becomes this replica's. An entry that
// somebody has taken away is written again.
func (p *Publisher) Saw(k Key, entries []v1alpha1.FederatedCluster) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if item := p.items[k]; item != nil {
		item.Known = entries
	}
	for cluster := range p.told[k] {
		at := owner{k, cluster}
		g := p.progress[at]
		if g == nil || g.reported == nil {
			delete(p.told[k], cluster)
			continue
		}
		if !slices.ContainsFunc(entries, func(e v1alpha1.FederatedCluster) bool { return e.Name == cluster }) {
			g.reported = nil
			p.reports.note(task{k, cluster, reporting}, p.options.StatusEvery)
		}
	}
}

// Drop forgets an item. What was made for it goes with its owner.
func (p *Publisher) Drop(k Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(k)
}

// DropOther drops an item that another object of its name was handed over as.
func (p *Publisher) DropOther(k Key, uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if item := p.items[k]; item != nil && item.Owner.UID != uid {
		p.drop(k)
	}
}

// drop is called with p.mu held.
func (p *Publisher) drop(k Key) {
	item := p.items[k]
	if item == nil {
		return
	}
	for _, q := range item.queries {
		q.Close()
	}
	delete(p.items, k)
	p.forget(k)
	p.objects.forget(k)
}

// forget forgets what was made for an item. It is called with p.mu held.
func (p *Publisher) forget(k Key) {
	delete(p.told, k)
	for at := range p.progress {
		if at.key == k {
			delete(p.progress, at)
		}
	}
}
