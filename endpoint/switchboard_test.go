package endpoint_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
)

// switchboard is the way to a cluster, as a connection is: the same for its users, whatever is behind it.
type switchboard struct {
	t *testing.T

	mu       sync.Mutex
	to       http.RoundTripper // nil: cut
	host     string
	life     context.Context // of what runs over it
	end      context.CancelFunc
	politely *atomic.Bool // what ends is ended as a server does that goes down
	edit     func(*http.Request)
	hold     func(*http.Request) bool
	free     chan struct{}
	seen     []string
}

func switchTo(t *testing.T, c *fleettest.Cluster) *switchboard {
	t.Helper()
	s := &switchboard{t: t}
	s.turn(c)
	t.Cleanup(func() { s.cut() })
	return s
}

func (s *switchboard) config() *rest.Config {
	return &rest.Config{Host: "https://cluster.invalid", Transport: s, QPS: -1}
}

// turn lets another cluster answer, or the same again. What runs is cut.
func (s *switchboard) turn(c *fleettest.Cluster) {
	s.t.Helper()
	config := c.AdminConfig()
	to, err := rest.TransportFor(config)
	if err != nil {
		s.t.Fatal(err)
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.host, s.politely = to, u.Host, &atomic.Bool{}
	s.life, s.end = context.WithCancel(context.Background())
}

// cut lets nothing through.
func (s *switchboard) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
	}
	s.to = nil
}

// dismiss ends what runs as a server does that goes down, and is there again at once.
func (s *switchboard) dismiss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.politely.Store(true)
	s.end()
	s.politely = &atomic.Bool{}
	s.life, s.end = context.WithCancel(context.Background())
}

// holding holds the requests that match, until release is called.
func (s *switchboard) holding(match func(*http.Request) bool) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := make(chan struct{})
	s.hold, s.free = match, free
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		close(free)
	})
}

func (s *switchboard) editing(edit func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edit = edit
}

// count is how many requests had some texts in their address.
func (s *switchboard) count(texts ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range s.seen {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(uri, text) }) {
			n++
		}
	}
	return n
}

func (s *switchboard) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r.URL.RequestURI())
	hold, free, edit := s.hold, s.free, s.edit
	s.mu.Unlock()
	if hold != nil && hold(r) {
		select {
		case <-free:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	s.mu.Lock()
	to, host, life, politely := s.to, s.host, s.life, s.politely
	s.mu.Unlock()
	if to == nil {
		return nil, errors.New("the way is cut")
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(life, cancel)
	r = r.Clone(ctx)
	r.URL.Host = host
	if edit != nil {
		edit(r)
	}
	resp, err := to.RoundTrip(r)
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	resp.Body = &mortalBody{resp.Body, life, cancel, politely}
	return resp, nil
}

type mortalBody struct {
	io.ReadCloser
	life     context.Context
	cancel   context.CancelFunc
	politely *atomic.Bool
}

func (b *mortalBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.life.Err() != nil { // what is sent after the cut does not come through, also where the way is slow to end
		n, err = 0, b.life.Err()
	}
	if err != nil && b.politely.Load() {
		return n, io.EOF
	}
	return n, err
}

func (b *mortalBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// forbidding asks for sets of addresses as somebody who may not read them.
type forbidding struct{ *switchboard }

func (f forbidding) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/networksets") {
		r = r.Clone(r.Context())
		r.Header.Set("Impersonate-User", "somebody")
	}
	return f.switchboard.RoundTrip(r)
}
