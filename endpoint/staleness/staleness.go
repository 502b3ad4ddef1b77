// Package staleness decides what becomes of what was made of a cluster that is not heard of any more: it is kept, or taken
// away after a time, and comes back when the cluster was heard of for long enough. It knows neither clusters nor clocks:
// who uses it says how a cluster is heard of, and what was written down before a restart.
package staleness

import (
	"slices"
	"time"
)

// Policy says what becomes of what was made of a cluster that is not heard of any more. The zero Policy keeps it.
type Policy struct {
	// ExpireAfter is how long the cluster may be silent before it is taken away. 0: for ever.
	ExpireAfter time.Duration
	// Settle is how long the cluster has to be heard of without interruption before it comes back. It doubles with each
	// time that it was taken away within an hour, up to ten minutes.
	Settle time.Duration
}

// DefaultSettle is what Policy.Settle is where nobody says anything else.
const DefaultSettle = 30 * time.Second

const (
	longestSettle = 10 * time.Minute
	remembered    = time.Hour // how long it is held against a cluster that something was taken away
	// longestList is how long it may take until a cluster was listed for the first time, and counts as silent since that
	// began otherwise.
	longestList = 5 * time.Minute
)

// Contact is how a cluster is heard of.
type Contact struct {
	// StaleSince is when it was last heard of; zero: it is heard of now.
	StaleSince time.Time
	// LiveSince is since when it has been heard of without interruption, where it is. Zero: since it was first judged so.
	LiveSince time.Time
	// Unheard says that nothing was heard of it yet, and StaleSince is only when it began to be asked: what is remembered
	// counts, where that is earlier.
	Unheard bool
	// Beginning says that it is asked since StaleSince, and nothing has gone wrong with that so far: it may take its time.
	Beginning bool
}

// Memory is what is remembered of a cluster, for one thing that is made of it. The zero Memory is that of one that has
// not been silent.
type Memory struct {
	// Since is when the cluster was last heard of, before it fell silent. It stays until what was made is back. It is zero
	// of one that only begins to be heard of.
	Since time.Time
	// Expired says that what was made is taken away.
	Expired bool

	silent bool        // Since is of a silence that lasts
	heard  time.Time   // since when it is heard of without interruption; zero: it is not
	times  []time.Time // when something was taken away, within the last hour
}

// Restore makes the Memory of what was written down before a restart, or by another replica: Since, zero for none, and
// Expired.
func Restore(p Policy, since time.Time, expired bool, now time.Time) Memory {
	m := Memory{Since: since, Expired: expired, silent: !since.IsZero()}
	if expired {
		at := since.Add(p.ExpireAfter)
		if since.IsZero() || at.After(now) {
			at = now
		}
		m.times = []time.Time{at}
	}
	return m
}

// Judge says whether what was made is to be away now, and when to judge again; zero: when something changes.
func (m *Memory) Judge(p Policy, c Contact, now time.Time) (away bool, again time.Time) {
	m.times = slices.DeleteFunc(m.times, func(t time.Time) bool { return now.Sub(t) >= remembered })
	if c.StaleSince.IsZero() {
		return m.present(p, c, now)
	}
	m.heard = time.Time{}
	if end := c.StaleSince.Add(longestList); c.Beginning && !m.silent && !m.Expired && now.Before(end) {
		m.Since = time.Time{}
		return false, end
	}
	if !m.silent || !c.Unheard || c.StaleSince.Before(m.Since) {
		m.Since = c.StaleSince
	}
	m.silent = true
	end := m.Since.Add(p.ExpireAfter)
	switch {
	case p.ExpireAfter == 0:
		m.Expired = false
		return false, time.Time{}
	case m.Expired:
		return true, time.Time{}
	case now.Before(end):
		return false, end
	}
	m.Expired = true
	m.times = append(m.times, now)
	return true, time.Time{}
}

// present is Judge of a cluster that is heard of.
func (m *Memory) present(p Policy, c Contact, now time.Time) (away bool, again time.Time) {
	m.silent = false
	switch {
	case !c.LiveSince.IsZero():
		m.heard = c.LiveSince
	case m.heard.IsZero():
		m.heard = now
	}
	if m.Expired && p.ExpireAfter > 0 {
		if back := m.heard.Add(m.settle(p)); now.Before(back) {
			return true, back
		}
	}
	m.Expired, m.Since = false, time.Time{}
	return false, time.Time{}
}

// settle is how long the cluster has to be heard of now.
func (m *Memory) settle(p Policy) time.Duration {
	d := p.Settle
	for range len(m.times) - 1 {
		if d = 2 * d; d >= longestSettle {
			break
		}
	}
	return min(d, longestSettle)
}
