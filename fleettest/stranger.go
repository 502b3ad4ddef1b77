package fleettest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A Stranger is an HTTPS server that is not Kubernetes, with a CA of its own. It keeps every byte that it was
// sent, so that a test can prove that no credential was among them.
type Stranger struct {
	// URL is its address, https://127.0.0.1:PORT.
	URL string

	ca *CA

	mu          sync.Mutex
	connections int
	certs       int
	sent        bytes.Buffer
}

// NewStranger starts a stranger. It ends with the test.
func NewStranger(t testing.TB) *Stranger {
	t.Helper()
	s, stop, err := newStranger()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

func newStranger() (*Stranger, func(), error) {
	ca, err := newCA("stranger")
	if err != nil {
		return nil, nil, err
	}
	pair, err := ca.servingCert()
	if err != nil {
		return nil, nil, err
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading certificate of stranger: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listening for stranger: %w", err)
	}
	s := &Stranger{URL: "https://" + l.Addr().String(), ca: ca}
	// HTTP/1.1 only: headers of HTTP/2 are compressed, and nobody could search them.
	config := &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.certs += min(1, len(state.PeerCertificates))
			return nil
		},
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the body is kept, too
			http.Error(w, "this is not Kubernetes", http.StatusNotFound)
		}),
	}
	go server.Serve(&strangerListener{Listener: l, config: config, stranger: s}) //nolint:errcheck // returns when it is closed
	return s, func() { server.Close() }, nil
}

// CA is the PEM certificate of the stranger's CA: a client that was given it trusts the stranger.
func (s *Stranger) CA() []byte { return s.ca.pem }

// Sent returns every byte of HTTP that came, after TLS: request lines, headers and bodies.
func (s *Stranger) Sent() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.sent.Bytes())
}

// Connections counts the TCP connections, also those whose TLS failed.
func (s *Stranger) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// ClientCerts counts the connections on which a client certificate was shown.
func (s *Stranger) ClientCerts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certs
}

type strangerListener struct {
	net.Listener
	config   *tls.Config
	stranger *Stranger
}

// Accept implements net.Listener.
func (l *strangerListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.stranger.mu.Lock()
	l.stranger.connections++
	l.stranger.mu.Unlock()
	return &strangerConn{Conn: tls.Server(conn, l.config), stranger: l.stranger}, nil
}

type strangerConn struct {
	net.Conn
	stranger *Stranger
}

// Read implements net.Conn.
func (c *strangerConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	c.stranger.mu.Lock()
	defer c.stranger.mu.Unlock()
	c.stranger.sent.Write(data[:n])
	return n, err
}
