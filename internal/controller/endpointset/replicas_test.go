package endpointset_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
)

// TestNothingIsWrittenOnTheWordOfAClusterThatWasNotListed: after a restart, and when a connection is lost.
func TestNothingIsWrittenOnTheWordOfAClusterThatWasNotListed(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	b := s.cluster("b")
	r.follow(b)
	s.set("has(app)", []string{a, b}, s.configMap())
	s.has(a, "10.0.0.1/32")
	versions := s.versions(a)
	n := 0
	others := func() { // b is written meanwhile, so that a would have been
		t.Helper()
		n++
		r.pod(b, "one", web, fmt.Sprintf("10.1.0.%d", n))
		s.has(b, fmt.Sprintf("10.1.0.%d/32", n))
		if after := s.versions(a); !slices.Equal(versions, after) {
			t.Fatalf("it was written: %v, then %v", versions, after)
		}
	}
	others()
	r.forget(a) // the connection is gone, and its RemoteCluster is not
	others()
	r.Stop()
	r = s.replica(newBook(), nil)
	r.know(endpoint.ClusterState{Name: a, StaleSince: s.clock.Now()})
	r.follow(b)
	r.pod(a, "two", web, "10.0.0.2") // of a list that has not ended
	others()
	r.know(endpoint.ClusterState{Name: a, StaleSince: s.clock.Now(), Gaps: []endpoint.Gap{{Reason: "NotListedYet", Message: "not everything was listed yet"}}})
	s.clock.Step(time.Minute)
	es := s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, a+": not heard of since", "NotListedYet")
	entry := func(e v1alpha1.FederatedCluster) bool {
		return e.Name == a && e.Addresses == 1 && e.Objects == 1 && !e.Expired
	}
	if !slices.ContainsFunc(es.Status.Clusters, entry) {
		t.Errorf("the entries are %+v", es.Status.Clusters)
	}
	others()
	r.pod(a, "three", web, "10.0.0.4")
	r.follow(a)
	s.has(a, "10.0.0.2/32", "10.0.0.4/32")
	s.says(v1alpha1.Complete, metav1.ConditionTrue, v1alpha1.ReasonAllClusters)
}

func TestAddressesExpireAlsoOverARestart(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	es := s.set("has(app)", []string{a}, s.configMap())
	s.edit(es, func() {
		es.Spec.Staleness = &v1alpha1.Staleness{Policy: v1alpha1.StalenessExpire, ExpireAfter: &metav1.Duration{Duration: time.Hour}, Settle: &metav1.Duration{Duration: 10 * time.Minute}}
	})
	s.has(a, "10.0.0.1/32")
	annotation := func(name string) (value string) {
		t.Helper()
		for cm := range s.configMaps(a) {
			value = cm.Annotations[name]
		}
		return value
	}
	since := s.clock.Now()
	r.know(endpoint.ClusterState{Name: a, Synced: true, StaleSince: since})
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, "not heard of since "+since.UTC().Format(time.RFC3339))
	if got := annotation(publish.StaleSinceAnnotation); got != "" { // it may be heard of in a moment
		t.Errorf("it is stale since %q", got)
	}
	s.clock.Step(30 * time.Minute)
	eventually(t, func() error {
		if got := annotation(publish.StaleSinceAnnotation); got != since.UTC().Format(time.RFC3339) {
			return fmt.Errorf("it is stale since %q", got)
		}
		return nil
	})
	r.Stop()
	r = s.replica(newBook(), nil)
	r.know(endpoint.ClusterState{Name: a, StaleSince: s.clock.Now()}) // as far as this process knows
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.has(a, "10.0.0.1/32")
	s.clock.Step(30 * time.Minute)
	s.has(a)
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, "its addresses were taken away")

	r.Stop()
	r = s.replica(newBook(), nil)
	r.follow(a)
	r.pod(a, "one", web, "10.0.0.1")
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, "come back when it was heard of for long enough")
	s.has(a)
	if annotation(publish.ExpiredAnnotation) != "true" {
		t.Error("it is not marked as expired")
	}
	s.clock.Step(10 * time.Minute)
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Complete, metav1.ConditionTrue, v1alpha1.ReasonAllClusters)
	if got := annotation(publish.ExpiredAnnotation) + annotation(publish.StaleSinceAnnotation); got != "" {
		t.Errorf("annotations are left: %s", got)
	}
}

