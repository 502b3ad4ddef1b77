package service

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
)

func bounds(t *testing.T, cidrs ...string) endpoint.Bounds {
	t.Helper()
	b, err := endpoint.ParseBounds(cidrs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pod(addr string, change ...func(*Endpoint)) Endpoint {
	e := Endpoint{Addr: netip.MustParseAddr(addr), Conditions: Conditions{Ready: true, Serving: true}, Node: "n1", Zone: "z", Target: Target{Kind: "Pod", Namespace: "shop", Name: "p-" + addr}}
	for _, f := range change {
		f(&e)
	}
	return e
}

func notReady(e *Endpoint) { e.Conditions = Conditions{} }

var (
	http   = Port{Name: "http", Protocol: "TCP", Number: 8080}
	other  = Port{Name: "http", Protocol: "TCP", Number: 9090}
	metric = Port{Name: "metrics", Protocol: "TCP", Number: 9100}
)

func every(Port) bool { return true }

// collected is a short text of groups: family, ports, endpoints, with a ! at what is not ready.
func collected(groups []Grouped) string {
	var all []string
	for _, g := range groups {
		var ports, addrs []string
		for _, p := range g.Ports {
			ports = append(ports, fmt.Sprintf("%s:%d", p.Name, p.Number))
		}
		for _, e := range g.Endpoints {
			mark := "!"
			if e.Ready {
				mark = ""
			}
			addrs = append(addrs, e.Addr.String()+mark)
		}
		all = append(all, strings.Join(ports, ",")+" "+strings.Join(addrs, ","))
	}
	return strings.Join(all, "; ")
}

func TestCollectsEndpointsByTheRulesOfFederatedServices(t *testing.T) {
	for name, test := range map[string]struct {
		backing []*Slice
		keep    func(Port) bool
		want    string
		gaps    int
	}{
		"of several services, each once": {backing: []*Slice{
			{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.2"), pod("10.1.0.1")}}, {Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1")}},
		}, want: "http:8080 10.1.0.1,10.1.0.2"},
		"not ready in one is not ready": {backing: []*Slice{
			{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1")}}, {Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1", notReady)}},
		}, want: "http:8080 10.1.0.1!"},
		"whichever comes first": {backing: []*Slice{
			{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1", notReady)}}, {Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1")}},
		}, want: "http:8080 10.1.0.1!"},
		"what is not ready is told": {backing: []*Slice{{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1", notReady)}}}, want: "http:8080 10.1.0.1!"},
		"the port that is wanted": {backing: []*Slice{{Ports: []Port{http, metric}, Endpoints: []Endpoint{pod("10.1.0.1")}}},
			keep: func(p Port) bool { return p.Name == "http" }, want: "http:8080 10.1.0.1"},
		"none without a port that is wanted": {backing: []*Slice{{Ports: []Port{metric}, Endpoints: []Endpoint{pod("10.1.0.1")}}},
			keep: func(p Port) bool { return p.Name == "http" }},
		"ports of two services are joined": {backing: []*Slice{
			{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1")}}, {Ports: []Port{metric}, Endpoints: []Endpoint{pod("10.1.0.1")}},
		}, want: "http:8080,metrics:9100 10.1.0.1"},
		"two numbers of one name are apart": {backing: []*Slice{
			{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1"), pod("10.1.0.2")}}, {Ports: []Port{other}, Endpoints: []Endpoint{pod("10.1.0.1")}},
		}, want: "http:8080 10.1.0.1,10.1.0.2; http:9090 10.1.0.1"},
		"families are apart": {backing: []*Slice{{Ports: []Port{http}, Endpoints: []Endpoint{pod("fd00::1"), pod("10.1.0.1")}}}, want: "http:8080 10.1.0.1; http:8080 fd00::1"},
		"nothing from outside": {backing: []*Slice{{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.2.0.1"), pod("10.1.0.1"), pod("169.254.1.1"), {}}}},
			want: "http:8080 10.1.0.1", gaps: 3},
	} {
		t.Run(name, func(t *testing.T) {
			keep := test.keep
			if keep == nil {
				keep = every
			}
			got := Collect(Cluster{Name: "alpha", Bounds: bounds(t, "10.1.0.0/16", "fd00::/8")}, test.backing, keep)
			if text := collected(got.Groups); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
			if len(got.Gaps) != test.gaps {
				t.Errorf("gaps %q", got.Gaps)
			}
		})
	}
}

func TestARemotePodOrNodeIsNotTakenForOneOfOurs(t *testing.T) {
	backing := []*Slice{{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1")}}}
	remote := Collect(Cluster{Name: "alpha", Bounds: bounds(t, "10.0.0.0/8")}, backing, every).Groups[0].Endpoints[0]
	if remote.Target.Name != "alpha/p-10.1.0.1" || remote.Node != "" || remote.Zone != "z" {
		t.Errorf("got %+v", remote)
	}
	local := Collect(Cluster{Name: "home", Local: true, Bounds: endpoint.Bounds{Local: true}}, backing, every).Groups[0].Endpoints[0]
	if local.Target.Name != "p-10.1.0.1" || local.Node != "n1" {
		t.Errorf("got %+v", local)
	}
}

// stored are slices as an API server would have them.
func stored(t *testing.T, p Plan, before ...*discoveryv1.EndpointSlice) (after []*discoveryv1.EndpointSlice) {
	t.Helper()
	gone := map[string]bool{}
	for _, s := range append(p.Update, p.Delete...) {
		gone[s.Name] = true
	}
	for _, s := range before {
		if !gone[s.Name] {
			after = append(after, s)
		}
	}
	for _, s := range append(p.Create, p.Update...) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		read := &discoveryv1.EndpointSlice{}
		if err := json.Unmarshal(text, read); err != nil {
			t.Fatal(err)
		}
		after = append(after, read)
	}
	return after
}

func plan(t *testing.T, w *Wanted, have []*discoveryv1.EndpointSlice) Plan {
	t.Helper()
	p, err := NewPlan(w, have, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSlicesAreWrittenOnceAndPutBack(t *testing.T) {
	for name, key := range map[string]Key{
		"of a Service": {Namespace: "shop", Name: "db", Cluster: "alpha"},
		"of an import": {Import: true, Namespace: "shop", Name: "db", Cluster: "alpha"},
	} {
		t.Run(name, func(t *testing.T) {
			groups := Collect(Cluster{Name: "alpha", Bounds: bounds(t, "10.0.0.0/8", "fd00::/8")}, []*Slice{
				{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.1"), pod("10.1.0.2", notReady), pod("10.1.0.3"), pod("fd00::1")}},
			}, every).Groups
			w := &Wanted{Key: key, Owner: &metav1.OwnerReference{Kind: "Service", Name: "db", UID: "1"}, Groups: groups, Source: Source{Gaps: []string{"one"}}}
			have := stored(t, plan(t, w, nil))
			if len(have) != 3 {
				t.Fatalf("%d slices for three of one family and one of the other, at most two each", len(have))
			}
			annotated := 0
			for _, s := range have {
				if got, ok := KeyOf(s); !ok || got != key {
					t.Errorf("the slice says that it is of %v", got)
				}
				if s.Annotations[SourceAnnotation] != "" {
					annotated++
				}
			}
			if annotated != 1 || SourceOf(key, have).Gaps[0] != "one" {
				t.Errorf("%d slices say what they are made of: %+v", annotated, SourceOf(key, have))
			}
			if p := plan(t, w, have); !p.Empty() {
				t.Errorf("it writes again what is written: %+v", p)
			}
			if diff := cmp.Diff(groups, GroupsOf(have), anyAddr); diff != "" {
				t.Error(diff)
			}
			have[0].Endpoints[0].Addresses[0] = "10.9.9.9"
			have[0].Labels["theirs"], have[0].Annotations = "stays", map[string]string{SourceAnnotation: "{", "theirs": "stays"}
			p := plan(t, w, have)
			if len(p.Create) != 0 || len(p.Update) != 1 || len(p.Delete) != 0 {
				t.Fatalf("an edited slice is put back by %+v", p)
			}
			if p.Update[0].Labels["theirs"] != "stays" || p.Update[0].Annotations["theirs"] != "stays" {
				t.Error("what others have put on it is taken off")
			}
			if p := plan(t, nil, have); len(p.Delete) != 3 || len(p.Create)+len(p.Update) != 0 {
				t.Errorf("what nobody wants is taken away by %+v", p)
			}
		})
	}
}

func TestWhatIsToBeSaidHasASliceWithoutEndpoints(t *testing.T) {
	key := Key{Import: true, Namespace: "shop", Name: "db", Cluster: "alpha"}
	e := export("alpha", 1, port("http", 80))
	w := &Wanted{Key: key, Source: Source{Export: &e}}
	have := stored(t, plan(t, w, nil))
	if len(have) != 1 || len(have[0].Endpoints) != 0 {
		t.Fatalf("got %v", have)
	}
	if diff := cmp.Diff(&e, SourceOf(key, have).Export); diff != "" {
		t.Error(diff)
	}
	if p := plan(t, w, have); !p.Empty() {
		t.Errorf("it writes again what is written: %+v", p)
	}
	w.Groups = []Grouped{{groups[0], []Endpoint{numbered4(1)}}}
	if p := plan(t, w, have); len(p.Update) != 1 || len(p.Create)+len(p.Delete) != 0 {
		t.Errorf("the first endpoint is written by %+v", p)
	}
}

func TestASliceInOurNameThatWeDidNotNameGoes(t *testing.T) {
	key := Key{Namespace: "shop", Name: "db", Cluster: "alpha"}
	forged := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "forged", Labels: key.labels(), Annotations: map[string]string{SourceAnnotation: `{"gaps":["x"]}`}}}
	if s := SourceOf(key, []*discoveryv1.EndpointSlice{forged}); len(s.Gaps) != 0 {
		t.Errorf("it is believed: %+v", s)
	}
	forged.AddressType = discoveryv1.AddressTypeIPv4
	w := &Wanted{Key: key, Groups: []Grouped{{groups[0], []Endpoint{numbered4(1)}}}}
	if p := plan(t, w, []*discoveryv1.EndpointSlice{forged}); len(p.Delete) != 1 || len(p.Create) != 1 || len(p.Update) != 0 {
		t.Errorf("got %+v", p)
	}
}

func TestNamesKeepServicesAndClustersApart(t *testing.T) {
	seen := map[string]Key{}
	for _, k := range []Key{
		{Namespace: "x", Name: "a-b", Cluster: "c"}, {Namespace: "x", Name: "a", Cluster: "b-c"}, {Import: true, Namespace: "x", Name: "a", Cluster: "b-c"},
		{Namespace: "x", Name: strings.Repeat("n", 63), Cluster: strings.Repeat("c", 50)},
	} {
		name := sliceName(k, 12345)
		if before, twice := seen[name]; twice || len(name) > 253 || number(k, name) != 12345 {
			t.Errorf("%s is the name of %v and %v", name, before, k)
		}
		seen[name] = k
		for _, not := range []string{name + "0", strings.TrimSuffix(name, "9"), sliceName(k, 0)[:len(sliceName(k, 0))-1] + "-1", sliceName(k, 0)[:len(sliceName(k, 0))-1] + "01"} {
			if n := number(k, not); n >= 0 && sliceName(k, n) != not {
				t.Errorf("%s is taken for slice %d", not, n)
			}
		}
	}
	if len(mcs.LabelSourceCluster) == 0 || len(DerivedName("a", "b")) > 63 {
		t.Error("the name of the Service of an import is too long")
	}
}

// TestWhatSlicesAreMadeOfStaysOnOneThatThereIs: a new slice may be refused, and where none says what it is made of, whoever has
// only the slices takes the cluster for one that exports nothing.
func TestWhatSlicesAreMadeOfStaysOnOneThatThereIs(t *testing.T) {
	key := Key{Import: true, Namespace: "shop", Name: "db", Cluster: "alpha"}
	e := export("alpha", 1, port("http", 80))
	group := func(n ...int) []Grouped {
		g := Grouped{Group: groups[0]}
		for _, i := range n {
			g.Endpoints = append(g.Endpoints, numbered4(i))
		}
		return []Grouped{g}
	}
	want := func(n ...int) *Wanted { return &Wanted{Key: key, Groups: group(n...), Source: Source{Export: &e}} }
	on := func(of []*discoveryv1.EndpointSlice) (bearers []int) {
		for _, s := range of {
			if s.Annotations[SourceAnnotation] != "" {
				bearers = append(bearers, number(key, s.Name))
			}
		}
		return bearers
	}
	both := stored(t, plan(t, want(1, 2, 3, 4), nil))
	if diff := cmp.Diff([]int{0}, on(both)); diff != "" || len(both) != 2 {
		t.Fatalf("of %d slices it stands on others than the first: %s", len(both), diff)
	}
	p := plan(t, want(3, 4), both) // the first goes
	if len(p.Delete) != 1 || len(p.Update) != 1 || len(p.Create) != 0 {
		t.Fatalf("the first one goes by %+v", p)
	}
	second := stored(t, p, both...)
	if diff := cmp.Diff([]int{1}, on(second)); diff != "" {
		t.Fatal(diff)
	}
	p = plan(t, want(3, 4, 5), second) // and its name is given again
	if len(p.Create) != 1 || number(key, p.Create[0].Name) != 0 || len(on(p.Create)) != 0 || len(p.Update)+len(p.Delete) != 0 {
		t.Fatalf("another one is made by %+v, and it stands on %v", p, on(p.Create))
	}
	both = stored(t, p, second...)
	if p := plan(t, want(3, 4, 5), both); !p.Empty() {
		t.Errorf("it moves for no reason: %+v", p)
	}
	for _, s := range both { // as when somebody took it away
		delete(s.Annotations, SourceAnnotation)
	}
	if p := plan(t, want(3, 4, 5, 6, 7), both); len(on(p.Create)) != 0 || !cmp.Equal([]int{0}, on(p.Update)) {
		t.Errorf("it comes back on %v of what is changed, and %v of what is new", on(p.Update), on(p.Create))
	}
}
