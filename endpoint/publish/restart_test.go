package publish

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// page is a catalog of one cluster, which has one endpoint, and of which a test says how it is heard of.
type page struct {
	index *index.Index
	state endpoint.ClusterState
}

func (p *page) Index() *index.Index { return p.index }

func (p *page) State(string) (endpoint.ClusterState, bool) { return p.state, true }

func (p *page) States() []endpoint.ClusterState { return []endpoint.ClusterState{p.state} }

func (p *page) Notify(func(string)) (stop func()) { return func() {} }

// process is one that publishes an item of which no object is made, as of a policy whose peers match nothing: after it,
// there is the status alone.
type process struct {
	*Publisher
	*page
	t     *testing.T
	clock *testingclock.FakeClock
	at    owner
}

func begin(t *testing.T, clock *testingclock.FakeClock, known []v1alpha1.FederatedCluster, objects ...*record) *process {
	t.Helper()
	at := owner{Key{Kind: FederatedNetworkPolicy, Namespace: "shop", Name: "web"}, "a"}
	made := &Objects{records: newRecords(func(owner, bool) {})}
	for _, r := range objects {
		r.key, r.cluster = at.key, at.cluster
		made.records.hold(r)
	}
	return publishing(t, clock, made, Item{
		Key: at.key, Known: known,
		Staleness: expiring(),
		Render:    func(r Request) (Rendered, error) { return Rendered{Endpoints: r.Count(0)}, nil },
	})
}

func expiring() *v1alpha1.Staleness {
	return &v1alpha1.Staleness{Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: time.Hour}, Settle: &metav1.Duration{Duration: 10 * time.Minute}}
}

// publishing is a process that publishes an item, of everything that the cluster has.
func publishing(t *testing.T, clock *testingclock.FakeClock, made *Objects, item Item) *process {
	t.Helper()
	has := &page{index: index.New()}
	part, err := has.index.Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	part.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.1/32")}})
	p, err := New(Options{Catalog: has, Objects: made, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.queue.close)
	t.Cleanup(p.reports.close)
	item.Scope, item.Selectors = v1alpha1.ClusterScope{All: true}, []*selector.Selector{selector.All()}
	p.Put(item)
	return &process{p, has, t, clock, owner{item.Key, "a"}}
}

// heard, silent and unheard say how the cluster is heard of: the last one as to a process that began now.
func (p *process) heard() { p.state = endpoint.ClusterState{Name: "a", ID: "id", Synced: true} }

func (p *process) silent() {
	p.state = endpoint.ClusterState{Name: "a", ID: "id", Synced: true, StaleSince: p.clock.Now()}
}

func (p *process) unheard() {
	p.state = endpoint.ClusterState{Name: "a", ID: "id", StaleSince: p.clock.Now()}
}

// says looks after a time has passed, and returns what the status is to say.
func (p *process) says(after time.Duration) []v1alpha1.FederatedCluster {
	p.t.Helper()
	p.clock.Step(after)
	if err := p.write(p.t.Context(), p.at); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.progress[p.at]
	if g.entry == nil {
		return nil
	}
	return []v1alpha1.FederatedCluster{*g.entry.DeepCopy()}
}

// is looks, and checks what the status is to say: silent since when, zero for not silent, and whether addresses are away.
func (p *process) is(after time.Duration, since time.Time, away bool) []v1alpha1.FederatedCluster {
	p.t.Helper()
	all := p.says(after)
	if len(all) != 1 {
		p.t.Fatalf("the status says %+v", all)
	}
	e, endpoints := all[0], int64(1)
	if away {
		endpoints = 0
	}
	if e.Expired != away || e.Endpoints != endpoints || (e.StaleSince == nil) != since.IsZero() || e.StaleSince != nil && !e.StaleSince.Time.Equal(since) {
		p.t.Errorf("at %s the status says %+v; want it silent since %s, and away: %t", p.clock.Now().UTC().Format(time.TimeOnly), e, since.UTC().Format(time.TimeOnly), away)
	}
	return all
}

var never time.Time

// aPolicy is a kind that has objects of policies.
var aPolicy = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy").GroupKind()

func newClock() *testingclock.FakeClock {
	return testingclock.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
}

func TestWhatIsKeptExpiresWhenItWouldHaveWithoutRestarts(t *testing.T) {
	clock := newClock()
	p := begin(t, clock, nil)
	p.heard()
	p.is(0, never, false)
	p.silent()
	since := clock.Now()
	known := p.is(0, since, false)
	for range 3 {
		clock.Step(15 * time.Minute)
		p = begin(t, clock, known)
		p.unheard()
		p.says(0) // it may be heard of in a moment
		known = p.is(grace, since, false)
	}
	p.is(since.Add(time.Hour).Sub(clock.Now())-time.Second, since, false)
	p.is(time.Second, since, true)
}

func TestWhatHasExpiredStaysAwayOverRestartsUntilTheClusterHasSettled(t *testing.T) {
	clock := newClock()
	p := begin(t, clock, nil)
	p.silent()
	since := clock.Now()
	p.is(0, since, false)
	known := p.is(time.Hour, since, true)

	p = begin(t, clock, known) // while it is silent
	p.unheard()
	p.is(0, since, true)
	p.heard()
	p.is(time.Hour, never, true)
	known = p.is(9*time.Minute, never, true)

	p = begin(t, clock, known) // while it settles: nothing but the status says that anything is away
	p.unheard()
	started := clock.Now()
	p.is(0, started, true)
	p.heard()
	p.is(time.Minute, never, true)
	known = p.is(9*time.Minute, never, true)

	p = begin(t, clock, known) // and is listed before anybody looks
	p.heard()
	p.is(0, never, true)
	p.is(10*time.Minute-time.Second, never, true)
	p.is(time.Second, never, false)
}

// TestAReplicaGoesOnFromWhatTheOtherHasSaidLast, which is not what was said when it was told of the item, and may be told
// late.
func TestAReplicaGoesOnFromWhatTheOtherHasSaidLast(t *testing.T) {
	clock := newClock()
	since := clock.Now().Add(-50 * time.Minute)
	silent := []v1alpha1.FederatedCluster{{Name: "a", Endpoints: 1, StaleSince: &metav1.Time{Time: since}}}
	live := []v1alpha1.FederatedCluster{{Name: "a", Endpoints: 1}}
	away := []v1alpha1.FederatedCluster{{Name: "a", Expired: true}}
	for name, c := range map[string]struct {
		put, saw []v1alpha1.FederatedCluster
		since    time.Time
		away     bool
	}{
		"it has fallen silent":             {live, silent, since, false},
		"it was silent, and is not":        {silent, live, clock.Now(), false},
		"what was there was taken":         {live, away, clock.Now(), true},
		"what was taken is back":           {away, live, clock.Now(), false},
		"somebody took away what was said": {silent, nil, clock.Now(), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, late := range []bool{false, true} {
				clock := testingclock.NewFakeClock(clock.Now())
				p := begin(t, clock, c.put)
				<-p.Disown("a")
				if !late {
					p.Saw(p.at.key, c.saw)
				}
				p.Own("a")
				p.unheard()
				p.says(0)
				p.Saw(p.at.key, c.saw)
				if all := p.says(grace); len(all) != 1 || all[0].Expired != c.away || !all[0].StaleSince.Equal(&metav1.Time{Time: c.since}) {
					t.Errorf("told late (%t), it says %+v", late, all)
				}
			}
		})
	}
}

