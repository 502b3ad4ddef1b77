package index_test

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// TestMain asks for more than the few checks, and steps, by default: some faults take three steps in one order.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"rapid.checks": "600", "rapid.steps": "60"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			_ = flag.Set(name, value)
		}
	}
	os.Exit(m.Run())
}

// world is a fleet as a test remembers it: maps, and a selector is answered by asking everything.
type world map[string]*land

type land struct {
	id         string
	endpoints  map[index.ID]index.Endpoint
	namespaces map[string]map[string]string
	gone       map[string]bool // namespaces that went: they have their labels for as long as something is in them
	accounts   map[[2]string]map[string]string
}

func newLand(id string) *land {
	return &land{
		id: id, endpoints: map[index.ID]index.Endpoint{}, namespaces: map[string]map[string]string{}, gone: map[string]bool{},
		accounts: map[[2]string]map[string]string{},
	}
}

// empty forgets the namespaces that went and that nothing is in any more.
func (l *land) empty() {
	for name := range l.gone {
		inhabited := false
		for id := range l.endpoints {
			inhabited = inhabited || id.Namespace == name
		}
		if !inhabited {
			delete(l.namespaces, name)
			delete(l.gone, name)
		}
	}
}

// labels are those of an endpoint, by the words of the documentation.
func (l *land) labels(cluster string, e index.Endpoint) map[string]string {
	all := map[string]string{index.ClusterLabel: cluster}
	if l.id != "" {
		all[index.ClusterIDLabel] = l.id
	}
	for name, value := range mapOf(e.Labels) {
		if !strings.HasPrefix(name, "pcns.") && !strings.HasPrefix(name, "pcsa.") && all[name] == "" {
			all[name] = value
		}
	}
	delete(all, "projectcalico.org/orchestrator")
	if e.Kind == index.Pod {
		all["projectcalico.org/orchestrator"] = "k8s"
	}
	delete(all, "projectcalico.org/namespace")
	delete(all, "projectcalico.org/serviceaccount")
	if e.Namespace != "" {
		all["projectcalico.org/namespace"] = e.Namespace
		if labels, ok := l.namespaces[e.Namespace]; ok {
			for name, value := range labels {
				all["pcns."+name] = value
			}
			all["pcns.projectcalico.org/name"] = e.Namespace
		}
	}
	if e.ServiceAccount != "" {
		all["projectcalico.org/serviceaccount"] = e.ServiceAccount
		if labels, ok := l.accounts[[2]string{e.Namespace, e.ServiceAccount}]; ok {
			for name, value := range labels {
				all["pcsa."+name] = value
			}
			all["pcsa.projectcalico.org/name"] = e.ServiceAccount
		}
	}
	return all
}

func (w world) eval(s *selector.Selector, cluster string) (names []string) {
	for _, e := range w[cluster].endpoints {
		if s.MatchMap(w[cluster].labels(cluster, e)) {
			names = append(names, describe(e))
		}
	}
	slices.Sort(names)
	return names
}

func describe(e index.Endpoint) string {
	return fmt.Sprintf("%d %s/%s %s %s %v %v", e.Kind, e.Namespace, e.Name, e.ServiceAccount, e.Node, e.Addresses, e.Ports)
}

func names(all func(func(index.Endpoint) bool)) (names []string) {
	for e := range all {
		names = append(names, describe(e))
	}
	slices.Sort(names)
	return names
}

var words = []string{"a", "b", "ab", "abc", "", "x1", "x2", "x3"}

// labelsOf draws labels, some of them perhaps twice, as a cluster that lies may send them: the last one counts.
func labelsOf(t *rapid.T) (labels []index.Label) {
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"app", "tier", "uid", "pcns.team", "hawser.io/cluster", "projectcalico.org/namespace"}), 0, 5).Draw(t, "labels")
	for _, name := range names {
		value := rapid.SampledFrom(words).Draw(t, name)
		if name == "uid" { // more values than are looked at one by one
			value = fmt.Sprintf("u%03d", rapid.IntRange(0, 150).Draw(t, name))
		}
		labels = append(labels, index.Label{Name: name, Value: value})
	}
	return labels
}

