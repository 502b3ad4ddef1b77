package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

// fleet is a catalog of what a test puts there.
type fleet struct {
	t      *testing.T
	index  *index.Index
	states []endpoint.ClusterState
	parts  map[string]*index.Cluster
}

func (f *fleet) Index() *index.Index             { return f.index }
func (f *fleet) States() []endpoint.ClusterState { return f.states }

func (f *fleet) cluster(s endpoint.ClusterState) *index.Cluster {
	f.t.Helper()
	c, err := f.index.Cluster(s.Name, s.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	f.states = append(f.states, s)
	if f.parts == nil {
		f.parts = map[string]*index.Cluster{}
	}
	f.parts[s.Name] = c
	return c
}

func pod(c *index.Cluster, namespace, name, address string, labels ...string) {
	e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: namespace, Name: name}, Node: "node-1", ServiceAccount: "web",
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), netip.MustParseAddr(address).BitLen())},
		Ports:     []index.Port{{Name: "http", Protocol: "TCP", Number: 8080}}}
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		e.Labels = append(e.Labels, index.Label{Name: name, Value: value})
	}
	c.Set(&e)
}

var then = time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)

// newFleet is a local cluster with a pod and a host, alpha with two pods, and beta, which was not heard of for a while.
func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, index: index.New()}
	home := f.cluster(endpoint.ClusterState{Name: "primary", ID: "p", Local: true, Synced: true})
	pod(home, "shop", "front", "10.1.0.1", "app=front")
	home.Set(&index.Endpoint{ID: index.ID{Kind: index.Node, Name: "node-1"}, Node: "node-1", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	alpha := f.cluster(endpoint.ClusterState{Name: "alpha", ID: "a", Labels: map[string]string{"tier": "gold"}, Synced: true,
		Gaps: []endpoint.Gap{{Reason: endpoint.ReasonOutside, Message: "addresses outside", Count: 3}}})
	alpha.SetNamespace("shop", []index.Label{{Name: "team", Value: "shop"}})
	pod(alpha, "shop", "web-2", "10.4.0.2", "app=web", "v=2")
	pod(alpha, "shop", "web-1", "10.4.0.1", "app=web")
	beta := f.cluster(endpoint.ClusterState{Name: "beta", ID: "b", Synced: true, StaleSince: then})
	pod(beta, "shop", "web-9", "10.5.0.9", "app=web")
	return f
}

func ids(all []query.Endpoint) (found []string) {
	for _, e := range all {
		found = append(found, e.ID)
	}
	return found
}

func ask(t *testing.T, c query.Catalog, q query.Question) query.Answer {
	t.Helper()
	a, err := query.Ask(c, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnswersAreSortedAndBounded(t *testing.T) {
	f := newFleet(t)
	for _, test := range []struct {
		name string
		q    query.Question
		want []string
	}{
		{"all, the local cluster first", query.Question{Selectors: []string{"all()"}}, []string{
			"node-1/node-1", "node-1/k8s/shop.front/eth0", "alpha/node-1/k8s/shop.web-1/eth0", "alpha/node-1/k8s/shop.web-2/eth0", "beta/node-1/k8s/shop.web-9/eth0"}},
		{"what any of several selectors matches, each once", query.Question{Selectors: []string{`app == "front"`, `has(app)`}}, []string{
			"node-1/k8s/shop.front/eth0", "alpha/node-1/k8s/shop.web-1/eth0", "alpha/node-1/k8s/shop.web-2/eth0", "beta/node-1/k8s/shop.web-9/eth0"}},
		{"labels that are inherited, and that of the cluster", query.Question{Selectors: []string{`pcns.team == "shop" && hawser.io/cluster == "alpha" && !has(v)`}},
			[]string{"alpha/node-1/k8s/shop.web-1/eth0"}},
		{"one cluster", query.Question{Selectors: []string{"all()"}, Cluster: "beta"}, []string{"beta/node-1/k8s/shop.web-9/eth0"}},
		{"one name", query.Question{Selectors: []string{"all()"}, Name: "web-2"}, []string{"alpha/node-1/k8s/shop.web-2/eth0"}},
		{"one node", query.Question{Selectors: []string{`app == "web"`}, Node: "node-2"}, nil},
		{"no selector", query.Question{}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ids(ask(t, f, test.q).Endpoints)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswersTellTheirAgeAndTheirGaps(t *testing.T) {
	f := newFleet(t)
	f.states = append(f.states, endpoint.ClusterState{Name: "gamma", StaleSince: then, Gaps: []endpoint.Gap{{Reason: endpoint.ReasonNotListed, Message: "not everything was listed yet"}}})
	a := ask(t, f, query.Question{Selectors: []string{`app == "web"`}})
	stale := &metav1.Time{Time: then}
	want := []query.Gap{
		{Cluster: "alpha", Reason: "OutsideCIDRs", Message: "addresses outside", Count: 3},
		{Cluster: "beta", Reason: "Stale", Message: "it is not followed since 2026-11-21T15:00:00Z: its endpoints are those of then", Since: stale},
		{Cluster: "gamma", Reason: "NotListedYet", Message: "not everything was listed yet"},
	}
	if diff := cmp.Diff(want, a.Gaps); diff != "" {
		t.Error(diff)
	}
	if last := a.Endpoints[len(a.Endpoints)-1]; last.Cluster != "beta" || !last.StaleSince.Equal(stale) || a.Endpoints[0].StaleSince != nil {
		t.Errorf("ages of endpoints: %+v", a.Endpoints)
	}
	if one := ask(t, f, query.Question{Selectors: []string{"all()"}, Cluster: "alpha"}); len(one.Gaps) != 1 || len(one.Clusters) != 1 {
		t.Errorf("an answer about one cluster tells of others: %+v", one)
	}
}

func TestAnAnswerInJSON(t *testing.T) {
	f := newFleet(t)
	a := ask(t, f, query.Question{Selectors: []string{"all()"}, Cluster: "alpha", Name: "web-2"})
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"clusters":[{"name":"alpha","id":"a","local":false,"labels":{"tier":"gold"},"synced":true,"whole":true}],` +
		`"endpoints":[{"id":"alpha/node-1/k8s/shop.web-2/eth0","cluster":"alpha","local":false,"kind":"Pod","namespace":"shop","name":"web-2","node":"node-1","serviceAccount":"web",` +
		`"addresses":["10.4.0.2"],"ports":[{"name":"http","protocol":"TCP","number":8080}],` +
		`"labels":{"app":"web","hawser.io/cluster":"alpha","hawser.io/cluster-id":"a","pcns.projectcalico.org/name":"shop","pcns.team":"shop",` +
		`"projectcalico.org/namespace":"shop","projectcalico.org/orchestrator":"k8s","projectcalico.org/serviceaccount":"web","v":"2"}}],` +
		`"gaps":[{"cluster":"alpha","reason":"OutsideCIDRs","message":"addresses outside","count":3}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
}

func TestTheAnswersOfReplicasBecomeOne(t *testing.T) {
	f := newFleet(t)
	whole := ask(t, f, query.Question{Selectors: []string{"all()"}})
	parts := make([]query.Answer, 3)
	for i, name := range []string{"alpha", "beta", "primary"} {
		parts[i] = ask(t, f, query.Question{Selectors: []string{"all()"}, Cluster: name})
	}
	if diff := cmp.Diff(whole, query.Merge(parts...)); diff != "" {
		t.Errorf("parts do not make the whole: %s", diff)
	}

	// While a cluster is handed over, two know it: one has all of it, the other not yet.
	next := &fleet{t: t, index: index.New()}
	next.cluster(endpoint.ClusterState{Name: "alpha", ID: "a", StaleSince: then, Gaps: []endpoint.Gap{{Reason: endpoint.ReasonNotListed, Message: "not yet"}}})
	for _, both := range [][]query.Answer{{parts[0], ask(t, next, query.Question{Selectors: []string{"all()"}})}, {ask(t, next, query.Question{Selectors: []string{"all()"}}), parts[0]}} {
		if diff := cmp.Diff(parts[0], query.Merge(both...)); diff != "" {
			t.Errorf("the better answer does not count alone: %s", diff)
		}
	}
}

// With --shards no replica knows the endpoints of all clusters. What their answers hold tells of addresses that are there
// twice.
func TestAddressesThatClustersOfTwoReplicasShareAreGaps(t *testing.T) {
	replica := func(clusters ...string) *fleet {
		f := &fleet{t: t, index: index.New()}
		for _, name := range clusters {
			f.cluster(endpoint.ClusterState{Name: name, ID: name, Synced: true})
		}
		return f
	}
	one, other := replica("alpha", "beta"), replica("gamma", "delta")
	pod(one.parts["alpha"], "shop", "web-1", "10.4.0.1", "app=web")
	pod(one.parts["alpha"], "shop", "web-2", "10.4.0.2", "app=web")
	pod(one.parts["alpha"], "shop", "db", "10.4.0.3", "app=db")
	pod(one.parts["beta"], "shop", "web-2", "10.4.0.2", "app=web") // which the replica itself finds
	pod(other.parts["gamma"], "shop", "web-8", "10.4.0.1", "app=web")
	pod(other.parts["gamma"], "shop", "web-9", "10.4.0.1", "app=web")
	pod(other.parts["gamma"], "shop", "db", "10.4.0.3", "app=web")
	other.parts["delta"].Set(&index.Endpoint{ID: index.ID{Kind: index.NetworkSet, Name: "partners"}, Labels: []index.Label{{Name: "app", Value: "web"}},
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.0/24")}})
	question := query.Question{Selectors: []string{`app == "web"`}}
	for name, both := range map[string][]query.Answer{"as they answer": {ask(t, one, question), ask(t, other, question)}, "the other way round": {ask(t, other, question), ask(t, one, question)}} {
		want := []query.Gap{
			{Cluster: "alpha", Reason: "DuplicateAddresses", Count: 1, Message: "addresses that other clusters have, too, as 10.4.0.1 of pod shop/web-1 and of pod shop/web-9 in cluster gamma"},
			{Cluster: "gamma", Reason: "DuplicateAddresses", Count: 1, Message: "addresses that other clusters have, too, as 10.4.0.1 of pod shop/web-8 and of pod shop/web-1 in cluster alpha"},
		}
		if diff := cmp.Diff(want, query.Merge(both...).Gaps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestThePartOfAnAnswerThatAScopeIsAbout(t *testing.T) {
	whole := ask(t, newFleet(t), query.Question{Selectors: []string{"has(app)"}})
	whole.AddGaps(query.Gap{Cluster: "gone", Reason: "NotAnswered"}, query.Gap{Replica: "hawser-1", Reason: "NotAnswered"})
	for _, test := range []struct {
		name  string
		scope v1alpha1.ClusterScope
		want  []string
		gaps  int
	}{
		{"the local cluster", v1alpha1.ClusterScope{Local: true}, []string{"node-1/k8s/shop.front/eth0"}, 2},
		{"all remote clusters", v1alpha1.ClusterScope{All: true}, []string{"alpha/node-1/k8s/shop.web-1/eth0", "alpha/node-1/k8s/shop.web-2/eth0", "beta/node-1/k8s/shop.web-9/eth0"}, 4},
		{"one of them", v1alpha1.ClusterScope{Names: []string{"beta"}}, []string{"beta/node-1/k8s/shop.web-9/eth0"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			part := whole.Within(test.scope)
			if diff := cmp.Diff(test.want, ids(part.Endpoints)); diff != "" || len(part.Gaps) != test.gaps {
				t.Errorf("%d gaps: %s", len(part.Gaps), diff)
			}
		})
	}
}

func TestQuestionsOverHTTP(t *testing.T) {
	f := newFleet(t)
	server := httptest.NewServer(query.Handler(f))
	defer server.Close()
	q := query.Question{Selectors: []string{`app == "web"`}, Node: "node-1"}
	got, err := query.Send(t.Context(), server.Client(), server.URL, q)
	if err != nil {
		t.Fatal(err)
	}
	// Times lose nothing on the way.
	if diff := cmp.Diff(ask(t, f, q), got); diff != "" {
		t.Errorf("over HTTP it is another answer: %s", diff)
	}
	for _, test := range []struct{ name, method, path, kind, body, want string }{
		{"a web page's form", "POST", query.Path, "text/plain", `{"selectors":["all()"]}`, "415"},
		{"no JSON", "POST", query.Path, "application/json", `{`, "400"},
		{"a malformed selector", "POST", query.Path, "application/json", `{"selectors":["a = 'b'"]}`, "400"},
		{"another method", "GET", query.Path, "application/json", ``, "405"},
		{"another path", "POST", "/", "application/json", `{}`, "404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.kind)
			w := httptest.NewRecorder()
			query.Handler(f).ServeHTTP(w, r)
			if got := fmt.Sprint(w.Code); got != test.want {
				t.Errorf("status %s, want %s: %s", got, test.want, w.Body)
			}
		})
	}
}

func TestAMalformedSelectorIsShownWithACaret(t *testing.T) {
	_, err := query.Send(t.Context(), nil, "", query.Question{Selectors: []string{"a = 'b'"}})
	var syntax *selector.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("want a SyntaxError before anything is sent, got %v", err)
	}
	want := "parsing the selector at column 3: expected ==, !=, in, not in, contains, starts with or ends with after the label \"a\", found a single = (equality is written ==)\na = 'b'\n  ^"
	if diff := cmp.Diff(want, query.Explain(err)); diff != "" {
		t.Error(diff)
	}
}

func plan(t *testing.T, edit func(*v1alpha1.FederatedNetworkPolicySpec)) query.Policy {
	t.Helper()
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front"}}
	p.Spec.Selector = `app == "front"`
	p.Spec.Clusters = v1alpha1.ClusterScope{All: true}
	edit(&p.Spec)
	compiled, err := policy.Compile(p, policy.Local{Name: "primary", ID: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return query.Policy{Plan: compiled}
}

func rule(peer *v1alpha1.FederatedPeer) v1alpha1.FederatedRule {
	return v1alpha1.FederatedRule{Action: "Allow", Source: peer}
}

func TestAPolicyIsExplained(t *testing.T) {
	f := newFleet(t)
	// It is for pods of its own cluster and namespace alone.
	pod(f.parts["alpha"], "shop", "front", "10.4.0.9", "app=front")
	pod(f.parts["primary"], "other", "front", "10.1.0.9", "app=front")
	p := plan(t, func(s *v1alpha1.FederatedNetworkPolicySpec) {
		s.Ingress = []v1alpha1.FederatedRule{
			rule(&v1alpha1.FederatedPeer{Selector: new(`app == "web"`), NotSelector: new(`has(v)`)}),
			rule(&v1alpha1.FederatedPeer{Nets: []string{"10.4.0.0/24"}}),
			rule(&v1alpha1.FederatedPeer{Selector: new(`app == "web"`), Nets: []string{"10.5.0.0/16"}}),
			rule(nil),
		}
		s.Egress = []v1alpha1.FederatedRule{{Action: "Allow", Destination: &v1alpha1.FederatedPeer{NamespaceSelector: new(`team == "shop"`), Selector: new("all()")}}}
	})
	x := query.ExplainPolicy(p, ask(t, f, query.Question{Selectors: query.Selectors(p.Plan)}))

	var got []string
	for _, to := range x.AppliesTo {
		got = append(got, "applies "+to.ID)
	}
	line := func(m query.Match) string {
		not := ""
		if m.Not {
			not = "!"
		}
		return strings.TrimRight(fmt.Sprintf("%s %d %s%s %s %s", m.Direction, m.Rule, not, m.Side, m.Selector, strings.Join(m.Nets, ",")), " ")
	}
	for _, e := range x.Matches {
		for _, m := range e.Rules {
			got = append(got, e.ID+" "+line(m))
		}
	}
	for _, m := range x.AnyAddress {
		got = append(got, "any "+line(m))
	}
	web := `(projectcalico.org/namespace == "shop" && app == "web")`
	want := []string{
		"applies node-1/k8s/shop.front/eth0",
		`alpha/node-1/k8s/shop.front/eth0 Egress 1 destination (pcns.team == "shop" && all())`,
		"alpha/node-1/k8s/shop.web-1/eth0 Ingress 1 source " + web,
		`alpha/node-1/k8s/shop.web-1/eth0 Egress 1 destination (pcns.team == "shop" && all())`,
		"alpha/node-1/k8s/shop.web-2/eth0 Ingress 1 source " + web,
		"alpha/node-1/k8s/shop.web-2/eth0 Ingress 1 !source has(v)",
		`alpha/node-1/k8s/shop.web-2/eth0 Egress 1 destination (pcns.team == "shop" && all())`,
		"beta/node-1/k8s/shop.web-9/eth0 Ingress 1 source " + web,
		"beta/node-1/k8s/shop.web-9/eth0 Ingress 3 source " + web + " 10.5.0.0/16",
		"any Ingress 2 source  10.4.0.0/24",
		"any Ingress 4 source",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEndpointIsExplained(t *testing.T) {
	f := newFleet(t)
	p := plan(t, func(s *v1alpha1.FederatedNetworkPolicySpec) {
		s.Clusters = v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}}
		s.Ingress = []v1alpha1.FederatedRule{
			rule(&v1alpha1.FederatedPeer{Selector: new(`has(app)`)}),
			rule(&v1alpha1.FederatedPeer{Nets: []string{"10.4.0.0/24"}, NotNets: []string{"10.4.0.1/32"}}),
		}
	})
	w := query.World{Policies: []query.Policy{p}, Sets: []query.Set{
		{Name: "gold", Selector: selector.MustParse(`app == "web" && !has(v)`), Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}}},
		{Name: "home", Selector: selector.MustParse(`has(app)`), Clusters: v1alpha1.ClusterScope{Local: true}},
	}}
	var got []string
	for _, x := range w.Explain(ask(t, f, query.Question{Selectors: []string{"all()"}})) {
		says := x.Endpoint.Short() + ":"
		for _, p := range x.Policies {
			says += " policy " + p.Name
		}
		for _, m := range x.RuleMatches {
			says += fmt.Sprintf(" rule %d", m.Rule)
		}
		for _, s := range x.EndpointSets {
			says += " set " + s.Name
			for _, l := range s.Because {
				says += fmt.Sprintf(" %s=%s%t", l.Name, l.Value, l.Missing)
			}
		}
		got = append(got, says+" "+strings.Join(x.Profiles, ","))
	}
	want := []string{
		"node-1: ",
		"k8s/shop.front/eth0: policy front set home app=frontfalse kns.shop,ksa.shop.web",
		"alpha/k8s/shop.web-1/eth0: rule 1 set gold app=webfalse v=true alpha/kns.shop,alpha/ksa.shop.web",
		"alpha/k8s/shop.web-2/eth0: rule 1 rule 2 alpha/kns.shop,alpha/ksa.shop.web",
		"beta/k8s/shop.web-9/eth0: beta/kns.shop,beta/ksa.shop.web", // which is not in scope
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What was not made of a policy is told of its own pods, and of whom its rules match, and of no others.
func TestWhatIsWithheldIsToldWithThePolicy(t *testing.T) {
	f := newFleet(t)
	p := plan(t, func(s *v1alpha1.FederatedNetworkPolicySpec) {
		s.Ingress = []v1alpha1.FederatedRule{rule(&v1alpha1.FederatedPeer{Selector: new(`app == "web"`)})}
	})
	p.Withheld = []query.Gap{{Object: "FederatedNetworkPolicy(shop/front)", Message: "it allows no local pod"}}
	w := query.World{Policies: []query.Policy{p}}
	for name, test := range map[string]struct {
		of   string
		want []query.Gap
	}{
		"a pod that it is for":        {`app == "front"`, p.Withheld},
		"a pod that its rule matches": {`has(v)`, p.Withheld},
		"another":                     {`!has(app)`, nil},
	} {
		explained := w.Explain(ask(t, f, query.Question{Selectors: []string{test.of}}))
		if diff := cmp.Diff(test.want, w.Withheld(explained)); diff != "" || len(explained) == 0 {
			t.Errorf("%s: %d are explained (-want +got)\n%s", name, len(explained), diff)
		}
	}
}
