package awstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// Options of a server. The zero value is a good one.
type Options struct {
	// Clock that AWS's time comes from. Default: the real one.
	Clock clock.PassiveClock
	// Region that Env names, and that unsigned requests are for. Default: eu-north-1.
	Region string
	// Address to listen on, for programs that come back at the same one. Default: 127.0.0.1 and any free port.
	Address string
}

// A Server is all of AWS behind one address. Its methods, and those of everything made from it, may be called
// at the same time.
type Server struct {
	// URL is the endpoint of STS, EKS and IAM, http://127.0.0.1:PORT.
	URL string

	clock  clock.PassiveClock
	region string
	http   *http.Server
	served chan struct{} // closed when http has ended
	// transport is not the default one, which may be set to Transport.
	transport *http.Transport
	done      chan struct{} // closed by Close, for the requests that hang
	once      sync.Once

	mu       sync.Mutex
	skew     time.Duration
	accounts map[string]*Account
	keys     map[string]*accessKey // by access key ID
	pods     map[string]podIdentity
	disabled map[string]bool // regions
	faults   []*fault
	calls    []*Call
}

// Start starts a server that ends with the test.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New starts a server for programs that are no tests. It ends by Close.
func New(opts Options) (*Server, error) {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Region == "" {
		opts.Region = "eu-north-1"
	}
	if opts.Address == "" {
		opts.Address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("listening for AWS: %w", err)
	}
	s := &Server{
		URL:       "http://" + l.Addr().String(),
		clock:     opts.Clock,
		region:    opts.Region,
		served:    make(chan struct{}),
		done:      make(chan struct{}),
		transport: &http.Transport{},
		accounts:  map[string]*Account{},
		keys:      map[string]*accessKey{},
		pods:      map[string]podIdentity{},
		disabled:  map[string]bool{},
	}
	s.http = newHTTPServer(s.handler())
	s.http.Addr = l.Addr().String()
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // returns when it is closed
	}()
	return s, nil
}

// newHTTPServer logs nothing: what goes wrong is an answer, and a line of a log could hold a token.
func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
}

// Close ends the server and the requests that hang.
func (s *Server) Close() {
	s.once.Do(func() { close(s.done) })
	s.http.Close()
	<-s.served
	s.transport.CloseIdleConnections()
}

// now is AWS's time. The caller holds the lock.
func (s *Server) now() time.Time { return s.clock.Now().Add(s.skew).UTC() }

// time is now for those who do not hold the lock.
func (s *Server) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// SkewClock sets how far AWS's clock, which is also the Date of each answer, runs before the injected one.
func (s *Server) SkewClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// DisableRegion makes a region one that no account has activated.
func (s *Server) DisableRegion(region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled[region] = true
}

// EnableRegion ends DisableRegion.
func (s *Server) EnableRegion(region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.disabled, region)
}

// ExpireSessions ends the sessions of a role now; those of every role if it is nil.
func (s *Server) ExpireSessions(role *Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		if key.session != nil && (role == nil || key.session.role == role) {
			key.expires = s.now()
			key.session.Expires = key.expires
		}
	}
}

// errClosed is why a request that hung ended.
var errClosed = errors.New("the server is closed")

// wait returns when the fault has ended, and an error when the client or the server has gone first.
func (s *Server) wait(ctx context.Context, healed <-chan struct{}) error {
	select {
	case <-healed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
}
