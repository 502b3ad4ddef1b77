package connection

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawser-io/hawser/credential"
)

const (
	dialTimeout = 10 * time.Second
	// An HTTP/2 connection that is silent for pingAfter is asked for a sign of life, and closed
	// pingTimeout later if none came; client-go uses the same figures.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	idleTimeout = 90 * time.Second
)

// generation is the transport to one endpoint with one client certificate or
// none. It never changes. What takes its place is a new generation; this one
// then serves out what still runs over it, and closes.
type generation struct {
	endpoint credential.Endpoint
	server   *url.URL
	cert     *credential.Certificate
	tls      *tls.Config
	http     *http.Transport
	upgrade  *http.Transport // by HTTP/1.1, for requests that change protocols: HTTP/2 knows none of that

	// closed ends every request and stream of this generation, with a cause.
	closed context.Context //nolint:containedctx // it is the generation's own life
	close  context.CancelCauseFunc

	inUse   atomic.Int64
	retired atomic.Bool

	mu    sync.Mutex
	roots []string // CA certificates that the server was verified with
}

// newGeneration dials nothing. A binding makes every handshake fail with a server that it does not admit.
func newGeneration(endpoint credential.Endpoint, cert *credential.Certificate, binding *credential.Binding) (*generation, error) {
	server, err := url.Parse(endpoint.Server)
	if err != nil || server.Scheme != "https" || server.Hostname() == "" {
		return nil, &SpecError{errors.New("server must be https:// with a host")}
	}
	g := &generation{endpoint: endpoint, server: server, cert: cert}
	g.closed, g.close = context.WithCancelCause(context.Background()) //nolint:forbidigo // a generation outlives the request that made it; close ends it
	g.tls = &tls.Config{
		MinVersion:       tls.VersionTLS12,
		ServerName:       endpoint.TLSServerName,
		VerifyConnection: func(cs tls.ConnectionState) error { return g.verify(cs, binding) },
	}
	if len(endpoint.CAData) > 0 {
		g.tls.RootCAs = x509.NewCertPool()
		if !g.tls.RootCAs.AppendCertsFromPEM(endpoint.CAData) {
			return nil, &SpecError{errors.New("caData holds no PEM certificate")}
		}
	}
	if cert != nil {
		// Always, whatever CAs the server says it knows: it is the server's to refuse.
		g.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.TLS(), nil }
	}
	proxy, err := proxyOf(endpoint)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	g.http = &http.Transport{
		Proxy:               proxy,
		DialContext:         dial,
		TLSClientConfig:     g.tls.Clone(),
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	g.upgrade = &http.Transport{
		Proxy:               proxy,
		DialContext:         dial,
		TLSClientConfig:     g.tls.Clone(),
		TLSHandshakeTimeout: dialTimeout,
		DisableKeepAlives:   true,
	}
	g.upgrade.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return g, nil
}

// proxyOf returns how to find the proxy. One that is itself reached by TLS is refused: net/http would use
// the settings, and the certificate, that are meant for the API server behind it.
func proxyOf(endpoint credential.Endpoint) (func(*http.Request) (*url.URL, error), error) {
	find := http.ProxyFromEnvironment
	if endpoint.ProxyURL != "" {
		u, err := url.Parse(endpoint.ProxyURL)
		if err != nil {
			return nil, &SpecError{errors.New("proxyURL is no URL")}
		}
		find = http.ProxyURL(u)
	}
	return func(r *http.Request) (*url.URL, error) {
		u, err := find(r)
		if err == nil && u != nil && u.Scheme == "https" {
			return nil, &SpecError{errors.New("proxies that are reached by https are not supported: use http:// or socks5://, the API server's own TLS goes through")}
		}
		return u, err
	}, nil
}

// systemRoots are read once: they do not change while we run.
var systemRoots = sync.OnceValue(func() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return pool
})