// TestADecisionCountsForAClusterThatIsNotHeardOf after a restart, too, when nobody knows what the cluster has.
func TestADecisionCountsForAClusterThatIsNotHeardOf(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.cluster("a")
	r := s.replica(newBook(), nil)
	r.know(endpoint.ClusterState{Name: a, ID: "x", Synced: true})
	r.pod(a, "one", web, "10.0.0.1")
	es := s.set("has(app)", []string{a}, s.configMap(), s.networkPolicy())
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	restart := func(id string) {
		t.Helper()
		r.Stop()
		r = s.replica(newBook(), nil)
		r.know(endpoint.ClusterState{Name: a, ID: id, StaleSince: s.clock.Now()})
	}
	back := func(id string) {
		t.Helper()
		r.know(endpoint.ClusterState{Name: a, ID: id, Synced: true})
		r.pod(a, "one", web, "10.0.0.1")
		s.has(a, "10.0.0.1/32")
		s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	}
	restart("x")
	s.clock.Step(time.Minute)
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, a+": not heard of since")
	s.has(a, "10.0.0.1/32") // nobody has decided anything
	s.edit(es, func() { es.Spec.Selector, es.Spec.Outputs = `app == "web"`, es.Spec.Outputs[:1] })
	s.says(v1alpha1.Ready, metav1.ConditionUnknown, v1alpha1.ReasonPending, a+" (it is not heard of, and generation 1 was the last")
	s.clock.Step(time.Minute)
	s.has(a)
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, "Withdrawn: what was made of it was of generation 1")
	s.says(v1alpha1.Ready, metav1.ConditionUnknown, v1alpha1.ReasonPending)
	if got := s.blocks(false); len(got) > 0 {
		t.Errorf("of the output that was taken away there is %v", got)
	}
	back("x")

	restart("y")
	s.has(a)
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, "Withdrawn: what was made of it was of another cluster")
	back("y")
}

// TestReplicasThatShareClustersMakeTheWholeTogether under churn, and while clusters change hands.
func TestReplicasThatShareClustersMakeTheWholeTogether(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	names := []string{s.cluster("a"), s.cluster("b"), s.cluster("c")}
	owner := map[string]int{names[0]: 0, names[1]: 1, names[2]: 1}
	replicas := []*replica{s.replica(newBook(), nil), s.replica(newBook(), nil)}
	truth := map[string]map[string]string{} // addresses by pod, by cluster
	for _, c := range names {
		replicas[owner[c]].follow(c)
		truth[c] = map[string]string{}
	}
	s.set(`app == "web"`, names, s.configMap(), s.networkPolicy())
	random := rand.New(rand.NewPCG(1, 2))
	churn := func(n int) {
		for range n {
			c := names[random.IntN(len(names))]
			pod := fmt.Sprintf("p%d", random.IntN(20))
			address := fmt.Sprintf("10.%d.%d.%d", slices.Index(names, c), random.IntN(3), random.IntN(256))
			switch random.IntN(4) {
			case 0:
				replicas[owner[c]].remove(c, pod)
				delete(truth[c], pod)
			case 1:
				replicas[owner[c]].pod(c, pod, map[string]string{"app": "db"}, address)
				delete(truth[c], pod)
			default:
				replicas[owner[c]].pod(c, pod, web, address)
				truth[c][pod] = address
			}
		}
	}
	compare := func() {
		t.Helper()
		want := []netip.Prefix{}
		for _, pods := range truth {
			for _, a := range pods {
				want = append(want, netip.PrefixFrom(netip.MustParseAddr(a), 32))
			}
		}
		want = publish.Distinct(want)
		eventually(t, func() error {
			for what, texts := range map[string][]string{"ConfigMaps": s.texts(""), "NetworkPolicies": s.blocks(true)} {
				if got := alone(texts); !slices.Equal(got, want) {
					return fmt.Errorf("%s have %v, want %v", what, got, want)
				}
			}
			return nil
		})
	}
	for round := range 4 {
		churn(150)
		compare()
		c, from := names[round%len(names)], owner[names[round%len(names)]]
		<-replicas[from].publisher.Disown(c)
		replicas[from].forget(c)
		churn0 := replicas[1-from]
		churn0.publisher.Own(c)
		churn0.know(endpoint.ClusterState{Name: c, StaleSince: s.clock.Now()})
		owner[c] = 1 - from
		for pod, address := range truth[c] {
			churn0.pod(c, pod, web, address)
		}
		churn0.follow(c)
		churn(50)
	}
	compare()
	es := s.says(v1alpha1.Complete, metav1.ConditionTrue, v1alpha1.ReasonAllClusters)
	if len(es.Status.Clusters) != len(names) {
		t.Errorf("the status is %+v", es.Status)
	}
}

// alone are the addresses of prefixes, one by one.
func alone(texts []string) []netip.Prefix {
	all := []netip.Prefix{}
	for _, text := range texts {
		p := netip.MustParsePrefix(text)
		for a := p.Addr(); p.Contains(a); a = a.Next() {
			all = append(all, netip.PrefixFrom(a, 32))
		}
	}
	return publish.Distinct(all)
}

