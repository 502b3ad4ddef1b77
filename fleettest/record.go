package fleettest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Request is what an HTTPProxy remembers of one request. It holds no credential.
type Request struct {
	Time          time.Time
	Method        string
	Path          string
	Query         url.Values
	Authorization bool // whether the header was there
	ClientCert    bool // whether a certificate was shown, right or wrong
	UserAgent     string
}

// Requests returns what has come so far, in order.
func (p *HTTPProxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Count counts the requests so far by method and path: Count()["GET /version"].
func (p *HTTPProxy) Count() map[string]int {
	counts := map[string]int{}
	for _, r := range p.Requests() {
		counts[r.Method+" "+r.Path]++
	}
	return counts
}

func (p *HTTPProxy) record(r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, Request{
		Time: time.Now(), Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(),
		Authorization: r.Header.Get("Authorization") != "",
		ClientCert:    r.TLS != nil && len(r.TLS.PeerCertificates) > 0,
		UserAgent:     r.UserAgent(),
	})
	hooks := slices.Clone(p.hooks)
	p.mu.Unlock()
	for _, hook := range hooks {
		hook(r)
	}
}

// WatchEnd says how a watch ended.
type WatchEnd string

// The ends of a watch.
const (
	WatchOpen      WatchEnd = "open"      // it has not ended
	WatchEnded     WatchEnd = "ended"     // the server ended it cleanly
	WatchBroken    WatchEnd = "broken"    // a fault of the proxy or an error of the server cut it
	WatchCancelled WatchEnd = "cancelled" // the client went away
)

// A Watch is what an HTTPProxy remembers of a watch that the API server answered.
type Watch struct {
	Path    string
	Query   url.Values
	Status  int // of the answer
	Started time.Time
	Ended   time.Time // zero while it is open
	End     WatchEnd
}

// Watches returns the watches so far, in the order in which they began.
func (p *HTTPProxy) Watches() []Watch {
	p.mu.Lock()
	records := slices.Clone(p.watches)
	p.mu.Unlock()
	var watches []Watch
	for _, r := range records {
		r.mu.Lock()
		if r.Status != 0 {
			watches = append(watches, r.Watch)
		}
		r.mu.Unlock()
	}
	return watches
}

// watchRecord follows one watch.
type watchRecord struct {
	mu    sync.Mutex
	Watch            // Status is 0 until the API server has answered
	drops func() int // how often the proxy has dropped connections
	began int        // drops at the start
}

type watchKey struct{}

func isWatch(r *http.Request) bool {
	watch, err := strconv.ParseBool(r.URL.Query().Get("watch"))
	return r.Method == http.MethodGet && err == nil && watch
}

// recordWatch begins a record, and shortens the watch if it was told to.
func (p *HTTPProxy) recordWatch(r *http.Request, timeout time.Duration) *http.Request {
	query := r.URL.Query()
	rec := &watchRecord{
		Watch: Watch{Path: r.URL.Path, Query: query, Started: time.Now(), End: WatchOpen},
		drops: p.dropCount, began: p.dropCount(),
	}
	p.mu.Lock()
	p.watches = append(p.watches, rec)
	p.mu.Unlock()
	// The reverse proxy keeps the context of the request, which is how the answer finds its record.
	r = r.WithContext(context.WithValue(r.Context(), watchKey{}, rec))
	if timeout > 0 {
		short := *r.URL
		query := r.URL.Query()
		query.Set("timeoutSeconds", strconv.Itoa(max(1, int(timeout.Seconds()))))
		short.RawQuery = query.Encode()
		r.URL = &short
	}
	return r
}

func (p *HTTPProxy) followWatch(resp *http.Response) {
	rec, ok := resp.Request.Context().Value(watchKey{}).(*watchRecord)
	if !ok {
		return
	}
	rec.mu.Lock()
	rec.Status = resp.StatusCode
	rec.mu.Unlock()
	resp.Body = &watchBody{ReadCloser: resp.Body, record: rec, ctx: resp.Request.Context()}
}

// watchBody sees how the stream of a watch ends.
type watchBody struct {
	io.ReadCloser
	record *watchRecord
	ctx    context.Context //nolint:containedctx // of the client's request
}

func (b *watchBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	switch {
	case errors.Is(err, io.EOF):
		b.record.finish(WatchEnded)
	case err != nil:
		b.record.finish(b.cause())
	}
	return n, err
}

func (b *watchBody) Close() error {
	b.record.finish(b.cause())
	return b.ReadCloser.Close()
}

// cause tells a client that left from a connection that we have cut.
func (b *watchBody) cause() WatchEnd {
	if b.ctx.Err() != nil && b.record.drops() == b.record.began {
		return WatchCancelled
	}
	return WatchBroken
}

// finish counts only the first end: every body is closed in the end.
func (r *watchRecord) finish(end WatchEnd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.End == WatchOpen {
		r.End, r.Ended = end, time.Now()
	}
}
