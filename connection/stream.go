package connection

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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
// began with is replaced, and ends with the connection or its interruption.
func (c *Connection) Upgrader() (http.RoundTripper, spdy.Upgrader) {
	u := &upgrader{transport: c.transport}
	return u, spdy.NewUpgraderForStreaming(u)
}

type upgrader struct {
	transport *transport
	conn      *upgraded // of the one request; callers close the response's body, and must not close this with it
}

// RoundTrip implements http.RoundTripper for the one request that is upgraded.
func (u *upgrader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", httpstreamspdy.HeaderSpdy31)
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if conn, ok := resp.Body.(*upgraded); ok {
		u.conn, resp.Body = conn, http.NoBody
	}
	return resp, nil
}

// NewConnection implements httpstream.UpgradeRoundTripper.
func (u *upgrader) NewConnection(resp *http.Response) (httpstream.Connection, error) {
	if u.conn == nil || !strings.EqualFold(resp.Header.Get("Upgrade"), httpstreamspdy.HeaderSpdy31) {
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return nil, fmt.Errorf("opening a stream: reading why it was refused: %w", err)
		}
		return nil, fmt.Errorf("opening a stream: the answer is %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return httpstreamspdy.NewClientConnectionWithPings(u.conn, streamPing)
}

// upgraded is a connection that changed protocols. It is held by whoever asked for it, and closed
// with the generation that it runs over.
type upgraded struct {
	io.ReadWriteCloser
	done func()
}

func newUpgraded(ctx context.Context, conn io.ReadWriteCloser, done func()) *upgraded {
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &upgraded{conn, done}
}

// Close implements io.Closer.
func (u *upgraded) Close() error {
	err := u.ReadWriteCloser.Close()
	u.done()
	return err
}

var errNoDeadline = errors.New("an upgraded connection takes no deadlines")

// What follows makes it a net.Conn, as SPDY wants it, which asks for nothing of this.

// LocalAddr implements net.Conn.
func (*upgraded) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (*upgraded) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn.
func (*upgraded) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline implements net.Conn.
func (*upgraded) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline implements net.Conn.
func (*upgraded) SetWriteDeadline(time.Time) error { return errNoDeadline }