func TestObjectsAndTheStatusTellTogetherHowAClusterWasLeft(t *testing.T) {
	clock := newClock()
	early, late := clock.Now().Add(-40*time.Minute), clock.Now().Add(-30*time.Minute)
	object := func(name string, since time.Time, away bool, editor string) *record {
		r := &record{ref: ref{aPolicy, "shop", name}, editor: editor, annotations: map[string]string{}}
		if !since.IsZero() {
			r.annotations[StaleSinceAnnotation] = since.Format(time.RFC3339)
		}
		if away {
			r.annotations[ExpiredAnnotation] = "true"
		}
		return r
	}
	deleting := func(r *record) *record {
		r.deleting = true
		return r
	}
	status := func(since time.Time, away bool) v1alpha1.FederatedCluster {
		return v1alpha1.FederatedCluster{Name: "a", Expired: away, StaleSince: seconds(since)}
	}
	for name, c := range map[string]struct {
		status  v1alpha1.FederatedCluster
		objects []*record
		since   time.Time
		away    bool
	}{
		"nothing is said":                                {},
		"the status alone":                               {status(early, true), nil, early, true},
		"the objects alone":                              {status(never, false), []*record{object("x", late, true, ""), object("x.2", never, false, "")}, late, true},
		"the earlier one counts":                         {status(early, false), []*record{object("x", late, false, "")}, early, false},
		"objects that were given back":                   {status(never, true), []*record{object("x", never, false, "")}, never, false},
		"an object that was edited when it was silent":   {status(late, false), []*record{object("x", early, true, "eve")}, late, false},
		"an object that was edited before it was silent": {status(late, true), []*record{object("x", never, false, "eve"), object("x.2", never, false, "")}, late, true},
		"an object that is being deleted since then":     {status(late, false), []*record{deleting(object("x", early, true, "")), object("x.2", never, false, "")}, late, false},
		"another cluster":                                {v1alpha1.FederatedCluster{Name: "b", Expired: true, StaleSince: seconds(early)}, nil, never, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, clock, []v1alpha1.FederatedCluster{c.status}, c.objects...)
			if got := p.restore(p.at, p.items[p.at.key]); !got.Since.Equal(c.since) || got.Expired != c.away {
				t.Errorf("it is silent since %s, and away: %t", got.Since, got.Expired)
			}
		})
	}
}

