package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint/index"
)

// Catalog has the endpoints of several clusters: a feed of each over one index, and how old what they have is. Its
// methods may be called from several goroutines.
type Catalog struct {
	options CatalogOptions
	index   *index.Index
	running sync.WaitGroup // feeds

	mu        sync.Mutex
	clusters  map[string]*entry
	ended     map[string]<-chan struct{} // of those that were forgotten, until they have ended
	listeners map[*func(cluster string)]struct{}
}

// CatalogOptions are what a catalog takes from its surroundings. All are optional.
type CatalogOptions struct {
	Clock clock.WithTicker
	Log   logr.Logger
	// LookEvery is how often it is looked whether clusters have the kinds that not every one has. Zero means a minute.
	LookEvery time.Duration
}

// Cluster is what a catalog is told of one.
type Cluster struct {
	// Name and ID are the labels index.ClusterLabel and index.ClusterIDLabel of its endpoints.
	Name, ID string
	// Labels of its RemoteCluster.
	Labels map[string]string
	// Local says that it is the cluster that we run in.
	Local bool
	// Config reaches it. The same pointer stands for the same connection.
	Config *rest.Config
	Bounds Bounds
}

// ClusterState is how much a catalog has of a cluster.
type ClusterState struct {
	Name, ID string
	Labels   map[string]string
	Local    bool
	// Synced says that what there is of it in the index is, or once was, all that there is. Before that nothing follows
	// from what is missing.
	Synced bool
	// StaleSince is since when it is not followed; zero: it is followed now.
	StaleSince time.Time
	// Beginning says that nothing has gone wrong so far with following it, over a connection that is new: it has not listed
	// everything yet.
	Beginning bool
	// Bounds of what it may contribute.
	Bounds Bounds
	// Gaps are what is missing, sorted.
	Gaps []Gap
}

// entry is a cluster of a catalog.
type entry struct {
	cluster Cluster
	part    *index.Cluster // nil: it was never followed
	filler  *Feed          // that fills the part, or did last
	feed    *Feed          // the same; nil: it is not followed
	cancel  context.CancelFunc
	ended   <-chan struct{} // closed when the last feed has ended; nil: there was none
	synced  bool            // the part had everything once
	heard   time.Time       // until when it was followed before feed; or since when it is known
	doubted time.Time       // since when its connection does not work; zero: it does
	doubt   Gap
	why     Gap  // why it is not followed
	barred  bool // it is to contribute nothing
	// duplicate is what Review found.
	duplicate Gap
}

// NewCatalog makes a catalog of no clusters.
func NewCatalog(o CatalogOptions) *Catalog {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return &Catalog{
		options: o, index: index.New(), clusters: map[string]*entry{},
		ended: map[string]<-chan struct{}{}, listeners: map[*func(string)]struct{}{},
	}
}

// Index is what the catalog fills. Nobody else adds clusters to it.
func (c *Catalog) Index() *index.Index { return c.index }

// Follow begins to follow a cluster, until ctx ends or Forget, Suspend or Bar is called; or changes, in place, what is
// known of one that is followed: its labels, its bounds. Another Config is another connection to the same cluster:
// what was known, and the bounds allow, stays until that has listed it. Another ID is another cluster, and nothing of
// the former one stays.
// It does not wait.
func (c *Catalog) Follow(ctx context.Context, cluster Cluster) error {
	if cluster.Name == "" || cluster.ID == "" || cluster.Config == nil {
		return fmt.Errorf("following cluster %q: %w", cluster.Name, errors.New("name, ID and configuration are needed"))
	}
	cluster.Labels = maps.Clone(cluster.Labels)
	c.mu.Lock()
	e := c.clusters[cluster.Name]
	if e != nil && e.feed != nil && e.cluster.ID == cluster.ID && e.cluster.Config == cluster.Config {
		changed := !maps.Equal(e.cluster.Labels, cluster.Labels) || e.cluster.Local != cluster.Local
		e.cluster = cluster
		feed := e.feed
		c.mu.Unlock()
		feed.SetBounds(cluster.Bounds) // which tells what it changes
		if changed {
			c.tell(cluster.Name)
		}
		return nil
	}
	err := c.follow(ctx, e, cluster)
	c.mu.Unlock()
	c.tell(cluster.Name)
	return err
}

