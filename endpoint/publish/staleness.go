package publish

import (
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// phase is what becomes of what was made of a cluster.
type phase uint8

const (
	// held: it is not known what the cluster has. What was made stays as it is.
	held phase = iota
	// current: it follows the cluster. kept: it is what was known last.
	current
	kept
	// expired: the addresses are taken away.
	expired
)

// phaseOf is the phase of a cluster whose addresses are to be away, or not.
func phaseOf(away bool, state endpoint.ClusterState) phase {
	switch {
	case away:
		return expired
	case !state.Synced:
		return held
	case !state.StaleSince.IsZero():
		return kept
	}
	return current
}

// age is how a cluster was heard of, for one item.
type age struct {
	staleness.Memory
	seen time.Time // when it was found, here, that it is not heard of; zero: it is
}

// look says what becomes of what was made, and when to look again, zero for not before something changes.
func (a *age) look(now time.Time, by *v1alpha1.Staleness, state endpoint.ClusterState) (p phase, again time.Time) {
	c := staleness.Contact{StaleSince: state.StaleSince, Unheard: !state.Synced, Beginning: state.Beginning}
	switch silent := c.Unheard || !c.StaleSince.IsZero(); {
	case !silent:
		a.seen = time.Time{}
	case a.seen.IsZero():
		a.seen = now
	}
	if c.StaleSince.IsZero() { // where it never was heard of, as far as we know
		c.StaleSince = a.seen
	}
	away, again := a.Judge(policyOf(by), c, now)
	return phaseOf(away, state), again
}

// lasting is how long a cluster is not heard of before its objects say so: a link that flaps is not to write them all the
// time, and until then the status tells a restart.
const lasting = time.Minute

// tellable is from when on objects say since when the cluster is silent.
func (a *age) tellable(p staleness.Policy) time.Time {
	return a.Since.Add(min(p.ExpireAfter/2, lasting))
}

// policyOf is what an item asks for.
func policyOf(by *v1alpha1.Staleness) (p staleness.Policy) {
	if by == nil || by.Policy != v1alpha1.StalenessExpire || by.ExpireAfter == nil {
		return p
	}
	p = staleness.Policy{ExpireAfter: by.ExpireAfter.Duration, Settle: staleness.DefaultSettle}
	if by.Settle != nil {
		p.Settle = by.Settle.Duration
	}
	return p
}

// restore reads what an earlier process, or another replica, has left of a cluster that was not heard of. What objects
// say is said first, and so counts before the status, which says it alone where there is no object, or none that is as
// it was written.
func (p *Publisher) restore(at owner, item *live) staleness.Memory {
	var said v1alpha1.FederatedCluster
	for _, e := range item.Known {
		if e.Name == at.cluster {
			said = e
		}
	}
	var since time.Time
	if said.StaleSince != nil {
		since = said.StaleSince.Time
	}
	objects, away := p.objects.records.believed(at, item.Places), false
	telling := len(objects) > 0
	for _, r := range objects {
		if r.frozen() {
			telling = false
			continue
		}
		if s, err := time.Parse(time.RFC3339, r.annotations[StaleSinceAnnotation]); err == nil && (since.IsZero() || s.Before(since)) {
			since = s
		}
		away = away || r.annotations[ExpiredAnnotation] == "true"
	}
	away = away || said.Expired && !telling
	return staleness.Restore(policyOf(item.Staleness), since, away, p.options.Clock.Now())
}
