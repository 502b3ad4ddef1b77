package endpoint_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/selector"
)

// land is a catalog, and who is told by it.
type land struct {
	*endpoint.Catalog
	t    *testing.T
	mu   sync.Mutex
	told map[string]int
}

func newLand(t *testing.T) *land {
	t.Helper()
	l := &land{Catalog: endpoint.NewCatalog(endpoint.CatalogOptions{LookEvery: 100 * time.Millisecond}), t: t, told: map[string]int{}}
	stop := l.Notify(func(cluster string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.told[cluster]++
	})
	t.Cleanup(func() {
		stop()
		l.Close()
	})
	return l
}

func (l *land) toldOf(cluster string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[cluster]
}

// idOf is the id of a cluster.
func idOf(t *testing.T, c *fleettest.Cluster) string {
	t.Helper()
	ns, err := c.Client().CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(ns.UID)
}

func within(cidrs ...string) endpoint.Bounds {
	b, err := endpoint.ParseBounds(cidrs)
	if err != nil {
		panic(err)
	}
	return b
}

func (l *land) follow(name, id string, config *rest.Config, b endpoint.Bounds) {
	l.t.Helper()
	if err := l.Follow(context.Background(), endpoint.Cluster{Name: name, ID: id, Config: config, Bounds: b}); err != nil {
		l.t.Fatal(err)
	}
}

// is waits until the state of a cluster is one that says nothing against it.
func (l *land) is(name, what string, check func(endpoint.ClusterState) bool) (s endpoint.ClusterState) {
	l.t.Helper()
	fleettest.Eventually(l.t, 15*time.Second, func() error {
		var ok bool
		if s, ok = l.State(name); !ok || !check(s) {
			return fmt.Errorf("cluster %s is not %s (known: %v): %+v", name, what, ok, s)
		}
		return nil
	})
	return s
}

func current(s endpoint.ClusterState) bool {
	return s.Synced && s.StaleSince.IsZero() && len(s.Gaps) == 0
}

func stale(s endpoint.ClusterState) bool { return s.Synced && !s.StaleSince.IsZero() }

// gap returns the message of a gap.
func gap(s endpoint.ClusterState, reason string) string {
	for _, g := range s.Gaps {
		if g.Reason == reason {
			return g.Message
		}
	}
	return ""
}

// members are the pods of a namespace that are known of a cluster.
func (l *land) members(name, namespace string) (found []string) {
	for e := range l.Index().Eval(selector.MustParse(fmt.Sprintf("projectcalico.org/namespace == %q", namespace)), name) {
		found = append(found, e.Name)
	}
	slices.Sort(found)
	return found
}

func (l *land) has(name, namespace string, want ...string) {
	l.t.Helper()
	fleettest.Eventually(l.t, 15*time.Second, func() error {
		if got := l.members(name, namespace); !slices.Equal(got, want) {
			return fmt.Errorf("cluster %s has %q, want %q", name, got, want)
		}
		return nil
	})
}

// alone is a scene without a feed, for making pods.
func alone(t *testing.T, c *fleettest.Cluster) *scene {
	t.Helper()
	return &scene{client: c.Client(), namespace: c.Namespace(t)}
}

// The nodes of the test clusters have addresses of the loopback, which are refused, and so have, for a while, the pods of
// other tests: these gaps say nothing here.
var nodesAside = func(g endpoint.Gap) bool {
	return g.Reason == endpoint.ReasonSpecial || g.Reason == endpoint.ReasonOutside
}

func aside(check func(endpoint.ClusterState) bool) func(endpoint.ClusterState) bool {
	return func(s endpoint.ClusterState) bool {
		s.Gaps = slices.DeleteFunc(slices.Clone(s.Gaps), nodesAside)
		return check(s)
	}
}

