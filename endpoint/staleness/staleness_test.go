package staleness_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/staleness"
)

func expire(after, settle time.Duration) staleness.Policy {
	return staleness.Policy{ExpireAfter: after, Settle: settle}
}

// link is a cluster that is heard of, or not, as time passes.
type link struct {
	t      *testing.T
	m      staleness.Memory
	by     staleness.Policy
	now    time.Time
	silent time.Time
	began  time.Time // the process
	again  time.Time
}

func newLink(t *testing.T, by staleness.Policy) *link {
	return &link{t: t, by: by, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

func (l *link) judge(after time.Duration, c staleness.Contact, want bool) {
	l.t.Helper()
	l.now = l.now.Add(after)
	var away bool
	if away, l.again = l.m.Judge(l.by, c, l.now); away != want || l.m.Expired != want {
		l.t.Errorf("at %s it is away: %t, and expired: %t", l.now.Format(time.TimeOnly), away, l.m.Expired)
	}
}

const there, away = false, true

// is judges after a time has passed.
func (l *link) is(after time.Duration, want bool) {
	l.t.Helper()
	l.judge(after, staleness.Contact{StaleSince: l.silent}, want)
}

// unheard judges as a process does that began now, and has not heard of the cluster.
func (l *link) unheard(after time.Duration, want bool) {
	l.t.Helper()
	l.judge(after, staleness.Contact{StaleSince: l.now.Add(after), Unheard: true}, want)
}

// begins judges as a process does that lists the cluster for the first time, without a fault.
func (l *link) begins(after time.Duration, want bool) {
	l.t.Helper()
	l.judge(after, staleness.Contact{StaleSince: l.began, Unheard: true, Beginning: true}, want)
}

// fails judges as a process does that has not heard of the cluster, and knows that something is wrong.
func (l *link) fails(after time.Duration, want bool) {
	l.t.Helper()
	l.judge(after, staleness.Contact{StaleSince: l.began, Unheard: true}, want)
}

// knows checks since when the cluster is known to be silent.
func (l *link) knows(want time.Time) {
	l.t.Helper()
	if !l.m.Since.Equal(want) {
		l.t.Errorf("at %s it is silent since %s, want %s", l.now.Format(time.TimeOnly), l.m.Since, want)
	}
}

func (l *link) next(want time.Duration) {
	l.t.Helper()
	if at := l.now.Add(want); !l.again.Equal(at) {
		l.t.Errorf("it is judged again at %s, want %s", l.again, at)
	}
}

func (l *link) lost(after time.Duration)  { l.now = l.now.Add(after); l.silent = l.now }
func (l *link) found(after time.Duration) { l.now = l.now.Add(after); l.silent = time.Time{} }

// restart forgets what is not written down: times are in seconds.
func (l *link) restart() {
	l.m, l.began = staleness.Restore(l.by, l.m.Since.Truncate(time.Second), l.m.Expired, l.now), l.now
}

func TestWhatIsKnownOfASilentClusterIsKeptForever(t *testing.T) {
	l := newLink(t, staleness.Policy{})
	l.is(0, there)
	l.lost(time.Minute)
	l.is(0, there)
	l.is(1000*time.Hour, there)
	if !l.again.IsZero() || !l.m.Since.Equal(l.silent) {
		t.Errorf("it is judged again at %s, and silent since %s", l.again, l.m.Since)
	}
	l.found(0)
	l.is(0, there)
	if !l.m.Since.IsZero() {
		t.Errorf("it is silent since %s", l.m.Since)
	}
}

func TestItExpiresAndComesBackWhenTheLinkHasSettled(t *testing.T) {
	l := newLink(t, expire(5*time.Minute, time.Minute))
	l.is(0, there)
	l.lost(time.Minute)
	l.is(0, there)
	l.next(5 * time.Minute)
	l.is(5*time.Minute-time.Nanosecond, there)
	l.is(time.Nanosecond, away)
	l.found(time.Hour / 2)
	l.is(0, away)
	l.next(time.Minute)
	l.is(59*time.Second, away)
	l.lost(0) // before it has settled
	l.is(0, away)
	l.found(time.Second)
	l.is(0, away)
	l.is(59*time.Second, away)
	l.is(time.Second, there)
	l.lost(0) // it has its whole time again
	l.is(4*time.Minute, there)
}

func TestWhoKnowsSinceWhenAClusterIsHeardOfSaysSo(t *testing.T) {
	l := newLink(t, expire(time.Minute, staleness.DefaultSettle))
	live := func(ago time.Duration) staleness.Contact { return staleness.Contact{LiveSince: l.now.Add(-ago)} }
	l.judge(0, live(0), there)
	l.lost(10 * time.Second)
	l.is(20*time.Second, there)
	l.next(40 * time.Second)
	l.is(40*time.Second, away)
	l.judge(0, live(5*time.Second), away)
	l.next(25 * time.Second)
	l.judge(30*time.Second, live(-20*time.Second), away) // it was silent between, and nobody has looked
	l.next(20 * time.Second)
	l.judge(20*time.Second, live(10*time.Second), there)
}

func TestALinkThatFlapsSettlesLongerEachTime(t *testing.T) {
	l := newLink(t, expire(10*time.Second, staleness.DefaultSettle))
	settles := func(want time.Duration) {
		t.Helper()
		l.is(0, there)
		l.lost(0)
		l.is(0, there)
		l.is(10*time.Second, away)
		l.found(time.Second)
		l.is(0, away)
		l.is(want-time.Second, away)
		l.is(time.Second, there)
	}
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		settles(want)
	}
	l.is(time.Hour, there) // it is forgiven
	settles(30 * time.Second)
}

func TestAnotherPolicyCountsAtOnce(t *testing.T) {
	l := newLink(t, expire(time.Minute, time.Hour))
	l.lost(0)
	l.is(time.Minute, away)
	l.by = staleness.Policy{}
	l.is(0, there)
	l.by = expire(time.Minute, 0)
	l.is(0, away)
	l.by = staleness.Policy{}
	l.found(0)
	l.is(0, there)
}

func TestWhatIsExpiredComesBackWhenTheClusterIsHeardOfAndItIsKept(t *testing.T) {
	l := newLink(t, expire(time.Minute, time.Hour))
	l.lost(0)
	l.is(time.Minute, away)
	l.found(0)
	l.is(0, away)
	l.by = staleness.Policy{Settle: time.Hour}
	l.is(0, there)
}

func TestARestartGoesOnFromWhatIsWrittenDown(t *testing.T) {
	l := newLink(t, expire(time.Hour, 10*time.Minute))
	l.is(0, there)
	l.lost(0)
	since := l.now
	l.is(30*time.Minute, there)
	l.restart()
	l.unheard(time.Minute, there)
	l.next(29 * time.Minute)
	l.restart() // and again
	l.unheard(28*time.Minute, there)
	if !l.m.Since.Equal(since) {
		t.Errorf("it is silent since %s, want %s", l.m.Since, since)
	}
	l.unheard(time.Minute, away)
	l.restart()
	l.unheard(time.Hour, away)
	l.found(0)
	l.is(0, away)
	l.is(9*time.Minute, away)
	l.restart() // while it settles: that begins anew, and what is away stays away
	l.unheard(time.Minute, away)
	l.is(time.Minute, away)
	l.is(9*time.Minute, away)
	l.is(time.Minute, there)
}

func TestAFirstListMayTakeItsTime(t *testing.T) {
	const bound = 5 * time.Minute
	l := newLink(t, expire(10*time.Second, 30*time.Second))
	l.is(0, there)
	l.restart()
	l.begins(0, there)
	l.next(bound)
	l.begins(bound-time.Nanosecond, there)
	l.knows(time.Time{})
	l.restart() // nothing says that it was silent
	l.begins(bound-time.Nanosecond, there)
	l.is(time.Second, there)

	l.restart() // it hangs
	l.begins(time.Minute, there)
	l.begins(4*time.Minute, away)
	l.knows(l.began)
	l.restart()
	l.begins(time.Second, away) // a beginning brings nothing back
	l.is(time.Second, away)
	l.begins(time.Second, away) // nor does one over another connection, and it settles anew
	l.is(29*time.Second, away)
	l.is(30*time.Second, there)

	// When something goes wrong, it was silent since it was asked.
	l = newLink(t, expire(time.Minute, 0))
	l.restart()
	l.begins(30*time.Second, there)
	l.fails(20*time.Second, there)
	l.next(10 * time.Second)
	l.begins(5*time.Second, there) // it answers again, and has said nothing yet
	l.next(5 * time.Second)
	l.begins(5*time.Second, away)

	// What was silent before has no other time.
	l = newLink(t, expire(time.Minute, 0))
	l.lost(0)
	l.is(40*time.Second, there)
	l.restart()
	l.begins(19*time.Second, there)
	l.next(time.Second)
	l.begins(time.Second, away)

	// One that may be silent for longer than the bound is no worse off.
	l = newLink(t, expire(time.Hour, 0))
	l.restart()
	l.begins(bound, there)
	l.next(time.Hour - bound)
	l.begins(time.Hour-bound, away)

	// What is kept is known to be silent some time, too.
	l = newLink(t, staleness.Policy{})
	l.restart()
	l.begins(bound-time.Second, there)
	l.knows(time.Time{})
	l.next(time.Second)
	l.begins(time.Second, there)
	l.knows(l.began)
}

// TestAListThatTakesLongIsNoSilence, however often the process begins anew, as long as the link is up; and nothing makes a
// silence that somebody knew of any shorter.
func TestAListThatTakesLongIsNoSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(10, 600).Draw(t, "expireAfter")) * time.Second
		by := expire(after, 30*time.Second)
		var m staleness.Memory
		now := time.Unix(1_000_000, 0)
		started, listed, isAway := now, time.Time{}, false
		takes := time.Duration(0)               // the first list
		lost, known := time.Time{}, time.Time{} // since when it is silent, and since when anybody knew it to be
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			up := rapid.IntRange(0, 4).Draw(t, "up") > 0
			switch {
			case up:
				lost = time.Time{}
			case lost.IsZero():
				lost = now
			}
			if up && listed.IsZero() && now.Sub(started) >= takes {
				listed = now
			}
			c := staleness.Contact{StaleSince: lost}
			if listed.IsZero() {
				c = staleness.Contact{StaleSince: started, Unheard: true, Beginning: up}
			}
			p, _ := m.Judge(by, c, now)
			switch {
			case c.StaleSince.IsZero():
				known = time.Time{}
			case known.IsZero() && !c.Beginning:
				known = c.StaleSince
			}
			switch {
			case p && !isAway && known.IsZero():
				if now.Sub(started) < max(after, 5*time.Minute) {
					t.Fatalf("taken away %s after the start, while it is listed", now.Sub(started))
				}
				known = started
			case p && !isAway:
				if now.Sub(known) < after {
					t.Fatalf("taken away %s after it was lost", now.Sub(known))
				}
			case !p && !isAway && !known.IsZero() && now.Sub(known) >= after:
				t.Fatalf("still there %s after it was lost", now.Sub(known))
			case !p && isAway && (!c.StaleSince.IsZero() || now.Sub(listed) < 30*time.Second):
				t.Fatalf("given back %s after it was listed", now.Sub(listed))
			}
			isAway = p
			if rapid.IntRange(0, 5).Draw(t, "restart") == 0 {
				m, started, listed = staleness.Restore(by, m.Since, m.Expired, now), now, time.Time{}
				takes = time.Duration(rapid.IntRange(0, 500).Draw(t, "takes")) * time.Second
			}
		}
	})
}

