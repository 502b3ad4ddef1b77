package gate

import (
	"fmt"
	"testing"
	"time"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestSubjectThatAsksTooOftenIsHeldBackAlone(t *testing.T) {
	l := newLimiter(Limits{Issuer: Limit{PerSecond: 100, Burst: 100}, Subject: Limit{PerSecond: 1, Burst: 3}})
	for i := range 3 {
		if by, wait := l.take("b", "greedy", now); wait != 0 {
			t.Fatalf("exchange %d: held back by the limit of the %s for %s", i, by, wait)
		}
	}
	if by, wait := l.take("b", "greedy", now); by != "subject" || wait <= 0 || wait > time.Second {
		t.Errorf("the fourth at once: held back by %q for %s, want by the subject's for a second at most", by, wait)
	}
	if by, wait := l.take("b", "modest", now); wait != 0 {
		t.Errorf("another subject is held back by the limit of the %s for %s", by, wait)
	}
	if by, wait := l.take("c", "greedy", now); wait != 0 {
		t.Errorf("the same name of another issuer is held back by the limit of the %s for %s", by, wait)
	}
	if _, wait := l.take("b", "greedy", now.Add(time.Second)); wait != 0 {
		t.Errorf("after a second: held back for %s more", wait)
	}
}

func TestHeldBackSubjectCostsItsIssuerNothing(t *testing.T) {
	l := newLimiter(Limits{Issuer: Limit{PerSecond: 1, Burst: 2}, Subject: Limit{PerSecond: 1, Burst: 1}})
	l.take("b", "greedy", now)
	for range 100 {
		l.take("b", "greedy", now)
	}
	if by, wait := l.take("b", "modest", now); wait != 0 {
		t.Errorf("another subject is held back by the limit of the %s: refusals were charged to it", by)
	}
	if by, _ := l.take("b", "third", now); by != "issuer" {
		t.Errorf("the third exchange of an issuer with two: held back by %q, want by the issuer's", by)
	}
}

func TestBucketsAreForgottenFromTheOldest(t *testing.T) {
	b := newBuckets(Limit{PerSecond: 0.001, Burst: 1}, 3)
	for _, key := range []string{"a", "b", "c"} {
		b.take(key, now)
	}
	b.take("a", now) // empty, but used
	b.take("d", now) // b goes
	for key, want := range map[string]bool{"a": true, "c": true, "d": true} {
		if wait := b.take(key, now); (wait > 0) != want {
			t.Errorf("bucket %s: wait %s, want it remembered as empty", key, wait)
		}
	}
	for i := range 1000 {
		b.take(fmt.Sprint(i), now)
	}
	if b.len() != 3 || len(b.byKey) != 3 {
		t.Errorf("%d buckets are kept, %d by key, want 3", b.len(), len(b.byKey))
	}
}