func TestSaysSinceWhenAClusterIsAwayAndThatItIsBack(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	way, at, l := switchTo(t, alpha), alone(t, alpha), newLand(t)
	at.run(t, "stays", nil, nil, "10.4.1.1")
	before := time.Now()
	l.follow("alpha", idOf(t, alpha), way.config(), within("10.4.0.0/16"))
	if s, ok := l.State("alpha"); !ok || s.Synced || s.StaleSince.Before(before) {
		t.Errorf("before anything is listed the state is %+v", s)
	}
	l.is("alpha", "current", aside(current))
	l.has("alpha", at.namespace, "stays")

	told, cut := l.toldOf("alpha"), time.Now()
	way.cut()
	s := l.is("alpha", "stale", stale)
	if s.StaleSince.Before(cut) || time.Since(s.StaleSince) > 30*time.Second {
		t.Errorf("it is stale since %v, and was cut at %v", s.StaleSince, cut)
	}
	l.is("alpha", "unreachable in all lists", func(s endpoint.ClusterState) bool {
		return strings.Contains(gap(s, endpoint.ReasonUnreachable), "namespaces, networksets, nodes, pods, serviceaccounts: the cluster does not answer")
	})
	if l.toldOf("alpha") == told {
		t.Error("nobody was told that it is away")
	}
	l.has("alpha", at.namespace, "stays")

	way.turn(alpha)
	l.is("alpha", "current again", aside(current))
	l.has("alpha", at.namespace, "stays")

	// What a probe finds before the watches do.
	l.Doubt("alpha", endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "no answer to a probe"})
	if s := l.is("alpha", "doubted", stale); gap(s, endpoint.ReasonUnreachable) != "no answer to a probe" {
		t.Errorf("the doubt is told as %+v", s.Gaps)
	}
	way.cut()
	l.is("alpha", "unreachable", func(s endpoint.ClusterState) bool {
		return strings.Contains(gap(s, endpoint.ReasonUnreachable), "pods")
	})
	way.turn(alpha)
	l.is("alpha", "current, as its watches know before a probe does", aside(current))
	l.Doubt("alpha", endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "no answer to a probe"})
	l.is("alpha", "doubted again", stale)
	l.Doubt("alpha", endpoint.Gap{})
	l.is("alpha", "current after a doubt", aside(current))
}

// Another connection to the same cluster, as after a restart of it: what is not in its list goes when that has ended.
func TestNothingGoesBeforeAListHasEnded(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	at, l, id := alone(t, alpha), newLand(t), idOf(t, alpha)
	at.run(t, "stays", nil, nil, "10.4.2.1")
	at.run(t, "goes", nil, nil, "10.4.2.2")
	first := switchTo(t, alpha)
	l.follow("alpha", id, first.config(), within("10.4.0.0/16"))
	l.has("alpha", at.namespace, "goes", "stays")
	l.is("alpha", "current", aside(current))

	first.cut()
	at.remove(t, "goes")
	at.run(t, "comes", nil, nil, "10.4.2.3")
	second := switchTo(t, alpha)
	release := second.holding(func(r *http.Request) bool { return r.URL.Path == "/api/v1/pods" })
	defer release()
	l.follow("alpha", id, second.config(), within("10.4.0.0/16"))
	fleettest.Eventually(t, 30*time.Second, func() error {
		if second.count("/api/v1/pods?") == 0 || second.count("/api/v1/nodes?") == 0 {
			return fmt.Errorf("nothing was asked over the second connection")
		}
		return nil
	})
	if s, _ := l.State("alpha"); !s.Synced || s.StaleSince.IsZero() || gap(s, endpoint.ReasonNotListed) == "" {
		t.Errorf("while it is listed anew the state is %+v", s)
	}
	if got := l.members("alpha", at.namespace); !slices.Equal(got, []string{"goes", "stays"}) {
		t.Errorf("while it is listed anew it has %q", got)
	}
	release()
	l.has("alpha", at.namespace, "comes", "stays")
	l.is("alpha", "current over the second connection", aside(current))
}

