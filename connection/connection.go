// Package connection owns one live link to one remote cluster: a transport that
// stays the same while credentials, certificates, CAs and addresses are swapped
// underneath it, the pin to the cluster's identity, the probe, and what they
// know, as conditions. Where clusters come from and who uses the link is not its
// business.
package connection

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/version"
)

// Defaults of a Spec.
const (
	DefaultQPS     = 20
	DefaultBurst   = 40
	DefaultTimeout = 30 * time.Second
)

// Spec is where a cluster is and what the connection to it is for. It is plain data.
type Spec struct {
	// Name of the cluster in the fleet, a DNS label.
	Name string
	// AuthType is shown to people.
	AuthType string
	// Endpoint is empty where the credential brings its own.
	Endpoint credential.Endpoint
	// ClusterID pins the cluster. Empty takes the first that answers.
	ClusterID string
	// QPS, Burst and Timeout bound the clients of this connection; zero means the default.
	QPS     float32
	Burst   int
	Timeout time.Duration
	// Local is the name of the local cluster, by which the remote one keeps the member install.
	Local string
	// Release of the chart that declares the cluster, whose values are what mends the connection; nil where none does.
	Release *Release
	// Checks are what the identity must be allowed to do.
	Checks []authorizationv1.ResourceAttributes
}

// Release is one of Hawser's chart.
type Release = advice.Release

// Options are what a connection takes from its surroundings.
type Options struct {
	Clock clock.WithTicker
	// ProbeInterval between light probes; each FullEvery-th is a full one. Zero means the default.
	ProbeInterval time.Duration
	FullEvery     int
	UserAgent     string
	// Version of Hawser that holds the connection, for comparison with the member install. By default this build's.
	Version string
	// Last is what was known of the cluster when it was last Ready, if it was. The first look at everything then takes its
	// turn among the probes, rather than coming at once with those of all other connections that begin. May be nil.
	Last *Last
	// Changed is called, without waiting, when State has changed.
	Changed func()
	// Observe is told of every probe.
	Observe func(Probe)
	// Wrap stands between the transport and whoever uses the link: clients, and sources that renew. Probes and proofs
	// change nothing, and do without. May be nil.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Last is what a connection knew of its cluster when that was Ready.
type Last struct {
	KubernetesVersion, MemberVersion string
	ClusterProperty, ClusterSet      string
}

func (o Options) wrap(rt http.RoundTripper) http.RoundTripper {
	if o.Wrap == nil {
		return rt
	}
	return o.Wrap(rt)
}

// Connection is a live link to one remote cluster.
type Connection struct {
	name      string
	userAgent string
	options   Options
	renewer   *credential.Renewer
	transport *transport
	limiter   *limiter
	probeNow  chan struct{}
	begun     chan struct{} // holds one signal: the proof of the first credential was the first light probe

	// answering says that the last probe over the live transport succeeded.
	answering atomic.Bool

	mu     sync.Mutex
	spec   Spec
	pin    string // the cluster that was accepted, where the spec does not say
	proved *proof // the last one, until it is swapped in or discarded
	facts  facts
	state  State
}

// New makes a connection that does nothing until Run.
func New(spec Spec, source credential.Source, options Options) *Connection {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.ProbeInterval == 0 {
		options.ProbeInterval = DefaultProbeInterval
	}
	if options.FullEvery == 0 {
		options.FullEvery = DefaultFullEvery
	}
	if options.Version == "" {
		options.Version = version.String()
	}
	c := &Connection{
		name:      spec.Name,
		userAgent: options.UserAgent,
		options:   options,
		transport: &transport{name: spec.Name},
		limiter:   newLimiter(),
		probeNow:  make(chan struct{}, 1),
		begun:     make(chan struct{}, 1),
		facts:     facts{own: options.Version},
	}
	if last := options.Last; last != nil {
		c.facts.seen = seen{
			full: true, version: last.KubernetesVersion, memberVersion: last.MemberVersion,
			about: about{known: true, id: last.ClusterProperty, set: last.ClusterSet},
		}
	}
	c.renewer = &credential.Renewer{Link: link{c}, Clock: options.Clock, Swap: c.swap, Report: c.report}
	c.renewer.SetSource(source)
	c.transport.refused = c.renewer.Refused
	c.apply(spec)
	c.state = c.compute()
	return c
}

// Name of the cluster.
func (c *Connection) Name() string { return c.name }

// AuthType as the spec names it.
func (c *Connection) AuthType() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spec.AuthType
}

// Run keeps the link until ctx ends, and then ends everything that runs over it.
func (c *Connection) Run(ctx context.Context) {
	var probes sync.WaitGroup
	probes.Go(func() { c.probeLoop(ctx) })
	c.renewer.Run(ctx)
	probes.Wait()
	c.transport.end()
}

// Update moves the connection to a changed spec. Clients, watches and caches do not notice; a
// changed address takes over once it has proved itself, and until then the old one serves on.
func (c *Connection) Update(spec Spec) {
	if moved := c.apply(spec); moved {
		c.renewer.Reprove()
	}
	c.wakeProbe()
}

func (c *Connection) apply(spec Spec) (moved bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	moved = !sameEndpoint(c.spec.Endpoint, spec.Endpoint)
	c.spec = spec
	c.limiter.set(orDefault(spec.QPS, DefaultQPS), orDefault(spec.Burst, DefaultBurst))
	c.transport.timeout.Store(int64(orDefault(spec.Timeout, DefaultTimeout)))
	return moved
}

