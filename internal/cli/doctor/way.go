package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// checkWay follows the way to the API server without showing a credential, and reports whether it led there.
func (e *examination) checkWay(ctx context.Context) bool {
	server, err := url.Parse(e.endpoint.Server)
	if err != nil || server.Scheme != "https" || server.Hostname() == "" {
		e.add("spec", Error, e.mend().Move(), "server %q is not https:// with a host", e.endpoint.Server)
		return false
	}
	proxy, err := e.proxy(server)
	if err != nil {
		e.add("proxy", Error, e.mend().Set("proxyURL", "http://PROXY:PORT"), "proxyURL is no URL")
		return false
	}
	via, check := server, "tcp"
	if proxy != nil {
		via, check = proxy, "proxy"
	}
	return e.checkDNS(ctx, via) && e.checkTCP(ctx, check, via) && e.checkServer(ctx, server, proxy)
}

// proxy is what the connection goes through: the spec's, or that of our own environment.
func (e *examination) proxy(server *url.URL) (*url.URL, error) {
	if e.endpoint.ProxyURL != "" {
		return url.Parse(e.endpoint.ProxyURL)
	}
	return http.ProxyFromEnvironment(&http.Request{URL: server})
}

func (e *examination) checkDNS(ctx context.Context, via *url.URL) bool {
	host := via.Hostname()
	if net.ParseIP(host) != nil {
		e.ok("dns", "%s is an address, no name to look up", host)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		e.add("dns", Error, e.mend().Set("server", "https://HOST:PORT"), "looking up %s: %s", host, reasonOf(err))
		return false
	}
	e.ok("dns", "%s is %s", host, strings.Join(addresses, ", "))
	return true
}

func (e *examination) checkTCP(ctx context.Context, check string, via *url.URL) bool {
	address := net.JoinHostPort(via.Hostname(), portOf(via))
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	started := e.Clock.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		e.add(check, Error, "if it moved: "+e.mend().Move()+"; otherwise start it, or open the way to it, and try: nc -vz "+via.Hostname()+" "+portOf(via),
			"connecting to %s: %s", address, reasonOf(err))
		return false
	}
	_ = conn.Close()
	e.ok(check, "%s accepts connections after %s", address, e.Clock.Since(started).Round(100*time.Microsecond))
	return true
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "socks5": "1080"}[u.Scheme] + map[string]string{"https": "443"}[u.Scheme]
}

// checkServer asks for the version over TLS, as nobody, and looks at the certificate on the way.
func (e *examination) checkServer(ctx context.Context, server, proxy *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	seen := &certificate{now: e.Clock.Now(), name: e.endpoint.TLSServerName}
	if seen.name == "" {
		seen.name = server.Hostname()
	}
	if len(e.endpoint.CAData) > 0 {
		seen.roots = x509.NewCertPool()
		if !seen.roots.AppendCertsFromPEM(e.endpoint.CAData) {
			e.add("tls", Error, e.mend().Trust(), "caData holds no PEM certificate")
			return false
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyURL(proxy),
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			ServerName: e.endpoint.TLSServerName,
			// Verified by seen.verify, which tells more of what is wrong. No credential is shown here.
			InsecureSkipVerify: true, //nolint:gosec // see above
			VerifyConnection:   seen.verify,
		},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(e.endpoint.Server, "/")+"/version", nil)
	if err != nil {
		e.add("spec", Error, e.mend().Move(), "server %q is no address", e.endpoint.Server)
		return false
	}
	req.Header.Set("User-Agent", e.UserAgent)
	sent := e.Clock.Now()
	resp, err := transport.RoundTrip(req)
	if e.tellTLS(seen, err) {
		return false
	}
	if err != nil {
		e.add("kubernetes", Error, "see what the server itself says: its logs, and those of load balancers before it", "asking for /version: %s", reasonOf(err))
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	e.tellClock(sent, resp.Header.Get("Date"))
	return e.tellKubernetes(resp)
}

// certificate is what the server presented, and what is wrong with it.
type certificate struct {
	roots *x509.CertPool // nil: the system's
	name  string
	now   time.Time

	leaf   *x509.Certificate
	signer string
	err    error
}

func (c *certificate) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		c.err = errors.New("the server presents no certificate")
		return c.err
	}
	c.leaf = state.PeerCertificates[0]
	c.signer = c.leaf.Issuer.String()
	between := x509.NewCertPool()
	for _, other := range state.PeerCertificates[1:] {
		between.AddCert(other)
	}
	_, c.err = c.leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, DNSName: c.name, CurrentTime: c.now})
	return c.err
}