func TestTakesNothingFromAnotherClusterUnderTheName(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	way, here, there, l := switchTo(t, alpha), alone(t, alpha), alone(t, beta), newLand(t)
	here.run(t, "ours", nil, nil, "10.4.3.1")
	there.run(t, "theirs", nil, nil, "10.4.3.2")
	l.follow("c", idOf(t, alpha), way.config(), within("10.4.0.0/16"))
	l.has("c", here.namespace, "ours")
	l.is("c", "current", aside(current))

	way.turn(beta)
	l.is("c", "another one", func(s endpoint.ClusterState) bool {
		return stale(s) && strings.Contains(gap(s, endpoint.ReasonOtherCluster), "pods") && strings.Contains(gap(s, endpoint.ReasonOtherCluster), "hostendpoints")
	})
	if got := l.members("c", there.namespace); len(got) > 0 {
		t.Errorf("%q was taken from another cluster", got)
	}
	l.has("c", here.namespace, "ours")

	// It is meant to be another one from now on.
	config := way.config()
	l.follow("c", idOf(t, beta), config, within("10.4.0.0/16"))
	if got := l.members("c", here.namespace); len(got) > 0 {
		t.Errorf("%q stayed of the former cluster", got)
	}
	if s, _ := l.State("c"); s.Synced {
		t.Errorf("before it is listed the new one is %+v", s)
	}
	l.has("c", there.namespace, "theirs")
	for e := range l.Index().Eval(selector.MustParse(fmt.Sprintf("hawser.io/cluster-id == %q", idOf(t, alpha))), "c") {
		t.Errorf("%v has the id of the former cluster", e.ID)
	}
}

// A cluster that was restored from a backup counts its versions again from an earlier one, and tells a watch that knows
// later ones nothing.
func TestListsAClusterAnewThatWentBack(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	way, at, l := switchTo(t, alpha), alone(t, alpha), newLand(t)
	then, err := at.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at.run(t, "later", nil, nil, "10.4.4.1")
	l.follow("alpha", idOf(t, alpha), way.config(), within("10.4.0.0/16"))
	l.has("alpha", at.namespace, "later")
	l.is("alpha", "current", aside(current))

	// A watch that ends at once, without having told anything, is not trusted by whoever opened it.
	at.run(t, "event", nil, nil, "10.4.4.2")
	l.has("alpha", at.namespace, "event", "later")
	listings := func() (n int) { return way.count("/api/v1/pods?", "sendInitialEvents=true") }
	before := listings()
	way.dismiss()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if way.count("/api/v1/pods?") < 2 {
			return fmt.Errorf("the watch of pods was not opened again")
		}
		return nil
	})
	at.run(t, "another", nil, nil, "10.4.4.3")
	l.has("alpha", at.namespace, "another", "event", "later")
	if again := listings(); again != before {
		t.Errorf("a server that went down for a moment was listed anew (%d times, before %d)", again, before)
	}

	way.editing(func(r *http.Request) { // who is asked which cluster he is answers as he was
		if q := r.URL.Query(); q.Get("fieldSelector") == "metadata.name=kube-system" {
			q.Set("resourceVersion", then.ResourceVersion)
			q.Set("resourceVersionMatch", "Exact")
			r.URL.RawQuery = q.Encode()
		}
	})
	way.dismiss()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if listings() == before {
			return fmt.Errorf("its pods were not listed anew")
		}
		return nil
	})
	way.editing(nil)
	l.is("alpha", "current after that", aside(current))
}

