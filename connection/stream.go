package connection

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	httpstreamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// streamPing is how often an upgraded connection is asked for a sign of life; kubectl uses the same.
const streamPing = 5 * time.Second

// Upgrader returns what exec, attach and port-forward need, over the same address, trust and
// credential as everything else; client-go's own would take none of them from the connection's
// Config. Make a pair for each stream:
//
//	rt, upgrader := conn.Upgrader()
//	remotecommand.NewSPDYExecutorForTransports(rt, upgrader, "POST", url)
//	portforward.New(spdy.NewDialer(upgrader, &http.Client{Transport: rt}, "POST", url), …)
//
// where url is https://<name>/api/v1/namespaces/…. A stream lives on when the credential that it
// began with is replaced.
func (c *Connection) Upgrader() (http.RoundTripper, spdy.Upgrader) {
	u := &upgrader{c: c}
	return u, spdy.NewUpgraderForStreaming(u)
}

type upgrader struct {
	c     *Connection
	inner *httpstreamspdy.SpdyRoundTripper
}

// RoundTrip implements http.RoundTripper for the one request that is upgraded.
func (u *upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	l, err := u.c.transport.usable()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	tlsConfig := l.gen.tls.Clone()
	tlsConfig.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrades
	u.inner, err = httpstreamspdy.NewRoundTripperWithConfig(httpstreamspdy.RoundTripperConfig{
		TLS: tlsConfig, Proxier: l.gen.http.Proxy, PingPeriod: streamPing,
	})
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := u.inner.RoundTrip(l.gen.rewrite(req.Context(), req, l.cred))
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		u.c.renewer.Refused(l.cred)
	}
	return resp, err
}

// NewConnection implements httpstream.UpgradeRoundTripper.
func (u *upgrader) NewConnection(resp *http.Response) (httpstream.Connection, error) {
	conn, err := u.inner.NewConnection(resp)
	if err != nil {
		return nil, err
	}
	u.c.streams.add(conn)
	return conn, nil
}

// streams are the upgraded connections under way, to be ended with the link.
type streams struct {
	mu   sync.Mutex
	open map[httpstream.Connection]struct{}
}

func (s *streams) add(conn httpstream.Connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[httpstream.Connection]struct{}{}
	}
	s.open[conn] = struct{}{}
	go func() { // ends with the stream
		<-conn.CloseChan()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, conn)
	}()
}

func (s *streams) end() {
	s.mu.Lock()
	all := make([]httpstream.Connection, 0, len(s.open))
	for conn := range s.open {
		all = append(all, conn)
	}
	s.mu.Unlock()
	for _, conn := range all {
		_ = conn.Close()
	}
}
