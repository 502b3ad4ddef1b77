package publish

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/fleettest"
)

// TestAnAPIThatHangsStopsNoOther, neither while it is waited for, nor since it was tried often.
func TestAnAPIThatHangsStopsNoOther(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	s.deadline, s.repose = 1500*time.Millisecond, 500*time.Millisecond
	a.failing(hangs, http.MethodPost, gnsPath)
	p := publisherOf(t, s)
	const many = 40
	want := map[string]string{}
	for i := range many {
		key := Key{Kind: EndpointSet, Name: fmt.Sprintf("s%02d", i)}
		at, namespace := owner{key, "a"}, fmt.Sprintf("n%02d", i)
		objects := []client.Object{configMap(at, namespace, 1, 1, "x")}
		want[cmPath(namespace, "web-a")] = "x"
		if i < many/2 {
			objects = append([]client.Object{networkSet(t, at, key.Name, "10.0.0.1/32")}, objects...)
		}
		p.Put(itemOf(key, 1, func() []client.Object { return objects }))
	}
	began := time.Now()
	fleettest.Background(t, "the publisher", p.Start)
	fleettest.Eventually(t, 30*time.Second, func() error {
		if got := a.has(); !maps.Equal(got, want) {
			return fmt.Errorf("%d of %d ConfigMaps are there", len(got), len(want))
		}
		return nil
	})
	if took := time.Since(began); took > s.deadline {
		t.Errorf("it takes %s", took)
	}
	fleettest.Eventually(t, 30*time.Second, func() error { // which was asked, and is asked no more for a while
		p.mu.Lock()
		defer p.mu.Unlock()
		e := p.progress[owner{Key{Kind: EndpointSet, Name: "s07"}, "a"}]
		if e == nil || e.entry == nil || !slices.ContainsFunc(e.entry.Refused, func(r string) bool { return strings.Contains(r, "the API of globalnetworksets did not answer in time") }) {
			return fmt.Errorf("it says %+v", e)
		}
		return nil
	})
	a.mu.Lock()
	most := a.atOnce["globalnetworksets"]
	asked := a.asked["POST "+gnsPath]
	a.mu.Unlock()
	if most > atATime || asked > 3*atATime {
		t.Errorf("it was asked %d times, %d at a time", asked, most)
	}
	a.failing(0, "", "")
	fleettest.Eventually(t, 30*time.Second, func() error {
		if got := a.has(); len(got) != many+many/2 {
			return fmt.Errorf("there are %d objects", len(got))
		}
		return nil
	})
}

// TestWhereOurOwnAPIIsSlowSomeStillWork: it is asked by all, as long as it answers.
func TestWhereOurOwnAPIIsSlowSomeStillWork(t *testing.T) {
	clock := newClock()
	s := &Objects{clock: clock}
	k := &following{}
	enter := func() error { return s.turn(ofA, true).enter(k, ref{}) }
	answered := func(silent bool) { k.answers.came("", clock.Now(), clock.Now(), silent, repose) }
	for range 2 * atATime {
		if err := enter(); err != nil {
			t.Fatal(err)
		}
	}
	clock.Step(slow)
	answered(false)
	clock.Step(slow)
	if err := enter(); err != nil {
		t.Error(err)
	}
	clock.Step(1)
	var l *later
	if err := enter(); !errors.As(err, &l) || l.after != busy || l.text != "" {
		t.Errorf("when it has said nothing for a while: %v", err)
	}
	answered(false)
	if err := enter(); err != nil {
		t.Errorf("when it has answered: %v", err)
	}
	answered(true)
	if err := enter(); !errors.As(err, &l) || l.after != repose || l.text == "" {
		t.Errorf("when it has not answered: %v", err)
	}
	clock.Step(repose)
	if err := enter(); !errors.As(err, &l) || l.after != busy {
		t.Errorf("when it is asked again, and several still wait: %v", err)
	}
	for range k.answers.in[""].writers {
		k.answers.leave("")
	}
	for i, want := range []bool{true, true, false} {
		if err := enter(); (err == nil) != want {
			t.Errorf("when it is asked again, the one after %d others: %v", i, err)
		}
	}
	k.answers.came("", clock.Now().Add(-late-1), clock.Now(), false, repose)
	if err := enter(); !errors.As(err, &l) || l.after != busy {
		t.Errorf("when it has answered late: %v", err)
	}
}

