package fleettest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// A Proxy stands in front of an API server and misbehaves on the level of TCP. TLS passes through it untouched,
// so that every kind of credential works. It behaves well until it is told otherwise, and its methods may be
// called at any time; what they set holds for open connections, too.
type Proxy struct {
	// URL is what to use in place of the cluster's Server.
	URL string

	cluster *Cluster
	target  string // host:port
	address string

	mu       sync.Mutex
	faults   faults
	changed  chan struct{} // closed, and replaced, when faults change
	listener net.Listener  // nil while cut
	conns    map[*proxyConn]struct{}
	stats    Stats
	drops    int
	closed   bool
}

// faults is what is wrong at the moment.
type faults struct {
	delay     time.Duration
	blackHole bool
	readRate  int // bytes each second towards the client; 0: no limit
}

// Stats count what went through a proxy.
type Stats struct {
	Accepted   int   // connections, since the beginning
	Open       int   // connections, now
	FromClient int64 // bytes
	ToClient   int64 // bytes
}

// Proxy starts a proxy in front of the API server. It ends with the test.
func (c *Cluster) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p, err := c.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// NewProxy is Proxy for programs that are not tests: close it.
func (c *Cluster) NewProxy() (*Proxy, error) {
	u, err := url.Parse(c.Server)
	if err != nil {
		return nil, fmt.Errorf("parsing address of cluster %q: %w", c.Name, err)
	}
	return newProxy(c, u.Host)
}

func newProxy(c *Cluster, target string) (*Proxy, error) {
	l, err := listenBelowEphemeral()
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		URL: "https://" + l.Addr().String(), cluster: c, target: target, address: l.Addr().String(),
		listener: l, changed: make(chan struct{}), conns: map[*proxyConn]struct{}{},
	}
	go p.accept(l)
	return p, nil
}

// listenBelowEphemeral keeps off the ports that the system gives to outgoing connections, as Restore has to get
// the same port again.
func listenBelowEphemeral() (net.Listener, error) {
	const first, last, tries = 14000, 19999, 200
	var err error
	for range tries {
		var l net.Listener
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1)))
		if err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("finding a port for a proxy: %w", err)
}

// AdminConfig is the cluster's AdminConfig by way of the proxy.
func (p *Proxy) AdminConfig() *rest.Config { return p.Through(p.cluster.AdminConfig()) }

// Through returns a copy of a config of the cluster that goes by way of the proxy.
func (p *Proxy) Through(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Host = p.URL
	return config
}

// Cut closes all connections and refuses new ones, as a server that is gone.
func (p *Proxy) Cut() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.DropConnections()
}

// Restore ends every fault of TCP.
func (p *Proxy) Restore() {
	p.set(func(f *faults) { *f = faults{} })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		// Only a program that took the port meanwhile can cause this, and no test can go on after it.
		panic(fmt.Sprintf("fleettest: restoring proxy: %v", err))
	}
	p.listener = l
	go p.accept(l)
}

// Delay holds every piece of data back, in each direction, for d.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *faults) { f.delay = d }) }

// BlackHoleTCP accepts connections and moves no byte, neither on new ones nor on open ones, until Restore.
func (p *Proxy) BlackHoleTCP() { p.set(func(f *faults) { f.blackHole = true }) }

// SlowRead lets so many bytes a second pass to the client, on each connection. 0 takes the limit away.
func (p *Proxy) SlowRead(bytesPerSecond int) {
	p.set(func(f *faults) { f.readRate = bytesPerSecond })
}

// DropConnections closes all connections once.
func (p *Proxy) DropConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops++
	for c := range p.conns {
		c.close()
	}
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Open = len(p.conns)
	return s
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
}

func (p *Proxy) dropCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drops
}

func (p *Proxy) set(change func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) current() (faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed by Cut
		}
		ctx, cancel := context.WithCancel(context.Background())
		c := &proxyConn{proxy: p, client: client, ctx: ctx, cancel: cancel}
		p.mu.Lock()
		p.stats.Accepted++
		dropped := p.listener != l // Cut came between
		if !dropped {
			p.conns[c] = struct{}{}
		}
		p.mu.Unlock()
		if dropped {
			client.Close()
			continue
		}
		go c.run()
	}
}

// proxyConn is one connection of a client with its counterpart at the server.
type proxyConn struct {
	proxy  *Proxy
	client net.Conn
	ctx    context.Context //nolint:containedctx // of this connection: it frees pumps that wait for a fault to end
	cancel context.CancelFunc

	mu     sync.Mutex
	server net.Conn // nil until dialled
}

func (c *proxyConn) close() {
	c.cancel()
	c.client.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		c.server.Close()
	}
}

func (c *proxyConn) run() {
	defer func() {
		c.close()
		c.proxy.mu.Lock()
		delete(c.proxy.conns, c)
		c.proxy.mu.Unlock()
	}()
	if c.pause(false) != nil {
		return
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(c.ctx, "tcp", c.proxy.target)
	if err != nil {
		return // the client sees its connection closed, as it would by a server that dies
	}
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	if c.ctx.Err() != nil { // closed while dialling
		return
	}
	done := make(chan struct{}, 2)
	go func() { c.pump(server, c.client, &c.proxy.stats.FromClient, false); done <- struct{}{} }()
	go func() { c.pump(c.client, server, &c.proxy.stats.ToClient, true); done <- struct{}{} }()
	<-done // HTTP has no use for a connection that is half closed
	c.close()
	<-done
}

// pump moves bytes in one direction.
func (c *proxyConn) pump(to, from net.Conn, count *int64, toClient bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			if c.pause(toClient) != nil {
				return
			}
			piece := data
			if f, _ := c.proxy.current(); toClient && f.readRate > 0 {
				piece = data[:min(len(data), max(1, f.readRate/rateSteps))]
			}
			if _, err := to.Write(piece); err != nil {
				return
			}
			c.proxy.mu.Lock()
			*count += int64(len(piece))
			c.proxy.mu.Unlock()
			data = data[len(piece):]
		}
		if err != nil {
			return
		}
	}
}

// rateSteps is how many pieces a slow reader gets each second.
const rateSteps = 20

var errClosed = errors.New("connection closed")

// pause waits as the faults of the moment demand, before one piece is passed on.
func (c *proxyConn) pause(toClient bool) error {
	for {
		f, changed := c.proxy.current()
		wait := f.delay
		if toClient && f.readRate > 0 {
			wait += time.Second / rateSteps
		}
		if !f.blackHole && wait == 0 {
			return nil
		}
		var passed <-chan time.Time // never, in a black hole
		if !f.blackHole {
			passed = time.After(wait)
		}
		select {
		case <-passed:
			return nil
		case <-changed: // look again: the fault may have ended
		case <-c.ctx.Done():
			return errClosed
		}
	}
}