func TestAHundredThousandAddressesInOneSet(t *testing.T) {
	s := newScene(t)
	a := s.cluster("a")
	r := s.replica(newBook(), nil)
	r.follow(a)
	part := r.part(a)
	pod := func(i uint32) *index.Endpoint {
		spread := i * 2654435761
		address := netip.AddrFrom4([4]byte{10, byte(spread >> 24), byte(spread >> 16), byte(spread >> 8)})
		return &index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("p", i)}, Labels: []index.Label{{Name: "app", Value: "web"}}, Addresses: []netip.Prefix{netip.PrefixFrom(address, 32)}}
	}
	const many = 100_000
	for i := range uint32(many) {
		part.Set(pod(i))
	}
	s.set("has(app)", []string{a}, s.configMap())
	pieces := func() (versions map[string]string, addresses int) {
		t.Helper()
		versions = map[string]string{}
		for cm := range s.configMaps(a) {
			if size := len(cm.Data["addresses"]); size > 64<<10 {
				t.Errorf("%s has %d bytes", cm.Name, size)
			}
			versions[cm.Name] = cm.ResourceVersion
			addresses += len(strings.Fields(cm.Data["addresses"]))
		}
		return versions, addresses
	}
	total := func(want int64) {
		t.Helper()
		eventually(t, func() error {
			var es v1alpha1.EndpointSet
			if err := s.admin.Get(t.Context(), client.ObjectKey{Name: s.name}, &es); err != nil || es.Status.Addresses != want {
				return fmt.Errorf("there are %d addresses (%w)", es.Status.Addresses, err)
			}
			return nil
		})
	}
	total(many)
	before, n := pieces()
	if n != many {
		t.Fatalf("%d ConfigMaps have %d addresses", len(before), n)
	}
	writes := s.writes.Load()
	part.Delete(pod(7).ID)
	total(many - 1)
	if n := s.writes.Load() - writes; n != 1 {
		t.Errorf("one change takes %d requests", n)
	}
	after, n := pieces()
	var changed []string
	for name, version := range after {
		if before[name] != version {
			changed = append(changed, name)
		}
	}
	if n != many-1 || len(changed) != 1 || len(after) != len(before) {
		t.Errorf("one change has written %v of %d objects, which have %d addresses", changed, len(after), n)
	}
	r.Stop() // what it made is much, and others are told of it
	if err := s.admin.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
}

// TestAClusterThatIsLostWhileItIsReadTakesNothingAway: the index has nothing of it any more, and that says nothing.
func TestAClusterThatIsLostWhileItIsReadTakesNothingAway(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	b := s.cluster("b")
	r.follow(b)
	s.set("has(app)", []string{a, b}, s.configMap())
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	versions := s.versions(a)
	r.asked(a, func() { r.forget(a) })
	r.pod(a, "two", web, "10.0.0.3")
	eventually(t, func() error {
		if len(r.States()) > 1 {
			return errors.New("it was not read")
		}
		return nil
	})
	r.pod(b, "one", web, "10.1.0.1")
	s.has(b, "10.1.0.1/32")
	if after := s.versions(a); !slices.Equal(versions, after) {
		t.Errorf("it was written: %v, then %v", versions, after)
	}
}

// TestAnItemThatIsReplacedWhileItIsReadTakesNothingAway: its selectors have ended, and have no members any more.
func TestAnItemThatIsReplacedWhileItIsReadTakesNothingAway(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	es := s.set("has(app)", []string{a}, s.configMap())
	s.has(a, "10.0.0.1/32")
	item := func(text string) publish.Item {
		es.Spec.Selector = text
		return *set.Read(es, "").Item
	}
	var written sync.Map
	first := item(`app == "web"`)
	first.Generation, first.Render = 100, func(req publish.Request) (publish.Rendered, error) {
		next := item(`app != "db"`)
		next.Generation = 101
		render := next.Render
		next.Render = func(req publish.Request) (publish.Rendered, error) {
			rendered, err := render(req)
			written.Store(rendered.Addresses, true)
			return rendered, err
		}
		r.publisher.Put(next)
		return render(req) // of selectors that are closed
	}
	seen := s.watch()
	r.publisher.Put(first)
	eventually(t, func() error {
		if _, ok := written.Load(1); !ok {
			return errors.New("the next one was not rendered")
		}
		return nil
	})
	r.pod(a, "two", web, "10.0.0.3")
	s.has(a, "10.0.0.1/32", "10.0.0.3/32")
	for _, texts := range seen() {
		if !slices.Contains(texts, "10.0.0.1/32") {
			t.Errorf("for a while there was %v", texts)
		}
	}
}

