package connection

import (
	"context"
	"sync/atomic"

	"k8s.io/client-go/util/flowcontrol"
)

// limiter is one rate limit for all clients of a connection, adjustable while they use it.
type limiter struct {
	current atomic.Pointer[limits]
}

type limits struct {
	flowcontrol.RateLimiter
	qps   float32
	burst int
}

func newLimiter() *limiter {
	l := &limiter{}
	l.set(DefaultQPS, DefaultBurst)
	return l
}

func (l *limiter) set(qps float32, burst int) {
	if now := l.current.Load(); now != nil && now.qps == qps && now.burst == burst {
		return
	}
	l.current.Store(&limits{flowcontrol.NewTokenBucketRateLimiter(qps, burst), qps, burst})
}

// TryAccept implements flowcontrol.RateLimiter.
func (l *limiter) TryAccept() bool { return l.current.Load().TryAccept() }

// Accept implements flowcontrol.RateLimiter.
func (l *limiter) Accept() { l.current.Load().Accept() }

// Stop implements flowcontrol.RateLimiter. One client that ends does not stop the others.
func (l *limiter) Stop() {}

// QPS implements flowcontrol.RateLimiter.
func (l *limiter) QPS() float32 { return l.current.Load().QPS() }

// Wait implements flowcontrol.RateLimiter.
func (l *limiter) Wait(ctx context.Context) error { return l.current.Load().Wait(ctx) }