func TestBoundsAndCapabilityChangeWhileItIsFollowed(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	way, at, l, id := switchTo(t, alpha), alone(t, alpha), newLand(t), idOf(t, alpha)
	at.run(t, "low", nil, nil, "10.4.5.1")
	at.run(t, "high", nil, nil, "10.4.5.200")
	config := way.config()
	l.follow("alpha", id, config, within("10.4.5.0/24"))
	l.has("alpha", at.namespace, "high", "low")
	l.is("alpha", "current", aside(current))

	// What is not allowed any more goes at once, also where the cluster does not answer.
	way.cut()
	l.is("alpha", "away", stale)
	l.follow("alpha", id, config, within("10.4.5.0/25"))
	if got := l.members("alpha", at.namespace); !slices.Equal(got, []string{"low"}) {
		t.Errorf("after its bounds were narrowed it has %q", got)
	}
	if s, _ := l.State("alpha"); !strings.Contains(gap(s, endpoint.ReasonOutside), "10.4.5.200 of pod "+at.namespace+"/high") {
		t.Errorf("what went is told as %+v", s.Gaps)
	}
	way.turn(alpha)
	l.follow("alpha", id, config, within("10.4.5.128/25"))
	l.has("alpha", at.namespace, "high")
	own := within("10.4.5.0/24")
	own.Never = endpoint.Prefixes(netip.MustParseAddr("10.4.5.1"), netip.MustParseAddr("192.0.2.1"))
	l.follow("alpha", id, config, own)
	l.has("alpha", at.namespace, "high")
	l.is("alpha", "without our own address", func(s endpoint.ClusterState) bool {
		return strings.Contains(gap(s, endpoint.ReasonOwn), "10.4.5.1 of pod")
	})

	l.Bar(endpoint.Cluster{Name: "alpha", ID: id}, endpoint.Gap{Reason: endpoint.ReasonNoCapability, Message: "lacks it"})
	s, ok := l.State("alpha")
	if want := []endpoint.Gap{{Reason: endpoint.ReasonNoCapability, Message: "lacks it"}}; !ok || !s.Synced || !s.StaleSince.IsZero() || cmp.Diff(want, s.Gaps) != "" {
		t.Errorf("a cluster that is to contribute nothing is %+v", s)
	}
	if got := l.members("alpha", at.namespace); len(got) > 0 {
		t.Errorf("it still contributes %q", got)
	}
	l.follow("alpha", id, config, own)
	l.has("alpha", at.namespace, "high")
	l.is("alpha", "listed", func(s endpoint.ClusterState) bool { return s.Synced })

	since := time.Now()
	l.Suspend(endpoint.Cluster{Name: "alpha", Bounds: own}, endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "off"})
	if s, _ := l.State("alpha"); !stale(s) || s.StaleSince.Before(since) || gap(s, endpoint.ReasonDisabled) != "off" || s.ID != id {
		t.Errorf("a cluster that is suspended is %+v", s)
	}
	l.has("alpha", at.namespace, "high")
	<-l.Forget("alpha")
	if _, ok := l.State("alpha"); ok || len(l.Index().Clusters()) > 0 {
		t.Error("a cluster that was forgotten is there")
	}
}

func TestFindsAddressesOfTwoClusters(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	here, there, l := alone(t, alpha), alone(t, beta), newLand(t)
	here.run(t, "one", nil, nil, "10.4.6.1")
	here.run(t, "alone", nil, nil, "10.4.6.2")
	there.run(t, "two", nil, nil, "10.4.6.1")
	there.run(t, "three", nil, nil, "10.4.6.1")
	there.run(t, "apart", nil, nil, "10.4.7.2")
	l.follow("alpha", idOf(t, alpha), switchTo(t, alpha).config(), within("10.4.6.0/24"))
	l.follow("beta", idOf(t, beta), switchTo(t, beta).config(), within("10.4.6.0/23"))
	l.has("alpha", here.namespace, "alone", "one")
	l.has("beta", there.namespace, "apart", "three", "two")
	found, total := l.Duplicates(10)
	want := []endpoint.Duplicate{{Address: netip.MustParseAddr("10.4.6.1"), Of: []endpoint.Owner{
		{Cluster: "alpha", ID: index.ID{Kind: index.Pod, Namespace: here.namespace, Name: "one"}},
		{Cluster: "beta", ID: index.ID{Kind: index.Pod, Namespace: there.namespace, Name: "three"}},
		{Cluster: "beta", ID: index.ID{Kind: index.Pod, Namespace: there.namespace, Name: "two"}},
	}}}
	if diff := cmp.Diff(want, found, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || total != 1 {
		t.Errorf("%d addresses of two clusters (-want +got):\n%s", total, diff)
	}
	told := l.toldOf("beta")
	l.Review()
	s, _ := l.State("beta")
	if want := "10.4.6.1 of pod " + there.namespace + "/three and of pod " + here.namespace + "/one in cluster alpha"; !strings.HasSuffix(gap(s, endpoint.ReasonDuplicate), want) || l.toldOf("beta") == told {
		t.Errorf("the gaps of beta are %+v, want one with %s", s.Gaps, want)
	}
	there.remove(t, "two")
	there.remove(t, "three")
	l.has("beta", there.namespace, "apart")
	l.Review()
	if s, _ := l.State("alpha"); gap(s, endpoint.ReasonDuplicate) != "" {
		t.Errorf("the gaps of alpha are still %+v", s.Gaps)
	}
	if found, total := l.Duplicates(0); len(found) != 0 || total != 0 {
		t.Errorf("when they are gone it found %v of %d", found, total)
	}
}