// TestANamespaceThatHangsHoldsUpNoOther of the same kind: it may be a webhook of it alone.
func TestANamespaceThatHangsHoldsUpNoOther(t *testing.T) {
	clock := newClock()
	s := &Objects{clock: clock}
	k := &following{}
	enter := func(namespace string) error { return s.turn(ofA, true).enter(k, ref{namespace: namespace}) }
	came := func(namespace string, silent bool) {
		k.answers.came(namespace, clock.Now(), clock.Now(), silent, repose)
		k.answers.leave(namespace)
	}
	may := func(when, namespace string, after time.Duration) {
		t.Helper()
		var l *later
		switch err := enter(namespace); {
		case after == 0 && err != nil, after > 0 && (!errors.As(err, &l) || l.after != after):
			t.Errorf("%s: %v", when, err)
		case err == nil:
			k.answers.leave(namespace)
		}
	}
	for range atATime {
		if err := enter("hangs"); err != nil {
			t.Fatal(err)
		}
	}
	clock.Step(time.Minute)
	may("one more in it", "hangs", busy)
	may("one in another, although nothing was heard for long", "n1", 0)
	came("hangs", true)
	may("when it did not answer", "hangs", repose)
	may("another then", "n1", 0)
	if err := enter("n1"); err != nil {
		t.Fatal(err)
	}
	came("n1", false)
	if err := enter("n2"); err != nil {
		t.Fatal(err)
	}
	came("n2", true)
	may("a second one that did not answer, after one that did", "n2", repose)
	may("all others then", "n1", 0)

	came("hangs", true)
	may("a second one that did not answer, while none did", "n1", repose)
	clock.Step(repose)
	for _, namespace := range []string{"n1", "n3", "n4"} {
		if err := enter(namespace); err != nil {
			t.Errorf("some find out whether it answers again: %v", err)
		}
	}
	may("others wait for these", "n5", busy)
	came("n3", false)
	may("it does", "n5", 0)
}

// TestANamespaceThatHangsIsWrittenAlone lets no other object of the kind wait.
func TestANamespaceThatHangsIsWrittenAlone(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	s.deadline, s.repose = 1500*time.Millisecond, 500*time.Millisecond
	a.failing(hangs, http.MethodPost, "/api/v1/namespaces/bad/")
	p := publisherOf(t, s)
	const many = 20
	want := map[string]string{}
	for i := range many {
		key := Key{Kind: EndpointSet, Name: fmt.Sprintf("s%02d", i)}
		at, namespace := owner{key, "a"}, fmt.Sprintf("n%02d", i)
		want[cmPath(namespace, "web-a")] = "x"
		p.Put(itemOf(key, 1, func() []client.Object {
			bad := configMap(at, "bad", 1, 1, "x")
			bad.SetName(key.Name)
			return []client.Object{configMap(at, namespace, 1, 1, "x"), bad}
		}))
	}
	began := time.Now()
	fleettest.Background(t, "the publisher", p.Start)
	fleettest.Eventually(t, 30*time.Second, func() error {
		if got := a.has(); !maps.Equal(got, want) {
			return fmt.Errorf("%d of %d ConfigMaps are there", len(got), len(want))
		}
		return nil
	})
	if took := time.Since(began); took > 3*s.deadline {
		t.Errorf("it takes %s", took)
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		e := p.progress[owner{Key{Kind: EndpointSet, Name: "s19"}, "a"}]
		if e == nil || e.entry == nil || !slices.ContainsFunc(e.entry.Refused, func(r string) bool { return strings.Contains(r, `did not answer in time for namespace "bad"`) }) {
			return fmt.Errorf("it says %+v", e)
		}
		return nil
	})
}

