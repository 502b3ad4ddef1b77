package publish

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// TestWhatHasJustBecomeUnwantedIsNotSweptYet: a cluster that has just come may be known to those who write before it is
// known to the leader.
func TestWhatHasJustBecomeUnwantedIsNotSweptYet(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(1000, 0))
	l := &Leader{options: LeaderOptions{Clock: clock}, unwanted: map[owner]time.Time{}}
	key := Key{Kind: EndpointSet, Name: "shop"}
	a, b := owner{key, "a"}, owner{key, "b"}
	looks := func(after time.Duration, left []owner, wantDue int, wantAgain time.Duration) {
		t.Helper()
		clock.SetTime(clock.Now().Add(after))
		all := map[owner]bool{}
		for _, at := range left {
			all[at] = true
		}
		if due, again := l.due(key, all); len(due) != wantDue || again != wantAgain {
			t.Errorf("due are %v, and then in %s", due, again)
		}
	}
	looks(0, []owner{a}, 0, lag)
	looks(lag/2, []owner{a, b}, 0, lag/2)
	looks(lag/2, []owner{a, b}, 1, lag/2)
	looks(lag/4, []owner{b}, 0, lag/4)
	looks(0, []owner{a}, 0, lag) // it was wanted meanwhile
	looks(0, nil, 0, 0)
}

// TestALeaderIsToldOfItsBusinessAlone: what publishers write of clusters that are selected is not.
func TestALeaderIsToldOfItsBusinessAlone(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	l, err := NewLeader(LeaderOptions{Objects: s})
	if err != nil {
		t.Fatal(err)
	}
	var told []Key
	defer l.Notify(func(k Key) { told = append(told, k) })()
	writes := func(at owner, want bool) {
		t.Helper()
		told = nil
		s.records.put(func() *unstructured.Unstructured {
			o := wantsOf(t, at, configMap(at, "n1", 1, 1, "x"))[0].object
			o.SetUID("u")
			a.version++
			o.SetResourceVersion(strconv.Itoa(a.version))
			return o
		}())
		if (len(told) > 0) != want || want && told[0] != at.key {
			t.Errorf("of %s it is told %v", describe(at), told)
		}
	}
	none, ofB := owner{webSet, ""}, owner{webSet, "b"}
	for _, at := range []owner{none, ofA, ofB} { // of which it does not know what it asks for
		writes(at, true)
	}
	if _, err := l.Keep(t.Context(), Asked{Key: webSet, Scope: v1alpha1.ClusterScope{Names: []string{"a"}}, Clusters: []Cluster{{Name: "a"}, {Name: "b"}}}, nil); err != nil {
		t.Fatal(err)
	}
	writes(none, true)
	writes(ofA, false)
	writes(ofB, true)
	told = nil
	s.tell(owner{}, false) // which there are
	if len(told) != 1 || told[0] != webSet {
		t.Errorf("it is told %v", told)
	}
	if got := s.records.owners(webSet); len(got) != 3 {
		t.Errorf("there are objects for %v", got)
	}
	if err := l.Gone(t.Context(), webSet); err != nil {
		t.Fatal(err)
	}
	if len(s.records.owners(webSet))+len(s.records.keys()) > 0 {
		t.Errorf("there are objects for %v", s.records.owners(webSet))
	}
	writes(ofA, true)
}

// TestWhatCannotBeSweptIsTriedAgain: nothing tells of it when that becomes allowed.
func TestWhatCannotBeSweptIsTriedAgain(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	clock := testingclock.NewFakePassiveClock(time.Unix(1000, 0))
	l, err := NewLeader(LeaderOptions{Objects: s, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write(t.Context(), ofA, wantsOf(t, ofA, configMap(ofA, "n1", 1, 1, "x")), manner{}); err != nil {
		t.Fatal(err)
	}
	a.failing(http.StatusForbidden, http.MethodDelete, cmPath("n1", "web-a"))
	keeps := func(after time.Duration, wantAgain time.Duration, wantObjects int) {
		t.Helper()
		clock.SetTime(clock.Now().Add(after))
		again, err := l.Keep(t.Context(), Asked{Key: webSet}, nil)
		if err != nil || again != wantAgain {
			t.Errorf("it is tried again in %s (%v)", again, err)
		}
		if got := a.has(); len(got) != wantObjects {
			t.Errorf("there is %v", got)
		}
	}
	keeps(0, lag, 1)
	for range 2 {
		keeps(lag, l.options.LookAgain, 1)
	}
	a.failing(0, "", "")
	keeps(l.options.LookAgain, 0, 0)
}
