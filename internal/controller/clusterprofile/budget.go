package clusterprofile

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

// What the KEP lets a ClusterProfile be written: once in thirty seconds on average, and ten times in a row.
const (
	writeEvery = 30 * time.Second
	writeBurst = 10
)

// budget holds the writes of each ClusterProfile to what the KEP allows.
type budget struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// take takes a write from the budget of a ClusterProfile, or says how long there is none.
func (b *budget) take(name string) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter := b.limiters[name]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(writeEvery), writeBurst)
		if b.limiters == nil {
			b.limiters = map[string]*rate.Limiter{}
		}
		b.limiters[name] = limiter
	}
	now := b.clock.Now()
	r := limiter.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// forget drops the budget of a ClusterProfile that is gone.
func (b *budget) forget(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.limiters, name)
}