func selectorOf(t *rapid.T) *selector.Selector {
	var text func(depth int) string
	text = func(depth int) string {
		label := rapid.SampledFrom([]string{
			"app", "tier", "uid", "pcns.team", "pcns.env", "pcsa.team", "projectcalico.org/namespace", "projectcalico.org/serviceaccount",
			"hawser.io/cluster", "projectcalico.org/orchestrator", "pcns.projectcalico.org/name", "nobody",
		}).Draw(t, "label")
		word := func() string {
			return rapid.SampledFrom(append([]string{"u0", "u01", "u", "ns0", "sa1", "c1", "k8s"}, words...)).Draw(t, "word")
		}
		switch n := rapid.IntRange(0, 10).Draw(t, "kind"); {
		case n <= 2 && depth > 0:
			return fmt.Sprintf("(%s && %s)", text(depth-1), text(depth-1))
		case n == 3 && depth > 0:
			return fmt.Sprintf("(%s || %s)", text(depth-1), text(depth-1))
		case n == 4 && depth > 0:
			return "!" + text(depth-1)
		case n == 5:
			return fmt.Sprintf("has(%s)", label)
		case n == 6:
			return fmt.Sprintf("%s in {%q, %q}", label, word(), word())
		case n == 7:
			return fmt.Sprintf("%s %s %q", label, rapid.SampledFrom([]string{"starts with", "ends with", "contains"}).Draw(t, "op"), word())
		case n == 8:
			return fmt.Sprintf("%s != %q", label, word())
		case n == 9:
			return "all()"
		}
		return fmt.Sprintf("%s == %q", label, word())
	}
	return selector.MustParse(text(3))
}

func mapOf(labels []index.Label) map[string]string {
	m := map[string]string{}
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}

func ownOnly(t *rapid.T) []index.Label {
	var kept []index.Label
	for _, l := range labelsOf(t) {
		kept = append(kept, index.Label{Name: strings.NewReplacer("pcns.", "", "hawser.io/cluster", "env", "projectcalico.org/namespace", "stage").Replace(l.Name), Value: l.Value})
	}
	return kept
}

