package publish

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestWhatBecomesOfAKindConcernsThoseAloneWhoHaveIt, or are to have it: nothing else is made anew.
func TestWhatBecomesOfAKindConcernsThoseAloneWhoHaveIt(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	s.opened()
	p := publisherOf(t, s)
	t.Cleanup(p.queue.close)
	defer s.notify(p.touched)()
	l, err := NewLeader(LeaderOptions{Objects: s})
	if err != nil {
		t.Fatal(err)
	}
	var led []string
	defer l.Notify(func(k Key) { led = append(led, k.Name) })()
	set := func(name string) Key { return Key{Kind: EndpointSet, Name: name} }
	made := map[string]int{}
	put := func(name string, of func(owner) client.Object) {
		p.Put(itemOf(set(name), 1, func() []client.Object {
			made[name]++
			return []client.Object{of(owner{set(name), "a"})}
		}))
		l.selected[set(name)] = map[string]*Cluster{"a": {}}
	}
	sets := func(at owner) client.Object { return networkSet(t, at, at.key.Name, "10.0.0.1/32") }
	lists := func(at owner) client.Object { return configMap(at, "of-"+at.key.Name, 1, 1, "x") }
	put("with", sets)
	put("without", lists)
	base := func(name string, of func(owner) client.Object) outcome {
		t.Helper()
		out, err := l.base(t.Context(), Asked{Key: set(name)}, []client.Object{of(owner{set(name), ""})})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// tries does all that is to be written, and returns what was made, and whom the leader was told of.
	tries := func() (all, leads string) {
		made = map[string]int{}
		p.queue.mu.Lock()
		soon := maps.Clone(p.queue.noted)
		maps.DeleteFunc(soon, func(_ task, due time.Time) bool { return time.Until(due) > p.options.Window }) // what was refused is tried again in a while
		maps.DeleteFunc(p.queue.noted, func(t task, _ time.Time) bool { return !soon[t].IsZero() })
		p.queue.mu.Unlock()
		for its := range soon {
			if its.what == writing {
				p.work(t.Context(), p.queue, its)
			}
		}
		slices.Sort(led)
		leads, led = strings.Join(led, " "), nil
		return strings.Join(slices.Sorted(maps.Keys(made)), " "), leads
	}
	refuses := func(name string) bool {
		e := p.progress[owner{set(name), "a"}].entry
		return e != nil && len(e.Refused) > 0
	}
	for _, name := range []string{"with", "without"} {
		p.work(t.Context(), p.queue, task{set(name), "a", writing})
	}
	base("closed", sets)
	base("open", lists)
	tries()

	k := s.kinds[gnsKind]
	s.set(k, false, errors.New("away"))
	if got, leads := tries(); got != "with" || leads != "closed" || !refuses("with") {
		t.Errorf("when it is away %q is made anew, and the leader is told of %q", got, leads)
	}
	put("new", sets)
	p.work(t.Context(), p.queue, task{set("new"), "a", writing})
	if out := base("open", func(at owner) client.Object { return networkSet(t, at, "more", "10.0.0.1/32") }); len(out.refused) != 1 || !refuses("new") {
		t.Errorf("what is new is written: %+v", out)
	}
	tries()
	s.set(k, false, errors.New("further away"))
	if got, leads := tries(); got != "" || leads != "" {
		t.Errorf("when nothing has changed %q is made anew, and the leader is told of %q", got, leads)
	}
	s.set(k, true, nil)
	if got, leads := tries(); got != "new with" || leads != "closed open" || refuses("with") || refuses("new") {
		t.Errorf("when it is there %q is made anew, and the leader is told of %q", got, leads)
	}

	s.set(k, false, errors.New("away"))
	base("open", func(at owner) client.Object { return networkSet(t, at, "again", "10.0.0.1/32") })
	tries()
	p.Put(itemOf(set("open"), 1, func() []client.Object { return nil }))
	p.Drop(set("open"))
	for at := range k.waiting {
		if at.key == set("open") {
			t.Errorf("%v is gone, and waits still", at)
		}
	}
}