// TestAPhaseSaysWhatBecomesOfWhatWasMade, by what is known of a cluster.
func TestAPhaseSaysWhatBecomesOfWhatWasMade(t *testing.T) {
	now := newClock().Now()
	hour := &v1alpha1.Staleness{Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: time.Hour}}
	for name, c := range map[string]struct {
		by    *v1alpha1.Staleness
		state endpoint.ClusterState
		want  phase
		again time.Duration
	}{
		"it is followed":                        {hour, endpoint.ClusterState{Synced: true}, current, 0},
		"it is silent":                          {hour, endpoint.ClusterState{Synced: true, StaleSince: now.Add(-time.Minute)}, kept, 59 * time.Minute},
		"it is silent for too long":             {hour, endpoint.ClusterState{Synced: true, StaleSince: now.Add(-time.Hour)}, expired, 0},
		"it is silent, and kept":                {&v1alpha1.Staleness{Policy: v1alpha1.StalenessKeep}, endpoint.ClusterState{Synced: true, StaleSince: now.Add(-time.Hour)}, kept, 0},
		"it is silent, and nothing is said":     {nil, endpoint.ClusterState{Synced: true, StaleSince: now.Add(-time.Hour)}, kept, 0},
		"it was not listed":                     {hour, endpoint.ClusterState{StaleSince: now.Add(-time.Minute)}, held, 59 * time.Minute},
		"it was not listed, nobody knows since": {hour, endpoint.ClusterState{}, held, time.Hour},
		"it was not listed for too long":        {hour, endpoint.ClusterState{StaleSince: now.Add(-time.Hour)}, expired, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var a age
			got, again := a.look(now, c.by, c.state)
			if got != c.want || again.IsZero() != (c.again == 0) || c.again != 0 && again.Sub(now) != c.again {
				t.Errorf("it is %d, and again at %s", got, again)
			}
			if followed := c.state.Synced && c.state.StaleSince.IsZero(); a.seen.IsZero() != followed {
				t.Errorf("it was seen silent at %s", a.seen)
			}
			if _, _ = a.look(now, c.by, endpoint.ClusterState{Synced: true}); !a.seen.IsZero() {
				t.Errorf("when it is heard of, it was seen silent at %s", a.seen)
			}
		})
	}
	for name, c := range map[string]struct {
		by   *v1alpha1.Staleness
		want time.Duration
	}{
		"by default": {hour, 30 * time.Second},
		"as it says": {&v1alpha1.Staleness{Policy: v1alpha1.StalenessExpire, ExpireAfter: hour.ExpireAfter, Settle: &metav1.Duration{}}, 0},
	} {
		if got := policyOf(c.by); got.Settle != c.want || got.ExpireAfter != time.Hour {
			t.Errorf("%s: it is %+v", name, got)
		}
	}
}

// anObject is one of the item's namespace.
func anObject() Rendered {
	return Rendered{Objects: []client.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}}}
}

// TestNoObjectIsSilentSinceTheBeginningOfTime: the status may say that addresses are away, and not since when.
func TestNoObjectIsSilentSinceTheBeginningOfTime(t *testing.T) {
	p := begin(t, newClock(), []v1alpha1.FederatedCluster{{Name: "a", Expired: true}})
	item := p.items[p.at.key]
	left := age{Memory: p.restore(p.at, item)}
	all, err := p.wants(t.Context(), p.at, item, anObject(), view{phase: expired, age: left})
	if err != nil {
		t.Fatal(err)
	}
	got := all[0].object.GetAnnotations()
	if since, said := got[StaleSinceAnnotation]; said || got[ExpiredAnnotation] != "true" {
		t.Errorf("it is silent since %q: %v", since, got)
	}
	left.Since = newClock().Now()
	if all, err = p.wants(t.Context(), p.at, item, anObject(), view{phase: expired, age: left}); err != nil {
		t.Fatal(err)
	}
	if got := all[0].object.GetAnnotations()[StaleSinceAnnotation]; got != "2026-11-21T12:00:00Z" {
		t.Errorf("it is silent since %q", got)
	}
}