func TestASilenceThatIsOverIsNotRemembered(t *testing.T) {
	l := newLink(t, expire(time.Hour, 0))
	l.lost(0)
	l.is(50*time.Minute, there)
	l.restart()
	l.unheard(0, there)
	l.found(0)
	l.is(0, there)
	l.lost(5 * time.Minute)
	l.is(59*time.Minute, there)
	l.is(time.Minute, away)

	// A blip that nobody has looked at is known by since when it is silent now.
	l = newLink(t, expire(time.Hour, 0))
	l.lost(0)
	l.is(50*time.Minute, there)
	l.lost(0)
	l.is(59*time.Minute, there)
}

// TestNothingIsTakenAwayEarlyOrLate, whatever a link does, and however often the process begins anew: only after it was
// silent for the whole time without interruption, and never given back before it was heard of for the whole of settle.
func TestNothingIsTakenAwayEarlyOrLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(10, 100).Draw(t, "expireAfter")) * time.Second
		settle := time.Duration(rapid.IntRange(0, 60).Draw(t, "settle")) * time.Second
		by := expire(after, settle)
		var m staleness.Memory
		now := time.Unix(1_000_000, 0)
		lost, found, started, isAway := time.Time{}, now, now, false
		var unheard bool
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "seconds")) * time.Second)
			up := rapid.Bool().Draw(t, "up")
			switch {
			case up && !lost.IsZero():
				lost, found = time.Time{}, now
			case !up && lost.IsZero():
				lost = now
			}
			c := staleness.Contact{StaleSince: lost, Unheard: unheard && !up}
			if unheard = c.Unheard; unheard {
				c.StaleSince = started
			}
			p, _ := m.Judge(by, c, now)
			switch {
			case p && !isAway:
				if lost.IsZero() || now.Sub(lost) < after {
					t.Fatalf("taken away %s after it was lost", now.Sub(lost))
				}
			case !p && isAway:
				if !lost.IsZero() || now.Sub(found) < settle || now.Sub(started) < settle {
					t.Fatalf("given back %s after it was found, and %s after the start", now.Sub(found), now.Sub(started))
				}
			case !isAway && !lost.IsZero() && now.Sub(lost) >= after:
				t.Fatalf("still there %s after it was lost", now.Sub(lost))
			}
			isAway = p
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				m, started, unheard = staleness.Restore(by, m.Since, m.Expired, now), now, !up
			}
		}
	})
}