// follow is called with c.mu held.
func (c *Catalog) follow(ctx context.Context, e *entry, cluster Cluster) error {
	if e == nil || e.barred || e.cluster.ID != "" && e.cluster.ID != cluster.ID {
		e = c.replace(e, cluster.Name)
	}
	e.heard = c.since(e)
	e.stop(cluster.Bounds)
	e.cluster = cluster
	if e.part == nil {
		part, err := c.index.Cluster(cluster.Name, cluster.ID)
		if err != nil {
			return fmt.Errorf("following cluster %q: %w", cluster.Name, err)
		}
		e.part = part
	}
	feed, err := NewFeed(Options{
		Config: cluster.Config, ID: cluster.ID, Part: e.part, Bounds: cluster.Bounds,
		Clock: c.options.Clock, Log: c.options.Log.WithValues("cluster", cluster.Name, "clusterID", cluster.ID),
		Changed: func() { c.tell(cluster.Name) }, LookEvery: c.options.LookEvery,
	})
	if err != nil {
		e.why = Gap{Reason: ReasonNotConnected, Message: "its configuration cannot be used"}
		return fmt.Errorf("following cluster %q: %w", cluster.Name, err)
	}
	before, ended := e.ended, make(chan struct{})
	ctx, e.cancel = context.WithCancel(ctx)
	e.feed, e.filler, e.ended, e.why, e.doubted = feed, feed, ended, Gap{}, time.Time{}
	c.running.Go(func() { // ends with ctx: when it is followed no more, or over another connection
		defer close(ended)
		if before != nil { // two must not fill one part
			<-before
		}
		feed.Run(ctx)
	})
	c.options.Log.Info("following the endpoints of a cluster", "cluster", cluster.Name, "clusterID", cluster.ID)
	return nil
}

// replace makes a new entry, in the place of what may be there.
func (c *Catalog) replace(e *entry, name string) *entry {
	next := &entry{heard: c.options.Clock.Now()}
	if e != nil {
		c.drop(e, name)
		next.ended = e.ended
	}
	c.clusters[name] = next
	return next
}

// drop ends a feed and takes away what it brought.
func (c *Catalog) drop(e *entry, name string) {
	e.stop(e.cluster.Bounds)
	if e.part != nil {
		c.index.Remove(name)
		e.part, e.filler = nil, nil
	}
}

// stop ends the feed, if there is one. What the bounds do not allow is gone when it returns, and does not come back:
// the feed may take a while to end.
func (e *entry) stop(b Bounds) {
	if e.filler != nil {
		e.filler.bind(b)
	}
	if e.feed == nil {
		return
	}
	e.synced = e.synced || e.feed.State().Synced
	e.cancel()
	e.feed = nil
}

// Suspend says that a cluster cannot be followed now, and why. What is known of it, and its bounds allow, stays, and gets
// older. An empty ID is one that is not known yet.
func (c *Catalog) Suspend(cluster Cluster, why Gap) {
	c.mu.Lock()
	e := c.clusters[cluster.Name]
	if e == nil || e.barred || cluster.ID != "" && e.cluster.ID != "" && e.cluster.ID != cluster.ID {
		e = c.replace(e, cluster.Name)
	}
	if cluster.ID == "" {
		cluster.ID = e.cluster.ID
	}
	e.heard = c.since(e)
	e.stop(cluster.Bounds)
	c.keep(e, cluster, why)
}

// Bar says that a cluster is to contribute nothing, and why. Nothing of it stays.
func (c *Catalog) Bar(cluster Cluster, why Gap) {
	c.mu.Lock()
	e := c.clusters[cluster.Name]
	if e == nil || !e.barred {
		e = c.replace(e, cluster.Name)
		e.barred = true
	}
	c.keep(e, cluster, why)
}

// keep keeps why a cluster is not followed, and lets go of c.mu.
func (c *Catalog) keep(e *entry, cluster Cluster, why Gap) {
	cluster.Labels, cluster.Config = maps.Clone(cluster.Labels), nil
	before := e.cluster
	same := e.why == why && before.ID == cluster.ID && before.Local == cluster.Local && maps.Equal(before.Labels, cluster.Labels) &&
		before.Bounds.relevant().equal(cluster.Bounds.relevant())
	e.cluster, e.why = cluster, why
	c.mu.Unlock()
	if !same {
		c.options.Log.Info("not following the endpoints of a cluster", "cluster", cluster.Name, "reason", why.Reason, "message", why.Message)
		c.tell(cluster.Name)
	}
}

