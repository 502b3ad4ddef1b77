package publish

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// seeking is a policy that takes endpoints from clusters a and b, and what this process knows of them and of "here".
type seeking struct {
	known
	asked Asked
	parts map[string]*index.Cluster
	told  Unmatched
	now   time.Time
}

func newSeeking() *seeking {
	s := &seeking{known: known{index.New(), map[string]endpoint.ClusterState{}}, parts: map[string]*index.Cluster{}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	for _, name := range []string{"a", "b", "here"} {
		s.states[name] = endpoint.ClusterState{Name: name, Synced: true}
		s.parts[name], _ = s.index.Cluster(name, "")
		s.asked.Status.Clusters = append(s.asked.Status.Clusters, v1alpha1.FederatedCluster{Name: name})
	}
	s.asked.Key = Key{FederatedNetworkPolicy, "shop", "web"}
	s.asked.Scope = v1alpha1.ClusterScope{All: true}
	s.asked.Clusters = []Cluster{{Name: "a"}, {Name: "b"}, {Name: "here", Local: true}}
	return s
}

var seekingPod = index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}

func (s *seeking) put(cluster string, id index.ID) {
	s.parts[cluster].Set(&index.Endpoint{ID: id, Labels: []index.Label{{Name: "app", Value: "web"}}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")},
		Ports: []index.Port{{Name: "http", Protocol: "TCP", Number: 8080}}})
}

// says are the fields that are told of, or what is told instead of fields.
func (s *seeking) says(t *testing.T, by Followed, sought ...Sought) (fields string, again bool) {
	t.Helper()
	n := s.told.Look(&s.asked, by, s.now, sought...)
	warned, again := n.Warned, n.Again
	if len(warned) == 0 {
		return "", again
	}
	if len(warned) != 1 || warned[0].Reason != v1alpha1.ReasonSelectsNothing {
		t.Fatalf("it says %v", warned)
	}
	var all []string
	for line := range strings.Lines(warned[0].Message) {
		field, _, _ := strings.Cut(strings.TrimSpace(line), ": ")
		all = append(all, field)
	}
	return strings.Join(all, " "), again
}

func TestWhichSelectorsMatchNothingNow(t *testing.T) {
	web, wbe := Sought{Field: "web", Selector: selector.MustParse("app == 'web'")}, Sought{Field: "wbe", Selector: selector.MustParse("app == 'wbe'")}
	own := Sought{Field: "own", Selector: web.Selector, Local: "here"}
	set := index.ID{Kind: index.NetworkSet, Namespace: "shop", Name: "web"}
	port := func(of Sought, name, protocol string) Sought {
		of.Field, of.Port = name+"/"+protocol, index.Port{Name: name, Protocol: protocol}
		return of
	}
	for name, tt := range map[string]struct {
		put     map[string]index.ID
		change  func(*seeking)
		without bool // anything that is followed
		sought  []Sought
		want    string
		again   bool
	}{
		"one beside another that matches":            {put: map[string]index.ID{"b": seekingPod}, sought: []Sought{web, wbe}, want: "wbe", again: true},
		"all of them":                                {sought: []Sought{web, wbe}, want: "web wbe", again: true},
		"none of them":                               {put: map[string]index.ID{"b": seekingPod, "here": seekingPod}, sought: []Sought{web, own}},
		"what another cluster has":                   {put: map[string]index.ID{"here": seekingPod}, sought: []Sought{web, own}, want: "web", again: true},
		"the policy's own, which has no pod here":    {put: map[string]index.ID{"a": seekingPod}, sought: []Sought{web, own}, want: "own", again: true},
		"the policy's own, which a set matches":      {put: map[string]index.ID{"here": set}, sought: []Sought{own}, want: "own", again: true},
		"a peer that a set matches":                  {put: map[string]index.ID{"a": set}, sought: []Sought{web}},
		"a port that a pod has":                      {put: map[string]index.ID{"b": seekingPod}, sought: []Sought{port(web, "http", "TCP")}},
		"ports that none has":                        {put: map[string]index.ID{"b": seekingPod}, sought: []Sought{port(web, "http", "UDP"), port(web, "sql", "TCP")}, want: "http/UDP sql/TCP", again: true},
		"a port of nobody":                           {sought: []Sought{web, port(web, "sql", "TCP")}, want: "web", again: true},
		"a port of the policy's own":                 {put: map[string]index.ID{"a": seekingPod, "here": seekingPod}, sought: []Sought{port(own, "http", "TCP"), port(own, "sql", "TCP")}, want: "sql/TCP", again: true},
		"a port of the policy's own, which are away": {put: map[string]index.ID{"a": seekingPod, "here": set}, sought: []Sought{port(own, "sql", "TCP")}},
		"nobody follows anything here":               {sought: []Sought{web, own}, without: true},
		"somebody else follows a cluster":            {change: func(s *seeking) { delete(s.states, "b") }, sought: []Sought{web, own}, want: "own", again: true},
		"a cluster was not listed since a restart":   {change: func(s *seeking) { s.states["b"] = endpoint.ClusterState{Name: "b"} }, sought: []Sought{web}, again: true},
		"the local cluster was not listed":           {change: func(s *seeking) { s.states["here"] = endpoint.ClusterState{Name: "here"} }, sought: []Sought{own}, again: true},
		"the local cluster is not followed":          {change: func(s *seeking) { delete(s.states, "here") }, sought: []Sought{own}},
		"no cluster is selected":                     {change: func(s *seeking) { s.asked.Scope = v1alpha1.ClusterScope{} }, sought: []Sought{web}},
		"a cluster that nobody has told of is away":  {change: func(s *seeking) { delete(s.states, "b"); s.asked.Status.Clusters = nil }, sought: []Sought{web}, want: "web", again: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSeeking()
			for cluster, id := range tt.put {
				s.put(cluster, id)
			}
			if tt.change != nil {
				tt.change(s)
			}
			var by Followed
			if !tt.without {
				by = s
			}
			if got, again := s.says(t, by, tt.sought...); got != tt.want || again != tt.again {
				t.Errorf("it says %q, again: %t; want %q, %t", got, again, tt.want, tt.again)
			}
		})
	}
}

