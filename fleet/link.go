package fleet

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
)

// link is what a cluster makes of the state of its connection: whether it can be used now, and since when not.
type link struct {
	name  string
	clock clock.Clock
	conn  *connection.Connection
	made  time.Time

	reached  atomic.Bool  // the cluster has accepted the credential once
	lastGood atomic.Int64 // when a probe last succeeded, in Unix nanoseconds
	doubted  atomic.Int64 // when the link was last doubted

	mu      sync.Mutex
	changes chan struct{} // closed, and replaced, when the state has changed

	probe  func() // lets the connection be probed now
	usable func() // called, without waiting, whenever the state has changed and the link can be used
}

func newLink(name string, c clock.Clock) *link {
	return &link{name: name, clock: c, made: c.Now(), changes: make(chan struct{}), probe: func() {}, usable: func() {}}
}

// observe is told of each probe.
func (l *link) observe(p connection.Probe) {
	if p.Err == nil {
		l.lastGood.Store(l.clock.Now().UnixNano())
	}
}

// changed is told that the state of the connection has changed.
func (l *link) changed() {
	if l.conn.State().Subject != "" { // it has said who we are
		l.lastGood.CompareAndSwap(0, l.clock.Now().UnixNano())
		l.reached.Store(true)
	}
	l.mu.Lock()
	close(l.changes)
	l.changes = make(chan struct{})
	l.mu.Unlock()
	if l.err() == nil {
		l.usable()
	}
}

// accepted reports whether the last probe found the cluster with the credential in use accepted.
func accepted(s connection.State) bool {
	return s.Condition(v1alpha1.Authenticated).Status == metav1.ConditionTrue
}

// err is what keeps requests from being sent to the cluster now; nil: nothing that is known.
func (l *link) err() error {
	if e := l.verdict(l.conn.State()); e != nil {
		return e
	}
	return nil
}

func (l *link) verdict(s connection.State) *ClusterError {
	authenticated, reachable := s.Condition(v1alpha1.Authenticated), s.Condition(v1alpha1.Reachable)
	// An API server that answers, but says of itself that it is not ready, is still the one to ask.
	away := reachable.Status == metav1.ConditionFalse && reachable.Reason != v1alpha1.ReasonNotReady
	switch {
	case authenticated.Status == metav1.ConditionTrue:
		return nil
	case authenticated.Status == metav1.ConditionFalse:
		return l.because(ErrUnauthorized, authenticated)
	case away:
		return l.because(l.away(), reachable)
	case s.Subject != "":
		return nil // accepted a moment ago, not probed yet
	}
	return l.because(ErrNotReady, metav1.Condition{Reason: v1alpha1.ReasonConnecting, Message: "connecting"})
}

func (l *link) because(what error, c metav1.Condition) *ClusterError {
	return &ClusterError{Cluster: l.name, Err: what, Reason: c.Reason, Message: c.Message}
}

// hopeless is what is known to be wrong with the link; nil while it works or is being made.
func (l *link) hopeless() error {
	if e := l.verdict(l.conn.State()); e != nil && e.Reason != v1alpha1.ReasonConnecting {
		return e
	}
	return nil
}

// next is closed when the state changes.
func (l *link) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// await waits until the link can be used, or ctx ends.
func (l *link) await(ctx context.Context) error {
	for {
		changed := l.next()
		if l.err() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// away is what it means that the cluster does not answer.
func (l *link) away() error {
	if l.reached.Load() {
		return ErrUnreachable
	}
	return ErrNotReady
}

// doubtEvery is how often, at most, failing requests let the link be looked at out of turn.
const doubtEvery = time.Second

// doubt lets the link be probed now, if it is believed to work.
func (l *link) doubt() {
	now, last := l.clock.Now().UnixNano(), l.doubted.Load()
	if now-last >= int64(doubtEvery) && l.err() == nil && l.doubted.CompareAndSwap(last, now) {
		l.probe()
	}
}

// age is how long ago the link was last known to work; zero while it does.
func (l *link) age(now time.Time) time.Duration {
	if accepted(l.conn.State()) {
		return 0
	}
	since := l.made
	if l.reached.Load() {
		since = time.Unix(0, l.lastGood.Load())
	}
	return max(now.Sub(since), 0)
}

// guard stands between clients and the connection. A request that fails lets the link be looked at; one for
// a link that is known not to work fails at once, unless it is from a cache, which waits by itself: it would
// only wait for its deadline.
type guard struct {
	http.RoundTripper
	link    *link
	patient bool // of a cache
}

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.patient {
		if err := g.link.err(); err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
	}
	resp, err := g.RoundTripper.RoundTrip(r)
	if err == nil || r.Context().Err() != nil {
		return resp, err
	}
	g.link.doubt()
	if g.patient || utilnet.IsProbableEOF(err) { // which clients repeat, if they recognise it
		return nil, err
	}
	return nil, &ClusterError{Cluster: g.link.name, Err: g.link.away(), Cause: err}
}

// WrappedRoundTripper lets client-go find what is underneath.
func (g guard) WrappedRoundTripper() http.RoundTripper { return g.RoundTripper }

// options are those of a connection, with the link told of what it learns.
func (l *link) options(o connection.Options) connection.Options {
	tell, observe := o.Changed, o.Observe
	o.Changed = func() {
		l.changed()
		if tell != nil {
			tell()
		}
	}
	o.Observe = func(p connection.Probe) {
		l.observe(p)
		if observe != nil {
			observe(p)
		}
	}
	return o
}
