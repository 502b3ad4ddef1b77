package service

import (
	"fmt"
	"strings"
	"time"
)

// Staleness says what becomes of the endpoints of a cluster that is not heard of any more.
type Staleness struct {
	// ExpireAfter is after how long they are taken away. 0: never.
	ExpireAfter time.Duration
}

const (
	leastExpiry = 10 * time.Second
	mostExpiry  = 7 * 24 * time.Hour
	// settle is how long a cluster whose endpoints were taken away has to be heard of before they come back. It
	// doubles with each time that they were taken away within flapping.
	settle     = 30 * time.Second
	mostSettle = 10 * time.Minute
	flapping   = time.Hour
)

// ParseStaleness reads keep or expire-after=DURATION; nothing is keep.
func ParseStaleness(text string) (Staleness, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "keep" {
		return Staleness{}, nil
	}
	after, ok := strings.CutPrefix(text, "expire-after=")
	if !ok {
		return Staleness{}, fmt.Errorf("reading %.100q: it is neither keep nor expire-after=DURATION", text)
	}
	d, err := time.ParseDuration(after)
	if err != nil {
		return Staleness{}, fmt.Errorf("reading %.100q: %w", text, err)
	}
	if d < leastExpiry || d > mostExpiry {
		return Staleness{}, fmt.Errorf("reading %.100q: a duration is between %s and %s", text, leastExpiry, mostExpiry)
	}
	return Staleness{d}, nil
}

// Contact is how a cluster is heard of.
type Contact struct {
	// StaleSince is when it was last heard of; zero: it is heard of now.
	StaleSince time.Time
	// LiveSince is since when it has been heard of without interruption, where it is.
	LiveSince time.Time
}

// Expiry remembers what was taken away because a cluster was not heard of.
type Expiry struct {
	// Expired says that it is away now.
	Expired bool
	at      []time.Time
}

// Judge says whether the endpoints of a cluster are to be there now, and when to look again; zero: not for this reason.
func (e *Expiry) Judge(s Staleness, c Contact, now time.Time) (shown bool, again time.Duration) {
	if s.ExpireAfter == 0 {
		*e = Expiry{}
		return true, 0
	}
	if !c.StaleSince.IsZero() {
		if left := c.StaleSince.Add(s.ExpireAfter).Sub(now); left > 0 {
			return !e.Expired, left
		}
		if !e.Expired {
			e.Expired, e.at = true, append(e.recent(now), now)
		}
		return false, 0
	}
	if !e.Expired {
		return true, 0
	}
	wait := settle << max(0, min(len(e.recent(now))-1, 10))
	if left := c.LiveSince.Add(min(wait, mostSettle)).Sub(now); left > 0 {
		return false, left
	}
	e.Expired = false
	return true, 0
}

func (e *Expiry) recent(now time.Time) []time.Time {
	var kept []time.Time
	for _, at := range e.at {
		if now.Sub(at) < flapping {
			kept = append(kept, at)
		}
	}
	return kept
}
