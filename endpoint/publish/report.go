package publish

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
)

// report writes the entry of a cluster in the status of an item, if it says something new, and not too often.
func (p *Publisher) report(ctx context.Context, at owner) error {
	now := p.options.Clock.Now()
	p.mu.Lock()
	item, g := p.items[at.key], p.progress[at]
	if item == nil || g == nil || g.entry == nil || equality.Semantic.DeepEqual(g.entry, g.reported) {
		p.mu.Unlock()
		return nil
	}
	entry := g.entry.DeepCopy()
	wait := p.options.StatusEvery - now.Sub(g.at)
	if g.at.IsZero() || wait <= 0 {
		g.at = now // also where it fails
		wait = 0
	}
	p.mu.Unlock()
	if wait > 0 {
		p.reports.note(task{at.key, at.cluster, reporting}, wait)
		return nil
	}
	if err := applyEntry(ctx, p.objects.client, at.key, item.Owner.UID, at.cluster, entry); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.progress[at] == g {
		g.reported = entry
		if p.told[at.key] == nil {
			p.told[at.key] = map[string]bool{}
		}
		p.told[at.key][at.cluster] = true
	}
	return nil
}
