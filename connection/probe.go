package connection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

const (
	// DefaultProbeInterval is how often a connection is probed.
	DefaultProbeInterval = 30 * time.Second
	// DefaultFullEvery says that every tenth probe is a full one.
	DefaultFullEvery = 10
	// probeTimeout is the deadline of each request of a probe.
	probeTimeout = 10 * time.Second
	// firstKnock is how long a first credential has to prove itself, which brings a probe with it,
	// before the server is asked without one.
	firstKnock = time.Second
	// firstReprobe is how soon a failed probe is repeated; the pause doubles up to the interval.
	firstReprobe = time.Second
	// longestReknock is how long it takes at most until it is looked again for somebody there, while there is no credential
	// yet: whoever waits for this cluster has nothing of it.
	longestReknock = 5 * time.Second
)

// Probe is what one probe cost and found, for metrics.
type Probe struct {
	Full    bool
	Latency time.Duration
	// Err is nil if the cluster answered and accepted the credential.
	Err error
}

// seen is what probes learned about the cluster.
type seen struct {
	// probed and full say that there was a probe, and a full one, by us or whoever had the connection before.
	probed, full bool
	// err is what the last probe failed with.
	err error
	at  time.Time

	clusterID     string
	blind         bool // namespace kube-system may not be read
	about         about
	version       string
	memberVersion string
	notReady      string
	missing       []string
	unchecked     error // why the verbs could not be asked for
	skew          time.Duration
}

// probeLoop probes until ctx ends: one probe at a time, each with its own deadline.
func (c *Connection) probeLoop(ctx context.Context) {
	timer := c.options.Clock.NewTimer(firstKnock)
	defer timer.Stop()
	failures := 0                  // probes in a row that found something to look at again soon
	known := c.options.Last != nil // what a full probe would find
	for count := 0; ; count++ {
		select {
		case <-ctx.Done():
			return
		case <-c.probeNow:
			count = 0 // something changed: look at everything
			if !timer.Stop() {
				select {
				case <-timer.C():
				default:
				}
			}
		case <-c.begun:
			known, count = false, -1 // the next one is full, at a time of its own
			timer.Reset(time.Duration((0.5 + rand.Float64()/2) * float64(c.options.ProbeInterval)))
			continue
		case <-timer.C():
		}
		full := count%c.options.FullEvery == 0 && !known || failures > 0
		pause := c.options.ProbeInterval
		if c.probe(ctx, full) {
			failures = 0
			if known && c.transport.live.Load() != nil {
				known, count = false, -1 // the next one is full
			}
		} else {
			pause = min(firstReprobe<<min(failures, 10), pause)
			if c.transport.live.Load() == nil {
				pause = min(pause, longestReknock)
			}
			failures++
		}
		timer.Reset(pause - time.Duration(rand.Float64()*0.1*float64(pause)))
	}
}

func (c *Connection) wakeProbe() {
	select {
	case c.probeNow <- struct{}{}:
	default:
	}
}

// probe makes one probe, takes in what it found, and reports whether all was well.
func (c *Connection) probe(ctx context.Context, full bool) bool {
	started := c.options.Clock.Now()
	l := c.transport.live.Load()
	c.mu.Lock()
	found := c.facts.seen
	checks, local := c.spec.Checks, c.spec.Local
	c.mu.Unlock()
	before := found.err

	var latency time.Duration
	if l == nil {
		found.err = c.knock(ctx)
	} else {
		call := caller{l.gen, l.cred, min(probeTimeout, c.timeout()), c.userAgent}
		blind := found.blind
		found.err = c.light(ctx, call, &found)
		full = full || found.blind != blind // a right was taken or given: look at all of them
		latency = c.options.Clock.Now().Sub(started)
		if found.err == nil && full {
			c.full(ctx, call, &found, checks, local)
		}
	}
	if ctx.Err() != nil || l == nil && c.transport.live.Load() != nil {
		return true // we are being stopped, or begin only now: this says nothing about the cluster
	}
	found.probed, found.at = true, c.options.Clock.Now()
	found.full = found.full || (full && found.err == nil && l != nil)
	c.settle(l, before, found.err)
	if c.options.Observe != nil {
		c.options.Observe(Probe{Full: full, Latency: latency, Err: found.err})
	}
	c.mu.Lock()
	c.facts.seen, c.facts.latency = found, latency
	c.mu.Unlock()
	c.publish()
	return found.err == nil && found.notReady == "" && found.unchecked == nil && len(found.missing) == 0
}