// Doubt says that the connection to a cluster does not work, and why, before its watches notice. A gap without a reason
// says that it works: then what has failed is tried again at once. A doubt is over, too, when what had failed works again.
func (c *Catalog) Doubt(name string, why Gap) {
	c.mu.Lock()
	e := c.clusters[name]
	doubted := time.Time{}
	if e != nil {
		doubted = e.doubts()
		if e.feed != nil && why.Reason == "" {
			e.feed.Retry()
		}
	}
	if e == nil || e.doubt == why && doubted.IsZero() == (why.Reason == "") {
		c.mu.Unlock()
		return
	}
	switch {
	case why.Reason == "":
		e.doubted = time.Time{}
	case doubted.IsZero():
		e.doubted = c.options.Clock.Now()
	}
	e.doubt = why
	c.mu.Unlock()
	c.tell(name)
}

// Forget ends the feed of a cluster and takes away what it brought. It does not wait: what it returns is closed when
// the feed has ended, also where it was forgotten before.
func (c *Catalog) Forget(name string) (ended <-chan struct{}) {
	c.mu.Lock()
	e := c.clusters[name]
	if e == nil {
		ended := c.ended[name]
		c.mu.Unlock()
		if ended == nil {
			none := make(chan struct{})
			close(none)
			ended = none
		}
		return ended
	}
	delete(c.clusters, name)
	c.drop(e, name)
	done := make(chan struct{})
	last, before := e.ended, c.ended[name]
	c.ended[name] = done
	go func() { // ends with the feeds
		for _, ending := range []<-chan struct{}{last, before} {
			if ending != nil {
				<-ending
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended[name] == done {
			delete(c.ended, name)
		}
		close(done)
	}()
	c.mu.Unlock()
	c.tell(name)
	return done
}

// Close forgets every cluster, and waits until all feeds have ended.
func (c *Catalog) Close() {
	c.mu.Lock()
	names := slices.Collect(maps.Keys(c.clusters))
	c.mu.Unlock()
	for _, name := range names {
		c.Forget(name)
	}
	c.running.Wait()
}

// Notify lets told be called with the name of each cluster whose ClusterState changes, or that is forgotten. It must
// not wait. It is called until stop is.
func (c *Catalog) Notify(told func(cluster string)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[&told] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, &told)
	}
}

func (c *Catalog) tell(name string) {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.listeners))
	c.mu.Unlock()
	for _, told := range all {
		(*told)(name)
	}
}

// State returns how much there is of a cluster.
func (c *Catalog) State(name string) (ClusterState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.clusters[name]
	if e == nil {
		return ClusterState{}, false
	}
	return c.state(name, e), true
}

// States returns how much there is of each cluster, sorted by name.
func (c *Catalog) States() []ClusterState {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]ClusterState, 0, len(c.clusters))
	for name, e := range c.clusters {
		all = append(all, c.state(name, e))
	}
	slices.SortFunc(all, func(a, b ClusterState) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (c *Catalog) state(name string, e *entry) ClusterState {
	s := ClusterState{Name: name, ID: e.cluster.ID, Labels: maps.Clone(e.cluster.Labels), Local: e.cluster.Local, Bounds: e.cluster.Bounds, Synced: e.synced || e.barred}
	if e.feed == nil {
		s.Gaps = append(s.Gaps, e.why)
		s.Beginning = e.filler == nil && e.why.Reason == ReasonNotConnected && e.doubts().IsZero()
		if !e.barred {
			s.StaleSince = e.heard
		}
		return s
	}
	of := e.feed.State()
	e.synced = e.synced || of.Synced
	s.Synced = e.synced
	s.StaleSince, s.Gaps = staleSince(e, of), of.gaps()
	s.Beginning = !of.Synced && of.Stale.IsZero() && e.doubts().IsZero()
	if !e.doubts().IsZero() && of.Stale.IsZero() { // else the faults say it better
		s.Gaps = append(s.Gaps, e.doubt)
	}
	if e.duplicate.Reason != "" {
		s.Gaps = append(s.Gaps, e.duplicate)
	}
	slices.SortFunc(s.Gaps, Gap.compare)
	return s
}

// since returns until when a cluster was followed: now, if it is.
func (c *Catalog) since(e *entry) time.Time {
	if e.feed == nil {
		return e.heard
	}
	if at := staleSince(e, e.feed.State()); !at.IsZero() {
		return at
	}
	return c.options.Clock.Now()
}

// doubts says since when the connection does not work, as far as anybody knows; zero: it does.
func (e *entry) doubts() time.Time {
	if e.feed != nil && e.feed.since().After(e.doubted) {
		return time.Time{}
	}
	return e.doubted
}

func staleSince(e *entry, of State) (since time.Time) {
	for _, at := range []time.Time{of.Stale, e.doubts()} {
		if !at.IsZero() && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	if !of.Synced { // this feed has not listed everything: what is there is as old as it was
		since = e.heard
	}
	return since
}
