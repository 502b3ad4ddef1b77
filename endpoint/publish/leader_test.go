package publish

import (
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

// TestWhatHasJustBecomeUnwantedIsNotSweptYet: a cluster that has just come may be known to those who write before it is
// known to the leader.
func TestWhatHasJustBecomeUnwantedIsNotSweptYet(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(1000, 0))
	l := &Leader{options: LeaderOptions{Clock: clock}, unwanted: map[owner]time.Time{}}
	key := Key{Kind: EndpointSet, Name: "shop"}
	a, b := owner{key, "a"}, owner{key, "b"}
	looks := func(after time.Duration, left []owner, wantDue int, wantAgain time.Duration) {
		t.Helper()
		clock.SetTime(clock.Now().Add(after))
		all := map[owner]bool{}
		for _, at := range left {
			all[at] = true
		}
		if due, again := l.due(key, all); len(due) != wantDue || again != wantAgain {
			t.Errorf("due are %v, and then in %s", due, again)
		}
	}
	looks(0, []owner{a}, 0, lag)
	looks(lag/2, []owner{a, b}, 0, lag/2)
	looks(lag/2, []owner{a, b}, 1, lag/2)
	looks(lag/4, []owner{b}, 0, lag/4)
	looks(0, []owner{a}, 0, lag) // it was wanted meanwhile
	looks(0, nil, 0, 0)
}