func TestNamesOfPortsAreToldOfOneByOne(t *testing.T) {
	s := newSeeking()
	s.put("a", seekingPod)
	named := func(name string) Sought {
		return Sought{Field: "ports", Selector: selector.MustParse("app == 'web'"), Port: index.Port{Name: name, Protocol: "TCP"}}
	}
	for range 2 { // what was seen of one says nothing of the other
		if got, _ := s.says(t, s, named("sql"), named("http")); got != "ports" {
			t.Errorf("it says %q", got)
		}
	}
}

// TestPodsThatComeAndGoAreNotToldOfEachTime: nobody is to write a condition for each.
func TestPodsThatComeAndGoAreNotToldOfEachTime(t *testing.T) {
	s := newSeeking()
	web := Sought{Field: "web", Selector: selector.MustParse("app == 'web'")}
	expect := func(what, want string, again bool) {
		t.Helper()
		if got, is := s.says(t, s, web); got != want || is != again {
			t.Errorf("%s: it says %q, again: %t; want %q, %t", what, got, is, want, again)
		}
	}
	expect("nothing was there yet", "web", true)
	s.put("a", seekingPod)
	expect("a pod comes", "", false)
	for range 5 {
		s.parts["a"].Delete(seekingPod)
		expect("it goes", "", true)
		s.now = s.now.Add(59 * time.Second)
		expect("it is away", "", true)
		s.put("b", seekingPod)
		expect("it is elsewhere", "", false)
		s.parts["b"].Delete(seekingPod)
		expect("it goes from there", "", true)
		s.put("a", seekingPod)
		expect("it is back", "", false)
	}
	s.parts["a"].Delete(seekingPod)
	expect("it goes for good", "", true)
	s.now = s.now.Add(30 * time.Second)
	states := s.states["b"]
	delete(s.states, "b")
	expect("somebody else follows a cluster", "", false)
	s.states["b"] = states
	s.now = s.now.Add(30 * time.Second)
	expect("it is away for a minute", "web", true)
	web.Selector = selector.MustParse("app == 'wbe'")
	expect("it is edited", "web", true)
	s.put("a", seekingPod)
	web.Selector = selector.MustParse("app == 'web'")
	expect("it is mended", "", false)
	s.told.Forget(s.asked.Key)
	if len(s.told.items) > 0 {
		t.Errorf("of what is gone there is %v", s.told.items)
	}
}

func TestWhatMatchesNothingIsToldInBounds(t *testing.T) {
	s := newSeeking()
	var many []Sought
	for i := range 50 {
		many = append(many, Sought{Field: fmt.Sprintf("spec.ingress[%d].source.selector", i), Selector: selector.MustParse("apps == '" + strings.Repeat("ä", 400) + "'")})
	}
	text := s.told.Look(&s.asked, s, s.now, many...).Warned[0].Message
	if len(text) > 4096 || !strings.HasSuffix(text, "\nand 42 more") || strings.ContainsRune(text, '\uFFFD') || !strings.Contains(text, "ä… matches nothing that there is in any of 2 clusters now") {
		t.Errorf("it says, in %d bytes: %s", len(text), text)
	}
}