func orDefault[T int | float32 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// SetSource changes where credentials come from. The credential in use stays until the new source's is proved.
func (c *Connection) SetSource(source credential.Source) { c.renewer.SetSource(source) }

// Refresh says that the input of the credential source may have changed.
func (c *Connection) Refresh() { c.renewer.Refresh() }

// Renew asks for a new credential now.
func (c *Connection) Renew() { c.renewer.Renew() }

// tokenCache is how long an API server goes on accepting a token that it has just seen
// (kube-apiserver's authentication cache for successes).
const tokenCache = 10 * time.Second

// Interrupt ends what runs over the link, as after a revocation. New requests go on, for as long as
// the cluster lets them in; the probe looks at once, and again when the cluster has had time to forget.
func (c *Connection) Interrupt() {
	c.transport.interrupt(ErrClosed)
	c.wakeProbe()
	time.AfterFunc(tokenCache+time.Second, c.wakeProbe)
}

// Config returns a configuration for clients of this cluster. It is good for as long as the
// connection, whatever happens to credentials and addresses; all clients of a connection share
// its rate limit. It is a copy and may be changed.
func (c *Connection) Config() *rest.Config {
	return &rest.Config{
		Host:        "https://" + hostFor(c.name),
		Transport:   c.options.wrap(c.transport),
		RateLimiter: c.limiter,
		UserAgent:   c.userAgent,
	}
}

// HTTPClient returns a client without a rate limit, for requests to https://<name>/….
func (c *Connection) HTTPClient() *http.Client {
	return &http.Client{Transport: c.options.wrap(c.transport)}
}

func (c *Connection) timeout() time.Duration { return c.transport.deadline() }

// generationFor returns the way by which cred may be shown: the live one if it will do, or a new one.
//
// A credential that brings its own endpoint goes there, one from a new input goes where the spec
// says, and so does one that is to move. Otherwise the live credential and its successors go where it
// is in use, as long as that answers: a wrong edit of the address must not stop renewals at the right one.
func (c *Connection) generationFor(cred credential.Credential, move bool) (*generation, error) {
	c.mu.Lock()
	endpoint, p := c.spec.Endpoint, c.proved
	c.mu.Unlock()
	l := c.transport.live.Load()
	switch {
	case cred.Endpoint != nil:
		endpoint = *cred.Endpoint
	case l != nil && cred.Origin == l.cred.Origin && !move && c.answering.Load():
		endpoint = l.gen.endpoint
	}
	if l != nil && l.gen.serves(endpoint, cred) {
		return l.gen, nil
	}
	if p != nil && p.gen.serves(endpoint, cred) && p.cred.Origin == cred.Origin {
		return p.gen, nil
	}
	return newGeneration(endpoint, cred.Certificate, cred.Binding)
}

// discard closes a generation that is not in use.
func (c *Connection) discard(gen *generation) {
	if l := c.transport.live.Load(); l != nil && l.gen == gen {
		return
	}
	gen.end(ErrClosed)
}

// proof is the way that a credential was proved by, and what was seen on it.
type proof struct {
	live
	found seen
	took  time.Duration
}

func (c *Connection) keepProved(p *proof) {
	c.mu.Lock()
	old := c.proved
	c.proved = p
	c.mu.Unlock()
	if old != nil && old.gen != p.gen {
		c.discard(old.gen)
	}
}

// swap puts a proved credential in use, over the way that it was proved by.
func (c *Connection) swap(cred credential.Credential) {
	c.mu.Lock()
	p := c.proved
	c.proved = nil
	c.mu.Unlock()
	first := c.transport.live.Load() == nil
	c.transport.swap(&live{p.gen, cred})
	if first && c.options.Last != nil && !p.found.blind {
		c.begin(p)
		return
	}
	c.wakeProbe()
}

// begin takes a proof for the first light probe: it asked the same. Of hundreds of connections that begin at once, as
// when a replica takes them over from another one, none asks twice.
func (c *Connection) begin(p *proof) {
	c.mu.Lock()
	found := &c.facts.seen
	found.probed, found.err, found.at = true, nil, c.options.Clock.Now()
	found.clusterID, found.blind, found.skew = p.found.clusterID, false, p.found.skew
	c.facts.latency = p.took
	c.mu.Unlock()
	c.answering.Store(true)
	if c.options.Observe != nil {
		c.options.Observe(Probe{Latency: p.took})
	}
	select {
	case c.begun <- struct{}{}:
	default: // it cannot be: there is one first credential
	}
}

// checkPin compares a cluster's identity with the pinned one, and pins the first where there is none.
func (c *Connection) checkPin(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	pin := c.spec.ClusterID
	if pin == "" {
		pin = c.pin
	}
	switch {
	case id == pin, id == "": // empty: it may not be read, which a mistaken role or a revocation does as well
		return nil
	case pin == "":
		c.pin = id
		return nil
	}
	return fmt.Errorf("%w: it is %s, and %s is pinned; if this is intended, set spec.clusterID to %s", ErrWrongCluster, id, pin, id)
}

func (c *Connection) pinned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spec.ClusterID != "" || c.pin != ""
}

// report takes what the renewer knows.
func (c *Connection) report(s credential.State) {
	c.mu.Lock()
	failed := s.Failures > c.facts.renewal.Failures
	c.facts.learn(s)
	c.mu.Unlock()
	c.publish()
	if failed {
		c.wakeProbe() // whatever stopped the renewal may have stopped more
	}
}

// publish computes the state anew and tells of it if it changed.
func (c *Connection) publish() {
	c.mu.Lock()
	next := c.compute()
	changed := !reflect.DeepEqual(c.state.stable(), next.stable())
	c.state = next
	c.mu.Unlock()
	if changed && c.options.Changed != nil {
		c.options.Changed()
	}
}

// State returns what is known.
func (c *Connection) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}
