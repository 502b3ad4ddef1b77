package service

import (
	"fmt"
	"strings"
	"time"

	"github.com/hawser-io/hawser/endpoint/staleness"
)

const (
	leastExpiry = 10 * time.Second
	mostExpiry  = 7 * 24 * time.Hour
)

// ParseStaleness reads keep or expire-after=DURATION; nothing is keep.
func ParseStaleness(text string) (staleness.Policy, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "keep" {
		return staleness.Policy{}, nil
	}
	after, ok := strings.CutPrefix(text, "expire-after=")
	if !ok {
		return staleness.Policy{}, fmt.Errorf("reading %.100q: it is neither keep nor expire-after=DURATION", text)
	}
	d, err := time.ParseDuration(after)
	if err != nil {
		return staleness.Policy{}, fmt.Errorf("reading %.100q: %w", text, err)
	}
	if d < leastExpiry || d > mostExpiry {
		return staleness.Policy{}, fmt.Errorf("reading %.100q: a duration is between %s and %s", text, leastExpiry, mostExpiry)
	}
	return staleness.Policy{ExpireAfter: d, Settle: staleness.DefaultSettle}, nil
}