// private returns the sums of the roots that vouch for nobody but whom their owner chose.
func private(chains [][]*x509.Certificate) []string {
	var roots []string
	for _, chain := range chains {
		root := chain[len(chain)-1]
		if _, err := root.Verify(x509.VerifyOptions{Roots: systemRoots(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
			continue // trusted by everybody's system, so it vouches for strangers too
		}
		sum := sha256.Sum256(root.Raw)
		roots = append(roots, hex.EncodeToString(sum[:]))
	}
	return roots
}

// verify runs in every handshake, before anything of ours is sent.
func (g *generation) verify(cs tls.ConnectionState, binding *credential.Binding) error {
	roots := private(cs.VerifiedChains)
	if !binding.Admits(g.endpoint, roots) {
		return &UnprovenError{Server: g.endpoint.Server, Confirmed: binding.Server}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range roots {
		if !slices.Contains(g.roots, r) {
			g.roots = append(g.roots, r)
		}
	}
	return nil
}

// binding is what a credential that was proved over this generation is bound to.
func (g *generation) binding() *credential.Binding {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &credential.Binding{
		Server:        g.endpoint.Server,
		TLSServerName: g.endpoint.TLSServerName,
		CA:            credential.Fingerprint(g.endpoint.CAData),
		Roots:         slices.Clone(g.roots),
	}
}

// admits reports whether a credential with that binding may go over connections that are open already.
func (g *generation) admits(binding *credential.Binding) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return binding.Admits(g.endpoint, g.roots)
}

// serves reports whether the generation can be used to reach endpoint with cred.
func (g *generation) serves(endpoint credential.Endpoint, cred credential.Credential) bool {
	return g.closed.Err() == nil && sameEndpoint(g.endpoint, endpoint) && g.cert == cred.Certificate && g.admits(cred.Binding)
}

func sameEndpoint(a, b credential.Endpoint) bool {
	return a.Server == b.Server && string(a.CAData) == string(b.CAData) && a.TLSServerName == b.TLSServerName && a.ProxyURL == b.ProxyURL
}

// retire lets what runs over the generation end by itself, and then closes it.
func (g *generation) retire() {
	g.retired.Store(true)
	if g.inUse.Load() == 0 {
		g.hangUp()
	}
}

// again makes a generation of the same kind.
func (g *generation) again(binding *credential.Binding) (*generation, error) {
	return newGeneration(g.endpoint, g.cert, binding)
}

// hangUp closes the connections of a generation that nothing runs over any more. An HTTP/2 stream
// whose body was closed is cleaned up in the background, and counts as running for a moment longer.
func (g *generation) hangUp() {
	g.http.CloseIdleConnections()
	time.AfterFunc(time.Second, g.http.CloseIdleConnections)
}

// end stops everything at once.
func (g *generation) end(cause error) {
	g.close(cause)
	g.retire()
}

func (g *generation) release() {
	if g.inUse.Add(-1) == 0 && g.retired.Load() {
		g.hangUp()
	}
}

// roundTrip sends req with cred. Unless it is a stream, it must be over within timeout, body and
// all; of a stream that holds for the response's header.
func (g *generation) roundTrip(req *http.Request, cred credential.Credential, timeout time.Duration) (*http.Response, error) {
	g.inUse.Add(1)
	ctx, cancel := context.WithCancelCause(req.Context())
	unlink := context.AfterFunc(g.closed, func() { cancel(context.Cause(g.closed)) })
	timer := time.AfterFunc(timeout, func() { cancel(timeoutError{timeout}) })
	done := sync.OnceFunc(func() {
		timer.Stop()
		unlink()
		cancel(nil)
		g.release()
	})
	over := g.http
	if req.Header.Get("Upgrade") != "" {
		over = g.upgrade
	}
	resp, err := over.RoundTrip(g.rewrite(ctx, req, cred))
	if err != nil {
		err = causeOf(ctx, err)
		done()
		return nil, err
	}
	if isStream(req) {
		timer.Stop()
	}
	if conn, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = newUpgraded(ctx, conn, done)
	} else {
		resp.Body = &body{resp.Body, ctx, done}
	}
	return resp, nil
}

// rewrite addresses a copy of req to the generation's server.
func (g *generation) rewrite(ctx context.Context, req *http.Request, cred credential.Credential) *http.Request {
	out := req.WithContext(ctx)
	u := *req.URL
	u.Scheme, u.Host = g.server.Scheme, g.server.Host
	if prefix := strings.TrimSuffix(g.server.Path, "/"); prefix != "" {
		u.Path = prefix + u.Path
		if u.RawPath != "" {
			u.RawPath = strings.TrimSuffix(g.server.EscapedPath(), "/") + u.RawPath
		}
	}
	out.URL, out.Host = &u, ""
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Del("Authorization")
	if !cred.Token.IsZero() {
		out.Header.Set("Authorization", "Bearer "+cred.Token.Reveal())
	}
	return out
}

// isStream reports whether the answer has no natural end.
func isStream(req *http.Request) bool {
	q := req.URL.RawQuery
	if req.Header.Get("Upgrade") != "" || strings.Contains(q, "watch=true") || strings.Contains(q, "watch=1") || strings.Contains(q, "follow=true") {
		return true
	}
	return strings.Contains(req.URL.Path, "/watch/") || strings.HasSuffix(req.URL.Path, "/proxy") || strings.Contains(req.URL.Path, "/proxy/")
}

// body ends its request when it is closed or read to the end, and tells why it was cut short.
type body struct {
	inner interface {
		Read([]byte) (int, error)
		Close() error
	}
	ctx  context.Context //nolint:containedctx // asked only for the cause of its end
	done func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	if err != nil {
		err = causeOf(b.ctx, err)
		b.done()
	}
	return n, err
}

func (b *body) Close() error {
	err := b.inner.Close()
	b.done()
	return err
}

// causeOf names our own reason for ending a request instead of the bare "context canceled" that it shows as.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// timeoutError is a net.Error, so that clients treat it as the time-out that it is.
type timeoutError struct{ after time.Duration }

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