// Whatever happens, in whatever order, a live selector has the members that a fresh evaluation finds.
func TestMembersAreWhatAFreshEvaluationFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, w := index.New(), world{}
		parts := map[string]*index.Cluster{}
		type live struct {
			query *index.Query
			told  map[string]bool
			last  map[string][]string
		}
		var queries []*live
		listing := map[string]map[index.ID]bool{} // clusters whose pods are being listed, and what was seen
		clusters := []string{"c1", "c2"}
		join := func(name string) {
			if w[name] != nil {
				return
			}
			c, err := x.Cluster(name, "id-"+name)
			if err != nil {
				t.Fatal(err)
			}
			parts[name], w[name] = c, newLand("id-"+name)
		}
		join("c1") // as long as there is none most steps are none, and few of those make a short history
		some := func(t *rapid.T) (string, *index.Cluster, *land) {
			if len(w) == 0 {
				t.Skip("none is there")
			}
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(w))).Draw(t, "cluster")
			return name, parts[name], w[name]
		}
		namespace := rapid.SampledFrom([]string{"ns0", "ns1", "ns2"})
		account := rapid.SampledFrom([]string{"sa0", "sa1"})
		idOf := func(t *rapid.T) index.ID {
			id := index.ID{Kind: index.Kind(rapid.IntRange(0, 3).Draw(t, "kind")), Name: fmt.Sprint("e", rapid.IntRange(0, 19).Draw(t, "name"))}
			if id.Kind == index.Pod || id.Kind == index.NetworkSet && rapid.Bool().Draw(t, "namespaced") {
				id.Namespace = namespace.Draw(t, "namespace")
			}
			return id
		}
		set := func(t *rapid.T) {
			name, c, l := some(t)
			e := index.Endpoint{ID: idOf(t), Labels: labelsOf(t), Node: rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node")}
			if e.Kind == index.Pod {
				e.ServiceAccount = rapid.SampledFrom([]string{"", "sa0", "sa1"}).Draw(t, "account")
			}
			for _, a := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"10.0.0.1/32", "10.0.0.2/32", "fd00::1/128", "10.1.0.0/16"}), 0, 2, rapid.ID[string]).Draw(t, "addresses") {
				e.Addresses = append(e.Addresses, netip.MustParsePrefix(a))
			}
			if rapid.Bool().Draw(t, "port") {
				e.Ports = []index.Port{{Name: "http", Protocol: "TCP", Number: 8080}}
			}
			c.Set(&e)
			l.endpoints[e.ID] = e
			if seen := listing[name]; seen != nil {
				seen[e.ID] = true
			}
		}
		change := func(t *rapid.T) {
			name, c, l := some(t)
			if len(l.endpoints) == 0 {
				t.Skip("none is there")
			}
			all := slices.SortedFunc(maps.Keys(l.endpoints), func(a, b index.ID) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			e := l.endpoints[rapid.SampledFrom(all).Draw(t, "which")]
			e.Labels = slices.Clone(e.Labels)
			what := rapid.IntRange(0, 2).Draw(t, "what")
			switch {
			case what == 0 && e.Kind == index.Pod:
				e.ServiceAccount = rapid.SampledFrom([]string{"", "sa0", "sa1"}).Draw(t, "account")
			case len(e.Labels) > 0:
				one := &e.Labels[rapid.IntRange(0, len(e.Labels)-1).Draw(t, "label")]
				if one.Value = rapid.SampledFrom(words).Draw(t, "value"); what == 2 {
					one.Name = rapid.SampledFrom([]string{"app", "tier"}).Draw(t, "name")
				}
			}
			c.Set(&e)
			l.endpoints[e.ID] = e
			if seen := listing[name]; seen != nil {
				seen[e.ID] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"a cluster joins": func(t *rapid.T) { join(rapid.SampledFrom(clusters).Draw(t, "cluster")) },
			"a cluster leaves": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					return
				}
				name, _, _ := some(t)
				x.Remove(name)
				delete(w, name)
				delete(listing, name)
			},
			"an endpoint is set":                set,
			"another endpoint is set":           set,
			"one more endpoint is set":          set,
			"an endpoint that is there changes": change,
			"another one changes":               change,
			"an endpoint goes": func(t *rapid.T) {
				_, c, l := some(t)
				id := idOf(t)
				c.Delete(id)
				delete(l.endpoints, id)
			},
			"a namespace is labelled": func(t *rapid.T) {
				_, c, l := some(t)
				name, labels := namespace.Draw(t, "namespace"), ownOnly(t)
				c.SetNamespace(name, labels)
				l.namespaces[name] = mapOf(labels)
				delete(l.gone, name)
			},
			"a namespace goes": func(t *rapid.T) {
				_, c, l := some(t)
				name := namespace.Draw(t, "namespace")
				c.DeleteNamespace(name)
				if l.namespaces[name] != nil {
					l.gone[name] = true
				}
			},
			"a service account is labelled": func(t *rapid.T) {
				_, c, l := some(t)
				ns, name, labels := namespace.Draw(t, "namespace"), account.Draw(t, "account"), ownOnly(t)
				c.SetServiceAccount(ns, name, labels)
				l.accounts[[2]string{ns, name}] = mapOf(labels)
			},
			"a service account goes": func(t *rapid.T) {
				_, c, l := some(t)
				ns, name := namespace.Draw(t, "namespace"), account.Draw(t, "account")
				c.DeleteServiceAccount(ns, name)
				delete(l.accounts, [2]string{ns, name})
			},
			"pods begin to be listed": func(t *rapid.T) {
				name, c, _ := some(t)
				c.Begin(index.ListOf(index.Pod))
				listing[name] = map[index.ID]bool{}
			},
			"pods were listed": func(t *rapid.T) {
				name, c, l := some(t)
				c.End(index.ListOf(index.Pod))
				if seen := listing[name]; seen != nil {
					for id := range l.endpoints {
						if id.Kind == index.Pod && !seen[id] {
							delete(l.endpoints, id)
						}
					}
					delete(listing, name)
				}
			},
			"namespaces are listed, and none is left": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					return
				}
				_, c, l := some(t)
				c.Begin(index.Namespaces)
				c.End(index.Namespaces)
				for name := range l.namespaces {
					l.gone[name] = true
				}
			},
			"a selector comes": func(t *rapid.T) {
				q := &live{told: map[string]bool{}, last: map[string][]string{}}
				q.query = x.Add(selectorOf(t), func(cluster string) { q.told[cluster] = true })
				queries = append(queries, q)
			},
			"a selector goes": func(t *rapid.T) {
				if len(queries) == 0 {
					return
				}
				i := rapid.IntRange(0, len(queries)-1).Draw(t, "which")
				queries[i].query.Close()
				if queries[i].query.Len("c1") != 0 {
					t.Fatal("a closed query has members")
				}
				queries = slices.Delete(queries, i, i+1)
			},
			"": func(t *rapid.T) {
				for _, l := range w {
					l.empty()
				}
				for _, q := range queries {
					for _, cluster := range clusters {
						var want []string
						if w[cluster] != nil {
							want = w.eval(q.query.Selector(), cluster)
						}
						got := names(q.query.Members(cluster))
						if diff := cmp.Diff(want, got); diff != "" {
							t.Fatalf("%s in %s: %s", q.query.Selector(), cluster, diff)
						}
						if fresh := names(x.Eval(q.query.Selector(), cluster)); !slices.Equal(fresh, got) {
							t.Fatalf("%s in %s: a fresh evaluation finds %v, the index has %v", q.query.Selector(), cluster, fresh, got)
						}
						var rendered []string
						for e := range q.query.Members(cluster) {
							rendered = append(rendered, fmt.Sprint(e.ID, e.Addresses, e.Ports))
						}
						slices.Sort(rendered)
						if !slices.Equal(q.last[cluster], rendered) && !q.told[cluster] {
							t.Fatalf("%s in %s changed, and nobody was told", q.query.Selector(), cluster)
						}
						q.last[cluster] = rendered
					}
					clear(q.told)
				}
			},
		})
	})
}
