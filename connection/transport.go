package connection

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// live is what requests use at one moment: a generation of the transport, and
// the credential to put on them. The pair is replaced as one.
type live struct {
	gen  *generation
	cred credential.Credential
}

// transport is the one http.RoundTripper of a connection. Clients keep it for as
// long as the connection lasts, and never notice what is swapped underneath.
type transport struct {
	name    string
	live    atomic.Pointer[live]
	barred  atomic.Pointer[error] // why requests are refused, while the link itself is kept
	timeout atomic.Int64
	// refused is told of every 401, with the credential that earned it.
	refused func(credential.Credential)

	mu      sync.Mutex // held to change live and retired
	retired map[*generation]struct{}
}

// RoundTrip sends req to wherever the cluster is now, with the credential of now. A request that
// met a 401 while its credential was being replaced is sent once more with the new one.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	l, err := t.usable()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := l.gen.roundTrip(req, l.cred, t.deadline())
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	t.refused(l.cred)
	now, err := t.usable()
	if err != nil || now.cred.Equal(l.cred) || !replayable(req) {
		return resp, nil //nolint:nilerr // the 401 is the answer
	}
	again, err := replay(req)
	if err != nil {
		return resp, nil //nolint:nilerr // the 401 is the answer
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return now.gen.roundTrip(again, now.cred, t.deadline())
}

func (t *transport) deadline() time.Duration { return time.Duration(t.timeout.Load()) }

func (t *transport) usable() (*live, error) {
	if why := t.barred.Load(); why != nil {
		return nil, fmt.Errorf("cluster %q: %w", t.name, *why)
	}
	l := t.live.Load()
	if l == nil {
		return nil, fmt.Errorf("cluster %q: %w", t.name, ErrNoCredential)
	}
	return l, nil
}

// swap puts next in use. Requests under way go on over the generation that they began on.
func (t *transport) swap(next *live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if next.gen.closed.Err() != nil { // ended between its proof and now
		gen, err := next.gen.again(next.cred.Binding)
		if err != nil {
			return // it was made once already, so it can be made
		}
		next = &live{gen, next.cred}
	}
	t.put(next)
}

// put replaces what is live; what it replaces is remembered for as long as anything runs over it.
func (t *transport) put(next *live) {
	old := t.live.Swap(next)
	for gen := range t.retired {
		if gen.inUse.Load() == 0 {
			delete(t.retired, gen)
		}
	}
	if old != nil && old.gen != next.gen {
		if t.retired == nil {
			t.retired = map[*generation]struct{}{}
		}
		t.retired[old.gen] = struct{}{}
		old.gen.retire()
	}
}

// bar refuses requests and ends what runs, for as long as why is not lifted by bar(nil).
func (t *transport) bar(why error) {
	if why == nil {
		t.barred.Store(nil)
		return
	}
	if t.barred.Swap(&why) == nil {
		t.interrupt(why)
	}
}

// interrupt ends what runs, and goes on with a generation of the same kind.
func (t *transport) interrupt(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.live.Load(); l != nil {
		if gen, err := l.gen.again(l.cred.Binding); err == nil {
			t.put(&live{gen, l.cred})
		}
	}
	t.endRetired(why)
}

func (t *transport) endRetired(why error) {
	for gen := range t.retired {
		gen.end(why)
		delete(t.retired, gen)
	}
}

// end closes the transport for good.
func (t *transport) end() {
	why := error(ErrClosed)
	t.barred.Store(&why)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endRetired(why)
	if l := t.live.Load(); l != nil {
		l.gen.end(why)
	}
}

func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

func replay(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return again, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