// watch records what ConfigMaps of the set have together, after each change, until it is asked for.
func (s *scene) watch() (seen func() [][]string) {
	s.t.Helper()
	watching, err := s.Client().CoreV1().ConfigMaps(s.namespace).Watch(s.t.Context(), metav1.ListOptions{LabelSelector: publish.SetLabel + "=" + s.name})
	if err != nil {
		s.t.Fatal(err)
	}
	var all [][]string
	done := make(chan struct{})
	go func() { // ends when the watch is stopped
		defer close(done)
		have := map[string][]string{}
		for e := range watching.ResultChan() {
			cm, ok := e.Object.(*corev1.ConfigMap)
			if !ok {
				continue
			}
			have[cm.Name] = strings.Fields(cm.Data["addresses"])
			if e.Type == apiwatch.Deleted {
				delete(have, cm.Name)
			}
			all = append(all, slices.Concat(slices.Collect(maps.Values(have))...))
		}
	}()
	return func() [][]string {
		watching.Stop()
		<-done
		return all
	}
}

// TestAddressesThatMoveToAnotherObjectAreAlwaysInOne, as the number of objects grows and shrinks.
func TestAddressesThatMoveToAnotherObjectAreAlwaysInOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.cluster("a")
	r := s.replica(newBook(), nil)
	r.follow(a)
	pod := func(i int) { r.pod(a, fmt.Sprint("p", i), web, fmt.Sprintf("10.%d.%d.1", i/256, i%256)) }
	const few, many = 500, publish.PieceSize + 500
	for i := range few {
		pod(i)
	}
	s.set("has(app)", []string{a}, s.configMap())
	count := func(addresses, objects int) {
		t.Helper()
		eventually(t, func() error {
			if got, n := len(s.texts(a)), len(s.versions(a)); got != addresses || n != objects {
				return fmt.Errorf("%d objects have %d addresses", n, got)
			}
			return nil
		})
	}
	count(few, 1)
	seen := s.watch()
	for i := few; i < many; i++ {
		pod(i)
	}
	count(many, 2)
	for i := few; i < many; i++ {
		r.remove(a, fmt.Sprint("p", i))
	}
	count(few, 1)
	states := seen()
	for _, texts := range states[1:] {
		have := map[string]bool{}
		for _, text := range texts {
			have[text] = true
		}
		for i := range few {
			if want := fmt.Sprintf("10.%d.%d.1/32", i/256, i%256); !have[want] {
				t.Fatalf("for a while %s was missing", want)
			}
		}
	}
	if len(states) < 4 {
		t.Errorf("only %d changes were seen", len(states))
	}
}

func TestTwoNamesThatLeadToOneObjectAreRefused(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	s.set("has(app)", []string{a}, s.configMap())
	s.has(a, "10.0.0.1/32")
	other := s.configMap()
	other.Name = "x"
	// The set s1-cm with output x, of cluster y, and s1 with output cm, of cluster x-y, are both s1-cm-x-y.
	long := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "x-" + a}}
	long.Spec.Server, long.Spec.Auth.Type = "https://nowhere.example", v1alpha1.AuthBearerToken
	if err := s.admin.Create(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Delete(context.Background(), long) })
	r.follow(long.Name)
	var es v1alpha1.EndpointSet
	es.Name = s.name
	s.edit(&es, func() { es.Spec.Clusters.Names = []string{a, long.Name} })
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	s.has(a, "10.0.0.1/32")
	second := &scene{Cluster: s.Cluster, t: t, admin: s.admin, namespace: s.namespace, name: s.name + "-cm"}
	second.set("has(app)", []string{a}, other)
	second.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, "is made for EndpointSet "+s.name, "two names lead to it")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

// TestAnEntryThatSomebodyTakesAwayIsWrittenAgain, such as a leader that did not know of the cluster yet.
func TestAnEntryThatSomebodyTakesAwayIsWrittenAgain(t *testing.T) {
	t.Parallel()
	s, a, _ := followed(t)
	es := s.set("has(app)", []string{a}, s.configMap())
	s.says(v1alpha1.Complete, metav1.ConditionTrue, v1alpha1.ReasonAllClusters)
	if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(es), es); err != nil {
		t.Fatal(err)
	}
	es.Status.Clusters = nil
	if err := s.admin.Status().Update(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(es), es); err != nil || len(es.Status.Clusters) != 1 {
			return fmt.Errorf("the entries are %v (%w)", es.Status.Clusters, err)
		}
		return nil
	})
}
