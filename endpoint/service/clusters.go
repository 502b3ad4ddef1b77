package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// Clusters has the services of several clusters: a Follower of each, and how old what they have is. It is told of
// clusters as an endpoint.Catalog is. Its methods may be called from several goroutines.
type Clusters struct {
	options ClustersOptions
	running sync.WaitGroup // followers

	mu      sync.Mutex
	entries map[string]*member
}

// ClustersOptions are what Clusters takes from its surroundings. All are optional.
type ClustersOptions struct {
	// Changed is told of what is another now in a cluster, as a Follower's Changed is. It must not wait.
	Changed func(cluster, namespace, name string)
	// Look is how often it is looked for kinds that clusters do not have.
	Look  time.Duration
	Clock clock.WithTicker
	Log   logr.Logger
}

// member is one of the clusters.
type member struct {
	cluster  endpoint.Cluster
	config   *rest.Config // of the follower
	follower *Follower    // nil: it is not followed
	begun    bool         // it is, or was
	cancel   context.CancelFunc
	ended    <-chan struct{} // closed when the last follower has ended; nil: there was none

	last    *View // what an earlier follower had, until this one has it all
	exports bool  // last has all exports
	heard   time.Time
	doubted time.Time
	barred  bool
	why     endpoint.Gap // it is not followed
	// another says that there was another cluster of this name, of which nothing is to stay.
	another bool
}

// NewClusters makes one of none.
func NewClusters(o ClustersOptions) *Clusters {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Changed == nil {
		o.Changed = func(string, string, string) {}
	}
	return &Clusters{options: o, entries: map[string]*member{}}
}

// State is how much there is of a cluster.
type State struct {
	Cluster Cluster
	// View is nil where nothing is known.
	View *View
	// Services and Exports say that the View has all of them: before that nothing follows from what is missing.
	Services, Exports bool
	Contact           staleness.Contact
	// Barred says that the cluster is to contribute nothing.
	Barred bool
	// Another says that there was another cluster of the name, so that what is written is not of this one.
	Another bool
	// Why it is not followed, or barred; empty where it is followed.
	Why endpoint.Gap
	// Gaps say what it does not let be read.
	Gaps []string
	// ExportsGap says what keeps its exports from being followed, and ExportsSince since when; "" where nothing does.
	ExportsGap   string
	ExportsSince time.Time
}

// Follow is as endpoint.Catalog's.
func (c *Clusters) Follow(ctx context.Context, cluster endpoint.Cluster) error {
	if cluster.Name == "" || cluster.ID == "" || cluster.Config == nil {
		return fmt.Errorf("following services of cluster %q: %w", cluster.Name, errors.New("name, ID and configuration are needed"))
	}
	c.mu.Lock()
	m := c.entries[cluster.Name]
	if m != nil && m.follower != nil && m.cluster.ID == cluster.ID && m.config == cluster.Config {
		m.cluster = cluster
		c.mu.Unlock()
		c.tell(cluster.Name)
		return nil
	}
	if m == nil || m.barred || m.cluster.ID != "" && m.cluster.ID != cluster.ID {
		m = c.replace(m, cluster.Name)
	}
	err := c.begin(ctx, m, cluster)
	c.mu.Unlock()
	c.tell(cluster.Name)
	return err
}

// begin is called with c.mu held.
func (c *Clusters) begin(ctx context.Context, m *member, cluster endpoint.Cluster) error {
	c.stop(m)
	m.cluster = cluster
	follower, err := NewFollower(FollowerOptions{
		Config: cluster.Config, ID: cluster.ID, Look: c.options.Look, Clock: c.options.Clock, Log: c.options.Log.WithValues("cluster", cluster.Name),
		Changed: func(namespace, name string) { c.options.Changed(cluster.Name, namespace, name) },
	})
	if err != nil {
		return fmt.Errorf("following services of cluster %q: %w", cluster.Name, err)
	}
	before, ended := m.ended, make(chan struct{})
	ctx, m.cancel = context.WithCancel(ctx)
	m.follower, m.begun, m.config, m.ended, m.doubted, m.why = follower, true, cluster.Config, ended, time.Time{}, endpoint.Gap{}
	c.running.Go(func() { // ends with ctx: when it is followed no more, or over another connection
		defer close(ended)
		follower.Run(ctx)
		if before != nil {
			<-before
		}
	})
	return nil
}

// replace makes a new member in the place of what may be there, of which nothing stays.
func (c *Clusters) replace(m *member, name string) *member {
	next := &member{heard: c.options.Clock.Now(), another: m != nil && !m.barred}
	if m != nil {
		c.stop(m)
		next.ended = m.ended
	}
	c.entries[name] = next
	return next
}

