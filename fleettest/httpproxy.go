package fleettest

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// An HTTPProxy ends TLS in front of an API server, with a certificate of the cluster's own CA, and misbehaves on
// the level of HTTP. Client certificates are verified here, and their users handed on as a front proxy does.
// It has every fault of a Proxy as well, and its methods may be called at any time.
type HTTPProxy struct {
	*Proxy // what clients connect to

	server    *http.Server
	clientCAs *x509.CertPool
	plain     *httputil.ReverseProxy // for requests with a token, or with nothing
	front     *httputil.ReverseProxy // for requests whose user we vouch for

	mu       sync.Mutex
	http     httpFaults
	changed  chan struct{}
	hooks    []func(*http.Request)
	requests []Request
	watches  []*watchRecord
}

type httpFaults struct {
	blackHole    bool
	shift        time.Duration
	failures     []failure
	watchTimeout time.Duration
}

type failure struct {
	status int
	match  func(*http.Request) bool
}

// HTTPProxy starts a proxy in front of the API server. It ends with the test.
func (c *Cluster) HTTPProxy(t testing.TB) *HTTPProxy {
	t.Helper()
	p, err := c.NewHTTPProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// NewHTTPProxy is HTTPProxy for programs that are not tests: close it.
func (c *Cluster) NewHTTPProxy() (*HTTPProxy, error) {
	p := &HTTPProxy{changed: make(chan struct{}), clientCAs: x509.NewCertPool()}
	if err := p.dialBy(c); err != nil {
		return nil, err
	}
	pair, err := c.keyPair("ca")
	if err != nil {
		return nil, err
	}
	ca, err := parseCA(pair)
	if err != nil {
		return nil, err
	}
	serving, err := ca.servingCert(c.Name + ".devfleet.local")
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(serving.cert, serving.key)
	if err != nil {
		return nil, fmt.Errorf("reading certificate of proxy: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for proxy: %w", err)
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // connections that break are what this is for
		// As the API server does: a certificate is asked for, and a wrong one is answered with 401.
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert},
	}
	go p.server.ServeTLS(l, "", "") //nolint:errcheck // returns when it is closed
	if p.Proxy, err = newProxy(c, l.Addr().String()); err != nil {
		p.server.Close()
	}
	return p, err
}

// dialBy sets up the way to the API server.
func (p *HTTPProxy) dialBy(c *Cluster) error {
	target, err := url.Parse(c.Server)
	if err != nil {
		return fmt.Errorf("parsing address of cluster %q: %w", c.Name, err)
	}
	clientCA, err := c.keyPair("client-ca")
	if err != nil {
		return err
	}
	p.clientCAs.AppendCertsFromPEM(clientCA.cert)
	pair, err := c.keyPair("front-proxy-client")
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return fmt.Errorf("reading front-proxy certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca)
	p.plain = p.reverse(target, &tls.Config{RootCAs: roots})
	p.front = p.reverse(target, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}})
	return nil
}

func (p *HTTPProxy) reverse(target *url.URL, config *tls.Config) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.SetURL(target)
		},
		Transport:      newUpstream(config),
		FlushInterval:  -1, // the events of a watch must not wait for each other
		ErrorLog:       log.New(io.Discard, "", 0),
		ModifyResponse: p.modifyResponse,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // no 502: a broken server must look like one
		},
	}
}

// upstream sends upgrades (exec, port-forward) by HTTP/1.1: HTTP/2 knows none.
type upstream struct{ any, http1 *http.Transport }

func newUpstream(config *tls.Config) upstream {
	http1 := config.Clone()
	http1.NextProtos = []string{"http/1.1"}
	return upstream{
		any: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true},
		http1: &http.Transport{
			TLSClientConfig: http1, DisableCompression: true,
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
	}
}

// RoundTrip implements http.RoundTripper.
func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return u.http1.RoundTrip(r)
	}
	if err := repeatable(r); err != nil {
		return nil, err
	}
	return u.any.RoundTrip(r)
}

