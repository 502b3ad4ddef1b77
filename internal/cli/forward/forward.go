// Package forward owns connections to a port of a pod through the pod's API server, as kubectl port-forward makes
// them, but for one program alone: no port of this machine is opened that others could use, too.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Client returns a client whose requests, whatever host they name, go to a port of a pod. It takes the right to get
// and create pods/portforward.
func Client(config *rest.Config, kube kubernetes.Interface, namespace, pod string, port int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // each request has a connection of its own, that ends with it
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, config, kube, namespace, pod, port)
		},
	}}
}

// dial opens a connection. It fails with ctx.
func dial(ctx context.Context, config *rest.Config, kube kubernetes.Interface, namespace, pod string, port int) (net.Conn, error) {
	dialer, err := dialerFor(config, kube, namespace, pod)
	if err != nil {
		return nil, err
	}
	type result struct {
		link httpstream.Connection
		err  error
	}
	dialed := make(chan result, 1)
	go func() { // ends with the API server's answer, which no deadline of ours reaches
		link, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		dialed <- result{link, err}
	}()
	select {
	case r := <-dialed:
		if r.err != nil {
			return nil, r.err
		}
		c, err := open(r.link, port)
		if err != nil {
			_ = r.link.Close()
		}
		return c, err
	case <-ctx.Done():
		go func() { // ends with the one above
			if r := <-dialed; r.link != nil {
				_ = r.link.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// dialerFor tries a WebSocket first, which proxies let through, and then SPDY, which old API servers want.
func dialerFor(config *rest.Config, kube kubernetes.Interface, namespace, pod string) (httpstream.Dialer, error) {
	url := kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a port-forward: %w", err)
	}
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(url, config)
	if err != nil {
		return nil, fmt.Errorf("preparing a port-forward: %w", err)
	}
	fallback := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	return portforward.NewFallbackDialerForStreaming(websocket, fallback, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// open opens the two streams of one forwarded connection.
func open(link httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	faults, err := link.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("forwarding port %d: %w", port, err)
	}
	_ = faults.Close() // we write nothing there
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := link.CreateStream(headers)
	if err != nil {
		return nil, fmt.Errorf("forwarding port %d: %w", port, err)
	}
	c := &conn{Stream: data, link: link, ended: make(chan struct{})}
	go func() { // ends with the link
		defer close(c.ended)
		text, _ := io.ReadAll(io.LimitReader(faults, maxFault))
		if len(text) > 0 {
			c.fault = fmt.Errorf("forwarding port %d: %s", port, strings.TrimSpace(string(text)))
		}
	}()
	return c, nil
}

const (
	maxFault = 4 << 10
	// faultPatience is how long after the end of the data its reason may take.
	faultPatience = time.Second
)

// conn is a forwarded connection.
type conn struct {
	httpstream.Stream
	link  httpstream.Connection
	ended chan struct{} // the pod's side has said all about faults
	fault error         // once that has ended
}

// Read implements net.Conn. Where the pod's side failed, it says how, rather than that the data ended.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err == nil {
		return n, nil
	}
	patience := time.NewTimer(faultPatience)
	defer patience.Stop()
	select {
	case <-c.ended:
		if c.fault != nil {
			return n, c.fault
		}
	case <-patience.C:
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error { return c.link.Close() }

var errNoDeadline = errors.New("a forwarded connection takes no deadlines")

// LocalAddr implements net.Conn.
func (*conn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (*conn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn.
func (*conn) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline implements net.Conn.
func (*conn) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline implements net.Conn.
func (*conn) SetWriteDeadline(time.Time) error { return errNoDeadline }
