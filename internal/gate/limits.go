package gate

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is a token bucket: so many a second, and so many at once.
type Limit struct {
	PerSecond float64
	Burst     int
}

// Limits of exchanges. A bucket is charged only by a token that was verified, so that nobody can use up
// that of another.
type Limits struct {
	// Issuer is for each TrustedIssuer, Subject for each of its subjects.
	Issuer, Subject Limit
}

// DefaultLimits let the pods of a large workload start at once, and no subject keep an API server busy.
func DefaultLimits() Limits {
	return Limits{Issuer: Limit{PerSecond: 50, Burst: 500}, Subject: Limit{PerSecond: 10, Burst: 100}}
}

// bucketsKept bounds the memory of each kind of bucket, at about 300 bytes each. The one that was not
// used for longest is forgotten first, which is full again by then unless this many others asked since.
const bucketsKept = 16384

// buckets are token buckets by key, as many as are kept.
type buckets struct {
	limit Limit
	kept  int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *bucket, the last used first
}

type bucket struct {
	key     string
	limiter *rate.Limiter
}

func newBuckets(limit Limit, kept int) *buckets {
	return &buckets{limit: limit, kept: kept, byKey: map[string]*list.Element{}}
}

// take takes one from the bucket of key. Where it is empty, nothing is taken, and wait is how long it
// takes until there is one.
func (b *buckets) take(key string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	element, ok := b.byKey[key]
	if ok {
		b.order.MoveToFront(element)
	} else {
		element = b.order.PushFront(&bucket{key, rate.NewLimiter(rate.Limit(b.limit.PerSecond), b.limit.Burst)})
		b.byKey[key] = element
		if b.order.Len() > b.kept {
			oldest := b.order.Remove(b.order.Back()).(*bucket) //nolint:forcetypeassert // nothing else is in it
			delete(b.byKey, oldest.key)
		}
	}
	reservation := element.Value.(*bucket).limiter.ReserveN(now, 1) //nolint:forcetypeassert // as above
	if !reservation.OK() {
		return time.Minute // a burst of zero: nobody at all
	}
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// len is the number of buckets that are kept.
func (b *buckets) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.order.Len()
}

// limiter charges the subject before its issuer: a subject that is held back costs its neighbours nothing.
type limiter struct{ issuers, subjects *buckets }

func newLimiter(l Limits) *limiter {
	return &limiter{issuers: newBuckets(l.Issuer, bucketsKept), subjects: newBuckets(l.Subject, bucketsKept)}
}

// take charges one exchange. by says whose limit was reached: subject, issuer, or empty for none.
func (l *limiter) take(issuer, subject string, now time.Time) (by string, wait time.Duration) {
	if wait = l.subjects.take(issuer+"\x00"+subject, now); wait > 0 {
		return "subject", wait
	}
	if wait = l.issuers.take(issuer, now); wait > 0 {
		return "issuer", wait
	}
	return "", 0
}