// repeatable lets the transport send a request once more. API servers hang up on an HTTP/2 connection
// after a 401, and the connection to them is shared: one client's 401 must not fail another one's request.
func repeatable(r *http.Request) error {
	const most = 1 << 20
	if r.Body == nil || r.GetBody != nil || r.ContentLength <= 0 || r.ContentLength > most {
		return nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	r.Body, _ = r.GetBody()
	return nil
}

// BlackHoleHTTP takes requests and answers none until RestoreHTTP. TLS works.
func (p *HTTPProxy) BlackHoleHTTP() { p.setHTTP(func(f *httpFaults) { f.blackHole = true }) }

// ShiftDate changes the Date header of each answer by d.
func (p *HTTPProxy) ShiftDate(d time.Duration) { p.setHTTP(func(f *httpFaults) { f.shift = d }) }

// Fail answers requests that match with a status, and does not ask the API server. A nil match matches all.
func (p *HTTPProxy) Fail(status int, match func(*http.Request) bool) {
	p.setHTTP(func(f *httpFaults) { f.failures = append(f.failures, failure{status, match}) })
}

// ForceWatchTimeout makes the API server end each new watch cleanly after d, at least one second.
func (p *HTTPProxy) ForceWatchTimeout(d time.Duration) {
	p.setHTTP(func(f *httpFaults) { f.watchTimeout = d })
}

// RestoreHTTP ends every fault of HTTP. Requests in the black hole go on to the API server.
func (p *HTTPProxy) RestoreHTTP() { p.setHTTP(func(f *httpFaults) { *f = httpFaults{} }) }

// OnRequest calls observe with each request, before any fault. It must not change the request.
func (p *HTTPProxy) OnRequest(observe func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks = append(p.hooks, observe)
}

// Close ends the proxy.
func (p *HTTPProxy) Close() {
	p.Proxy.Close()
	p.server.Close()
	for _, r := range []*httputil.ReverseProxy{p.plain, p.front} {
		u := r.Transport.(upstream)
		u.any.CloseIdleConnections()
		u.http1.CloseIdleConnections()
	}
}

func (p *HTTPProxy) setHTTP(change func(*httpFaults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.http)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *HTTPProxy) currentHTTP() (httpFaults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.http, p.changed
}

func (p *HTTPProxy) serve(w http.ResponseWriter, r *http.Request) {
	p.record(r)
	f, changed := p.currentHTTP()
	for f.blackHole {
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-changed:
			f, changed = p.currentHTTP()
		}
	}
	for _, fail := range f.failures {
		if fail.match == nil || fail.match(r) {
			writeStatus(w, fail.status, f.shift)
			return
		}
	}
	if isWatch(r) {
		r = p.recordWatch(r, f.watchTimeout)
	}
	p.authenticate(w, r)
}

// authenticate hands the request on, with the user of a client certificate in the headers of a front proxy.
func (p *HTTPProxy) authenticate(w http.ResponseWriter, r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Remote-") {
			r.Header.Del(name) // only we may vouch for a user
		}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		p.plain.ServeHTTP(w, r)
		return
	}
	cert := r.TLS.PeerCertificates[0]
	_, err := cert.Verify(x509.VerifyOptions{Roots: p.clientCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	switch {
	case err == nil:
		sum := sha256.Sum256(cert.Raw)
		r.Header.Set("X-Remote-User", cert.Subject.CommonName)
		r.Header["X-Remote-Group"] = cert.Subject.Organization
		r.Header.Set("X-Remote-Extra-Authentication.kubernetes.io%2fcredential-id", "X509SHA256="+hex.EncodeToString(sum[:]))
		p.front.ServeHTTP(w, r)
	case r.Header.Get("Authorization") != "":
		p.plain.ServeHTTP(w, r)
	default:
		f, _ := p.currentHTTP()
		writeStatus(w, http.StatusUnauthorized, f.shift)
	}
}

// writeStatus answers as the API server would.
func writeStatus(w http.ResponseWriter, status int, shift time.Duration) {
	reasons := map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", time.Now().Add(shift).UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": http.StatusText(status), "reason": reasons[status], "code": status,
	})
}

func (p *HTTPProxy) modifyResponse(resp *http.Response) error {
	if f, _ := p.currentHTTP(); f.shift != 0 {
		date, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil {
			date = time.Now()
		}
		resp.Header.Set("Date", date.Add(f.shift).UTC().Format(http.TimeFormat))
	}
	p.followWatch(resp)
	return nil
}
