package publish

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func expire(after, settle time.Duration) *v1alpha1.Staleness {
	s := &v1alpha1.Staleness{Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: after}}
	if settle >= 0 {
		s.Settle = &metav1.Duration{Duration: settle}
	}
	return s
}

// link is a cluster that is heard of, or not, as time passes.
type link struct {
	t      *testing.T
	s      staleness
	by     *v1alpha1.Staleness
	now    time.Time
	silent time.Time
	again  time.Time
}

func newLink(t *testing.T, by *v1alpha1.Staleness) *link {
	return &link{t: t, by: by, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
}

// is looks after a time has passed.
func (l *link) is(after time.Duration, want phase) {
	l.t.Helper()
	l.now = l.now.Add(after)
	var got phase
	if got, l.again = l.s.look(l.now, l.by, true, l.silent); got != want {
		l.t.Errorf("at %s it is %d, want %d", l.now.Format(time.TimeOnly), got, want)
	}
}

func (l *link) lost(after time.Duration)  { l.now = l.now.Add(after); l.silent = l.now }
func (l *link) found(after time.Duration) { l.now = l.now.Add(after); l.silent = time.Time{} }

func TestWhatIsKnownOfASilentClusterIsKeptForever(t *testing.T) {
	for name, by := range map[string]*v1alpha1.Staleness{"by default": nil, "as it says": {Policy: v1alpha1.StalenessKeep}} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t, by)
			l.is(0, current)
			l.lost(time.Minute)
			l.is(0, kept)
			l.is(1000*time.Hour, kept)
			if !l.again.IsZero() {
				t.Errorf("it is looked at again at %s", l.again)
			}
			l.found(0)
			l.is(0, current)
		})
	}
}

func TestAddressesExpireAndComeBackWhenTheLinkHasSettled(t *testing.T) {
	l := newLink(t, expire(5*time.Minute, time.Minute))
	l.is(0, current)
	l.lost(time.Minute)
	l.is(0, kept)
	if want := l.now.Add(5 * time.Minute); !l.again.Equal(want) {
		t.Errorf("it is looked at again at %s, want %s", l.again, want)
	}
	l.is(5*time.Minute-time.Nanosecond, kept)
	l.is(time.Nanosecond, expired)
	l.found(time.Hour / 2)
	l.is(0, expired)
	if want := l.now.Add(time.Minute); !l.again.Equal(want) {
		t.Errorf("it is looked at again at %s, want %s", l.again, want)
	}
	l.is(59*time.Second, expired)
	l.lost(0) // before it has settled
	l.is(0, expired)
	l.found(time.Second)
	l.is(0, expired)
	l.is(59*time.Second, expired)
	l.is(time.Second, current)
	l.lost(0) // it has its whole time again
	l.is(4*time.Minute, kept)
}

func TestALinkThatFlapsSettlesLongerEachTime(t *testing.T) {
	l := newLink(t, expire(10*time.Second, -1))
	settles := func(want time.Duration) {
		t.Helper()
		l.is(0, current)
		l.lost(0)
		l.is(0, kept)
		l.is(10*time.Second, expired)
		l.found(time.Second)
		l.is(0, expired)
		l.is(want-time.Second, expired)
		l.is(time.Second, current)
	}
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		settles(want)
	}
	l.is(time.Hour, current) // it is forgiven
	settles(30 * time.Second)
}

func TestAClusterThatWasNotListedIsHeldUntilItExpires(t *testing.T) {
	l := newLink(t, expire(time.Minute, 0))
	look := func(after time.Duration, want phase) {
		t.Helper()
		l.now = l.now.Add(after)
		if got, _ := l.s.look(l.now, l.by, false, l.silent); got != want {
			t.Errorf("it is %d, want %d", got, want)
		}
	}
	look(0, held)
	look(59*time.Second, held)
	look(time.Second, expired)

	// A restart goes on from what an earlier process has written.
	l = newLink(t, expire(time.Minute, 0))
	l.s.since = l.now.Add(-50 * time.Second)
	l.silent = l.now // since this process knows of it
	look(0, held)
	look(10*time.Second, expired)
}

func TestAnotherPolicyCountsAtOnce(t *testing.T) {
	l := newLink(t, expire(time.Minute, time.Hour))
	l.lost(0)
	l.is(time.Minute, expired)
	l.by = &v1alpha1.Staleness{Policy: v1alpha1.StalenessKeep}
	l.is(0, kept)
	l.by = expire(time.Minute, 0)
	l.is(0, expired)
	l.by = nil
	l.found(0)
	l.is(0, current)
}

// TestAddressesAreNeverTakenAwayEarly, whatever a link does: only after it was silent for the whole time without
// interruption, and never given back before it was heard of for the whole of settle.
func TestAddressesAreNeverTakenAwayEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(10, 100).Draw(t, "expireAfter")) * time.Second
		settle := time.Duration(rapid.IntRange(0, 60).Draw(t, "settle")) * time.Second
		by := expire(after, settle)
		var s staleness
		now := time.Unix(1_000_000, 0)
		lost, found, away := time.Time{}, now, false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "seconds")) * time.Second)
			up := rapid.Bool().Draw(t, "up")
			switch {
			case up && !lost.IsZero():
				lost, found = time.Time{}, now
			case !up && lost.IsZero():
				lost = now
			}
			p, _ := s.look(now, by, true, lost)
			switch {
			case p == expired && !away:
				if lost.IsZero() || now.Sub(lost) < after {
					t.Fatalf("taken away %s after it was lost", now.Sub(lost))
				}
			case p != expired && away:
				if !lost.IsZero() || now.Sub(found) < settle {
					t.Fatalf("given back %s after it was found", now.Sub(found))
				}
			case !away && !lost.IsZero() && now.Sub(lost) >= after:
				t.Fatalf("still there %s after it was lost", now.Sub(lost))
			}
			away = p == expired
		}
	})
}
