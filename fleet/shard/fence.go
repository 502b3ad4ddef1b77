package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// ErrFenced says that this replica may not write now: it has not renewed its Lease for too long, so that others may be
// about to take its clusters over.
var ErrFenced = errors.New("this replica may not write until its Lease is renewed")

// Fence lets writes through for a while after each renewal. It is closed to begin with. Its methods do not wait, and
// may be called from any goroutine.
type Fence struct {
	clock   clock.WithDelayedExecution
	open    time.Duration // after the begin of a renewal
	refused atomic.Int64

	mu    sync.Mutex
	since time.Time // the begin of the last renewal; zero: closed
	// until ends with the fence's closing, and with it every write that is under way.
	until  context.Context //nolint:containedctx // it is the life of the writes
	cancel context.CancelCauseFunc
	timer  clock.Timer
}

// newFence returns a fence that stays open for duration less margin.
func newFence(clk clock.WithDelayedExecution, duration, margin time.Duration) *Fence {
	return &Fence{clock: clk, open: duration - margin}
}

// renewed says that a renewal which began at start has succeeded.
func (f *Fence) renewed(start time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.open - elapsed(start, f.clock.Now())
	if left <= 0 {
		return
	}
	f.since = start
	if f.until == nil || f.until.Err() != nil {
		f.until, f.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // it ends when the fence closes, whoever opened it
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.timer = f.clock.AfterFunc(left, func() { go f.lapse() }) // it asks the clock, which may be busy calling
}

// lapse breaks off what is under way, if the time has really come.
func (f *Fence) lapse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isOpen() {
		f.shut()
	}
}

// close closes the fence at once.
func (f *Fence) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Time{}
	f.shut()
}

func (f *Fence) shut() {
	if f.cancel != nil {
		f.cancel(ErrFenced)
	}
	if f.timer != nil {
		f.timer.Stop()
	}
}

func (f *Fence) isOpen() bool {
	return !f.since.IsZero() && elapsed(f.since, f.clock.Now()) < f.open
}

// Open reports whether a write may begin now.
func (f *Fence) Open() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isOpen()
}

// enter returns what ends a write that begins now.
func (f *Fence) enter() (context.Context, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isOpen() {
		f.refused.Add(1)
		return nil, ErrFenced
	}
	return f.until, nil
}

// elapsed is how long ago something was, by whichever of the clocks says more: the monotonic one stands still while
// the machine sleeps, and the other one can be set back.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// Wrap returns rt with the fence around what writes. Reads pass, and so do reviews, which ask a question by POST.
// A write is looked at again when its body is sent, since a process may stand still in between; and it is
// broken off when the fence closes.
func (f *Fence) Wrap(rt http.RoundTripper) http.RoundTripper { return &fenced{rt, f} }

type fenced struct {
	http.RoundTripper
	fence *Fence
}

// WrappedRoundTripper lets client-go find what is underneath.
func (t *fenced) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t *fenced) RoundTrip(req *http.Request) (*http.Response, error) {
	if !writes(req) {
		return t.RoundTripper.RoundTrip(req)
	}
	until, err := t.fence.enter()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	detach := context.AfterFunc(until, func() { cancel(ErrFenced) })
	done := func() { detach(); cancel(nil) }
	out := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = &fencedBody{req.Body, t.fence}
		if req.GetBody != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := req.GetBody()
				return &fencedBody{body, t.fence}, err
			}
		}
	}
	resp, err := t.RoundTripper.RoundTrip(out)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, ErrFenced) && req.Context().Err() == nil {
			err = fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, ErrFenced)
		}
		done()
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // a stream from here on
		detach()
		return resp, nil
	}
	resp.Body = &answered{resp.Body, done}
	return resp, nil
}

type fencedBody struct {
	io.ReadCloser
	fence *Fence
}

// Read implements io.Reader.
func (b *fencedBody) Read(p []byte) (int, error) {
	if !b.fence.Open() {
		return 0, ErrFenced
	}
	return b.ReadCloser.Read(p)
}

type answered struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (b *answered) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// writes reports whether a request changes anything.
func writes(req *http.Request) bool {
	switch req.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return false
	}
	path := strings.TrimSuffix(req.URL.Path, "/")
	asks := req.Method == http.MethodPost && strings.HasSuffix(path, "reviews") &&
		(strings.Contains(path, "/apis/authentication.k8s.io/") || strings.Contains(path, "/apis/authorization.k8s.io/"))
	return !asks
}