// stop ends the follower, and keeps what it has.
func (c *Clusters) stop(m *member) {
	if m.follower == nil {
		return
	}
	if s := m.follower.state(); s.services { // otherwise it has heard nothing, and what there is stays as old as it was
		m.heard = c.options.Clock.Now()
		for _, at := range []time.Time{s.contact.StaleSince, m.doubts()} {
			if !at.IsZero() && at.Before(m.heard) {
				m.heard = at
			}
		}
		m.last, m.exports = m.follower.View(), s.exports
	}
	m.cancel()
	m.follower = nil
}

// Suspend is as endpoint.Catalog's: the cluster cannot be followed now.
func (c *Clusters) Suspend(cluster endpoint.Cluster, why endpoint.Gap) {
	c.mu.Lock()
	m := c.entries[cluster.Name]
	if m == nil || m.barred || cluster.ID != "" && m.cluster.ID != "" && m.cluster.ID != cluster.ID {
		m = c.replace(m, cluster.Name)
	}
	if cluster.ID == "" {
		cluster.ID = m.cluster.ID
	}
	c.stop(m)
	m.cluster, m.why = cluster, why
	c.mu.Unlock()
	c.tell(cluster.Name)
}

// Bar is as endpoint.Catalog's: the cluster is to contribute nothing.
func (c *Clusters) Bar(cluster endpoint.Cluster, why endpoint.Gap) {
	c.mu.Lock()
	m := c.entries[cluster.Name]
	if m == nil || !m.barred {
		m = c.replace(m, cluster.Name)
		m.barred = true
	}
	m.cluster, m.why = cluster, why
	c.mu.Unlock()
	c.tell(cluster.Name)
}

// doubts says since when the connection does not work, as far as anybody knows; zero: it does.
func (m *member) doubts() time.Time {
	if m.follower != nil && m.follower.since().After(m.doubted) {
		return time.Time{}
	}
	return m.doubted
}

// Doubt is as endpoint.Catalog's: the connection does not work, or, without a reason, works.
func (c *Clusters) Doubt(name string, why endpoint.Gap) {
	c.mu.Lock()
	m := c.entries[name]
	if m == nil {
		c.mu.Unlock()
		return
	}
	before := m.doubts()
	if m.follower != nil && why.Reason == "" {
		m.follower.Retry()
	}
	switch {
	case why.Reason == "":
		m.doubted = time.Time{}
	case before.IsZero():
		m.doubted = c.options.Clock.Now()
	}
	c.mu.Unlock()
	if before.IsZero() != (why.Reason == "") {
		c.tell(name)
	}
}

// Forget ends the Follower of a cluster, of which nothing stays. It does not wait: what it returns is closed when it
// has ended.
func (c *Clusters) Forget(name string) (ended <-chan struct{}) {
	c.mu.Lock()
	m := c.entries[name]
	if m != nil {
		c.stop(m)
		delete(c.entries, name)
		ended = m.ended
	}
	c.mu.Unlock()
	if ended == nil {
		none := make(chan struct{})
		close(none)
		ended = none
	}
	c.tell(name)
	return ended
}

// Close forgets every cluster, and waits until all Followers have ended.
func (c *Clusters) Close() {
	c.mu.Lock()
	names := slices.Collect(maps.Keys(c.entries))
	c.mu.Unlock()
	for _, name := range names {
		c.Forget(name)
	}
	c.running.Wait()
}

func (c *Clusters) tell(name string) { c.options.Changed(name, "", "") }

// Names are those of the clusters that it was told of, sorted.
func (c *Clusters) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.entries))
}

// State returns how much there is of a cluster; ok is false where it was not told of it.
func (c *Clusters) State(name string) (s State, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.entries[name]
	if m == nil {
		return State{}, false
	}
	s.Cluster = Cluster{Name: name, ID: m.cluster.ID, Local: m.cluster.Local, Bounds: m.cluster.Bounds}
	s.Barred, s.Another, s.Why = m.barred, m.another, m.why
	s.View, s.Services, s.Exports = m.last, m.last != nil, m.exports
	s.Contact = staleness.Contact{StaleSince: m.heard, Unheard: !s.Services}
	if m.follower == nil {
		s.Contact.Beginning = !m.begun && m.why.Reason == endpoint.ReasonNotConnected && m.doubts().IsZero()
		return s, true
	}
	of := m.follower.state()
	s.Gaps, s.ExportsGap, s.ExportsSince = of.gaps, of.exportsGap, of.exportsSince
	if !of.services { // what there is, is as old as it was
		s.Contact.Beginning = !of.faulty && m.doubts().IsZero()
		return s, true
	}
	s.View, s.Services, s.Exports, s.Contact = m.follower.View(), true, of.exports, of.contact
	m.last, m.exports = nil, false // it is not needed any more, and large
	if doubted := m.doubts(); !doubted.IsZero() {
		s.Contact.StaleSince = earliest(s.Contact.StaleSince, doubted)
	}
	return s, true
}