// TestThatOthersAreAtWorkIsNotTold: it is as soon as that is done.
func TestThatOthersAreAtWorkIsNotTold(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	p := publisherOf(t, s)
	t.Cleanup(p.queue.close)
	p.Put(itemOf(webSet, 1, func() []client.Object {
		return []client.Object{networkSet(t, ofA, "web", "10.0.0.1/32"), configMap(ofA, "n1", 1, 1, "x")}
	}))
	its := task{webSet, "a", writing}
	for range atATime {
		if err := s.turn(ofA, true).enter(s.kinds[gnsKind], ref{kind: gnsKind}); err != nil {
			t.Fatal(err)
		}
	}
	p.work(t.Context(), p.queue, its)
	if e := p.progress[ofA].entry; e != nil || len(a.has()) != 1 {
		t.Errorf("there is %v, and it says %+v", a.has(), e)
	}
	if due, noted := p.queue.noted[its]; !noted || time.Until(due) > busy {
		t.Errorf("it is tried again at %s", due)
	}
	for range atATime {
		s.kinds[gnsKind].answers.leave("")
	}
	p.work(t.Context(), p.queue, its)
	if e := p.progress[ofA].entry; e == nil || e.Objects != 2 || e.ObservedGeneration != 1 || len(e.Refused) > 0 {
		t.Errorf("then it says %+v", e)
	}
}

// TestAListThatHangsHoldsUpItsKindAlone, from a while after the start.
func TestAListThatHangsHoldsUpItsKindAlone(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	for _, k := range s.kinds {
		k.synced = k.gvk.GroupKind() != gnsKind
	}
	wants := wantsOf(t, ofA, configMap(ofA, "n1", 1, 1, "x"), networkSet(t, ofA, "web", "10.0.0.1/32"))
	if s.enough() {
		t.Error("before it has begun, everything is known")
	}
	s.began = time.Now()
	if s.enough() {
		t.Error("at once, everything is known")
	}
	s.began = s.began.Add(-settling)
	if !s.enough() || s.Settled() {
		t.Error("it waits for ever")
	}
	out, err := s.write(t.Context(), ofA, wants, manner{})
	if err != nil || out.objects != 1 || !out.waiting || len(out.told()) > 0 || len(a.has()) != 1 {
		t.Errorf("there is %v: %+v (%v)", a.has(), out, err)
	}

	l, err := NewLeader(LeaderOptions{Objects: s})
	if err != nil {
		t.Fatal(err)
	}
	dbSet := Key{Kind: EndpointSet, Name: "db"}
	base := []client.Object{networkSet(t, owner{dbSet, ""}, "base", "10.0.0.1/32")}
	if again, err := l.Keep(t.Context(), Asked{Key: dbSet}, base); err != nil || again == 0 || again > time.Second {
		t.Errorf("the leader looks again in %s (%v)", again, err)
	}
	before := a.requests() // nobody knows by which selector something was made last
	if again, err := l.Keep(t.Context(), Asked{Key: dbSet, Refused: []Statement{{v1alpha1.ReasonSelectorInvalid, "x"}}}, nil); err != nil || again != time.Second || a.requests() > before {
		t.Errorf("the leader looks again in %s (%v)", again, err)
	}

	// It is listed until it is known to hang.
	a = newAPI(t)
	a.fails = func(method, path string) int {
		switch {
		case path == "/apis/projectcalico.org/v3":
			return 0
		case strings.HasPrefix(path, gnsPath):
			return hangs
		}
		return 0
	}
	a.served = map[string][]string{"/apis/projectcalico.org/v3": {"globalnetworksets"}}
	s = a.following(t)
	s.answering = 300 * time.Millisecond
	for _, k := range s.kinds {
		k.synced = false
	}
	fleettest.Background(t, "the objects", s.Start)
	fleettest.Eventually(t, 30*time.Second, func() error {
		if _, _, err := s.serves(gnsKind, ofA); !s.Settled() || err == nil || !strings.Contains(err.Error(), "following globalnetworksets") {
			return fmt.Errorf("it is known of each kind what there is: %t (%w)", s.Settled(), err)
		}
		return nil
	})

	// Whoever waits for a kind that is not there lets it be looked for once in a while.
	other := networkSet(t, ofA, "x", "10.0.0.1/32").DeepCopyObject().(client.Object)
	other.GetObjectKind().SetGroupVersionKind(calico.CIDRGroups.GVK())
	for range 50 {
		if out, err := s.write(t.Context(), ofA, wantsOf(t, ofA, other), manner{}); err != nil || len(out.refused) != 1 {
			t.Fatal(out, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.asked["GET /apis/cilium.io/v2"]; n > 1 {
		t.Errorf("it was looked for %d times", n)
	}
}
