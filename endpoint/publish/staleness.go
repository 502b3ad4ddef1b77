package publish

import (
	"slices"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
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

// The bounds of damping.
const (
	defaultSettle = 30 * time.Second
	longestSettle = 10 * time.Minute
	remembered    = time.Hour // how long it is held against a cluster that its addresses were taken away
)

// staleness is what is known of how a cluster was heard of, for one item.
type staleness struct {
	since   time.Time   // not heard of since; zero: heard of
	began   time.Time   // the last since, also while the addresses are still away
	seen    time.Time   // when it was found, here, that it is not heard of
	heard   time.Time   // heard of without interruption since; zero: not heard of
	expired bool        // the addresses are taken away
	times   []time.Time // when they were, within the last hour
}

// look says what becomes of what was made, and when to look again, zero for not before something changes. synced says
// that the cluster was listed in full, silent since when it is not heard of, zero if it is.
func (s *staleness) look(now time.Time, by *v1alpha1.Staleness, synced bool, silent time.Time) (p phase, again time.Time) {
	if synced && silent.IsZero() {
		return s.present(now, by)
	}
	s.heard = time.Time{}
	if s.seen.IsZero() {
		s.seen = now
	}
	if s.since.IsZero() {
		if s.since = silent; silent.IsZero() { // it never was, as far as we know
			s.since = now
		}
	}
	s.began = s.since
	if by == nil || by.Policy != v1alpha1.StalenessExpire || by.ExpireAfter == nil {
		s.expired = false
		return s.without(synced), time.Time{}
	}
	end := s.since.Add(by.ExpireAfter.Duration)
	switch {
	case s.expired:
		return expired, time.Time{}
	case now.Before(end):
		return s.without(synced), end
	}
	s.expired = true
	s.times = append(s.times, now)
	return expired, time.Time{}
}

// without is the phase of a cluster that is not heard of and has not expired.
func (s *staleness) without(synced bool) phase {
	if synced {
		return kept
	}
	return held
}

// present is look for a cluster that is heard of.
func (s *staleness) present(now time.Time, by *v1alpha1.Staleness) (p phase, again time.Time) {
	s.since, s.seen = time.Time{}, time.Time{}
	if s.heard.IsZero() {
		s.heard = now
	}
	s.times = slices.DeleteFunc(s.times, func(t time.Time) bool { return now.Sub(t) >= remembered })
	if !s.expired {
		return current, time.Time{}
	}
	if back := s.heard.Add(s.settle(by)); now.Before(back) {
		return expired, back
	}
	s.expired = false
	return current, time.Time{}
}

// settle is how long the cluster must be heard of before its addresses come back. It doubles with each time that
// they were taken away.
func (s *staleness) settle(by *v1alpha1.Staleness) time.Duration {
	d := defaultSettle
	switch {
	case by == nil || by.Policy != v1alpha1.StalenessExpire:
		return 0
	case by.Settle != nil:
		d = by.Settle.Duration
	}
	for range len(s.times) - 1 {
		if d = 2 * d; d >= longestSettle {
			return longestSettle
		}
	}
	return min(d, longestSettle)
}