// tellTLS reports whether TLS is what failed.
func (e *examination) tellTLS(seen *certificate, err error) (failed bool) {
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case seen.leaf == nil && errors.As(err, &record):
		e.add("tls", Error, e.mend().Set("server", "https://HOST:PORT"), "the server does not speak TLS at this port")
	case seen.leaf == nil && err != nil:
		e.add("tls", Error, "see whether the API server is overloaded, or something on the way swallows its answers", "no TLS handshake: %s", reasonOf(err))
	case seen.err == nil:
		e.ok("tls", "certificate for %s, signed by %s, good until %s", seen.name, seen.signer, stamp(seen.leaf.NotAfter))
		return false
	case errors.As(seen.err, &unknown):
		e.add("tls", Error, e.mend().Trust(), "the server's certificate is signed by %s, which is not in caData: the CA changed, or this is another server", seen.signer)
	case errors.As(seen.err, &wrongName):
		e.add("tls", Error, e.mend().Set("tlsServerName", firstName(seen.leaf)), "the server's certificate is for %s, not for %s", namesOf(seen.leaf), seen.name)
	case errors.As(seen.err, &invalid) && invalid.Reason == x509.Expired:
		e.add("tls", Error, "renew it in the remote cluster (kubeadm certs renew apiserver), or look at the clock here", "the server's certificate is good from %s to %s, and now it is %s",
			stamp(seen.leaf.NotBefore), stamp(seen.leaf.NotAfter), stamp(seen.now))
	default:
		e.add("tls", Error, e.mend().Trust(), "the server's certificate cannot be trusted: %s", seen.err)
	}
	return true
}

func namesOf(leaf *x509.Certificate) string {
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return strings.Join(names, ", ")
}

func firstName(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return "NAME"
}

// maxSkew is how far clocks may be apart, as package connection has it.
const maxSkew = time.Minute

func (e *examination) tellClock(sent time.Time, date string) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		e.add("clock", Skipped, "", "the server tells no time")
		return
	}
	now := e.Clock.Now()
	skew := theirs.Add(500 * time.Millisecond).Sub(sent.Add(now.Sub(sent) / 2)) // the header has whole seconds
	if skew.Abs() > maxSkew {
		way := "ahead of"
		if skew < 0 {
			way = "behind"
		}
		e.add("clock", Error, "chronyc tracking (on both sides)", "the server's clock is %s %s the one here", skew.Abs().Round(time.Second), way)
		return
	}
	e.ok("clock", "less than %s apart", max(skew.Abs().Truncate(time.Second)+time.Second, 2*time.Second))
}

func (e *examination) tellKubernetes(resp *http.Response) bool {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var answer struct{ Kind, GitVersion string }
	known := err == nil && json.Unmarshal(body, &answer) == nil && (answer.GitVersion != "" || answer.Kind == "Status")
	switch {
	case resp.StatusCode >= 500:
		e.add("kubernetes", Error, "see what the server itself says: its logs, and those of load balancers before it", "/version answers %s", resp.Status)
		return false
	case !known:
		e.add("kubernetes", Error, e.mend().Set("server", "https://HOST:PORT"), "the server is no Kubernetes API server: /version answers %s, without a version", resp.Status)
		return false
	case answer.GitVersion != "":
		e.ok("kubernetes", "it is a Kubernetes API server, %s", answer.GitVersion)
	default:
		e.ok("kubernetes", "it is a Kubernetes API server, and tells its version to nobody unknown")
	}
	return true
}

// reasonOf is the cause of a network error in few words.
func reasonOf(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %s", stepTimeout)
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}