// settle draws the consequences for the link itself of what a probe found, and one before it.
func (c *Connection) settle(l *live, before, err error) {
	c.answering.Store(l != nil && err == nil)
	switch {
	case l == nil && before != nil && err == nil:
		c.renewer.Refresh() // it answers again: what could not be proved is tried now
	case l == nil:
	case err == nil:
		c.transport.bar(nil)
		c.renewer.Accepted(l.cred)
	case errors.Is(err, ErrWrongCluster):
		c.transport.bar(err)
	case errors.Is(err, credential.ErrRefused):
		c.renewer.Refused(l.cred)
	}
}

// light is one authenticated request, which also asks who the cluster is.
func (c *Connection) light(ctx context.Context, call caller, found *seen) error {
	sent := c.options.Clock.Now()
	a, err := call.do(ctx, http.MethodGet, pathKubeSystem, nil)
	if err != nil {
		return err
	}
	id, err := clusterIDOf(a)
	if err != nil {
		return err
	}
	if err := c.checkPin(id); err != nil {
		return err
	}
	found.blind = id == ""
	if !found.blind {
		found.clusterID = id
	}
	if date, err := http.ParseTime(a.date); err == nil {
		received := c.options.Clock.Now()
		// The header has whole seconds: on average it is half a second behind.
		found.skew = date.Add(500 * time.Millisecond).Sub(sent.Add(received.Sub(sent) / 2))
	}
	return nil
}

// full asks for everything else that a condition speaks of. What it cannot learn is not an error of the link.
func (c *Connection) full(ctx context.Context, call caller, found *seen, checks []authorizationv1.ResourceAttributes, local string) {
	found.notReady = notReady(ctx, call)
	var version struct{ GitVersion string }
	if call.json(ctx, http.MethodGet, "/version", nil, &version) == nil {
		found.version = version.GitVersion
	}
	found.missing, found.unchecked = missingVerbs(ctx, call, checks)

	found.about.ask(ctx, call)
	var install struct{ Metadata metav1.ObjectMeta }
	if local != "" && call.json(ctx, http.MethodGet, "/api/v1/namespaces/"+v1alpha1.MemberNamespace(local), nil, &install) == nil {
		found.memberVersion = install.Metadata.Annotations[v1alpha1.VersionAnnotation]
	}
}

// notReady says why the API server is not ready, or nothing.
func notReady(ctx context.Context, call caller) string {
	a, err := call.do(ctx, http.MethodGet, "/readyz", nil)
	switch {
	case err != nil:
		return "/readyz: " + describe(err)
	case a.status >= 500:
		return describe(fmt.Errorf("/readyz answers %d: %s", a.status, firstLine(failedChecks(string(a.body)))))
	}
	return "" // ready, or not ours to ask
}

func failedChecks(body string) string {
	var failed []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "[-]") {
			failed = append(failed, strings.TrimSpace(strings.TrimPrefix(line, "[-]")))
		}
	}
	if len(failed) == 0 {
		return body
	}
	return strings.Join(failed, "; ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// knock asks whether anybody is there, while there is no credential to show.
func (c *Connection) knock(ctx context.Context) error {
	c.mu.Lock()
	endpoint := c.spec.Endpoint
	c.mu.Unlock()
	if endpoint.Server == "" {
		return nil // the address comes with the credential
	}
	gen, err := newGeneration(endpoint, nil, nil)
	if err != nil {
		return err
	}
	defer gen.end(ErrClosed)
	call := caller{gen, credential.Credential{}, min(probeTimeout, c.timeout()), c.userAgent}
	a, err := call.do(ctx, http.MethodGet, "/version", nil)
	if err != nil {
		return err
	}
	var version struct{ GitVersion string }
	err = a.decode("/version", &version)
	var status *statusError
	switch {
	case errors.Is(err, credential.ErrRefused), errors.As(err, &status) && status.code < 500:
		return nil // somebody who knows Kubernetes' manners
	case err != nil:
		return err
	case version.GitVersion == "":
		return &notKubernetesError{"/version tells no version"}
	}
	return nil
}
