package index_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

func TestTellsWhatAClusterHas(t *testing.T) {
	c, err := index.New().Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	web := index.Endpoint{
		ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, Labels: []index.Label{{Name: "app", Value: "web"}},
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("fd00::1/128")},
	}
	host := index.Endpoint{ID: index.ID{Kind: index.Node, Name: "n"}, Node: "n", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}}
	c.Set(&web)
	c.Set(&host)
	addresses := map[string]index.ID{}
	for id, a := range c.Addresses() {
		addresses[a.String()] = id
	}
	if diff := cmp.Diff(map[string]index.ID{"10.0.0.1/32": web.ID, "fd00::1/128": web.ID, "10.0.0.9/32": host.ID}, addresses); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	got, ok := c.Get(web.ID)
	if diff := cmp.Diff(web, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	if _, ok := c.Get(index.ID{Kind: index.Pod, Namespace: "nowhere", Name: "web"}); ok || c.Len() != 2 {
		t.Errorf("an endpoint that there is not is there, or there are %d", c.Len())
	}
}

// Whoever fills a cluster may be late to learn that it was removed.
func TestAClusterThatWasRemovedTakesNothingMore(t *testing.T) {
	x := index.New()
	c, err := x.Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	web := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, ServiceAccount: "web"}
	c.Set(&web)
	c.SetNamespace("shop", []index.Label{{Name: "team", Value: "a"}})
	c.SetServiceAccount("shop", "web", []index.Label{{Name: "role", Value: "r"}})
	c.Begin(index.Namespaces)
	c.Begin(index.ListOf(index.Pod))
	x.Remove("a")
	told := 0
	for _, text := range []string{"all()", `pcns.team == "a"`, "has(pcsa.role)"} { // which the cluster never hears of
		x.Add(selector.MustParse(text), func(string) { told++ })
	}
	c.End(index.Namespaces)
	c.End(index.ListOf(index.Pod))
	c.DeleteServiceAccount("shop", "web")
	c.DeleteNamespace("shop")
	c.Delete(web.ID)
	c.Set(&web)
	if told > 0 {
		t.Errorf("somebody was told %d times of a cluster that was removed", told)
	}
}

// Whoever reads all addresses leaves room for whoever changes the cluster, and may itself be that.
func TestAClusterChangesWhileItsAddressesAreRead(t *testing.T) {
	c, err := index.New().Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	address := func(i int) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}
	}
	id := func(i int) index.ID {
		return index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("web-", i)}
	}
	const all = 3000
	for i := range all {
		c.Set(&index.Endpoint{ID: id(i), Addresses: address(i)})
	}
	seen := map[index.ID]bool{}
	for of := range c.Addresses() {
		seen[of] = true
		if len(seen) == 1 {
			c.Delete(id(all - 1))
			c.Set(&index.Endpoint{ID: id(all), Addresses: address(all)})
		}
		if len(seen) == all {
			break
		}
	}
	for i := range all - 1 {
		if !seen[id(i)] {
			t.Fatalf("%v, which was there all the time, was not seen", id(i))
		}
	}
	if seen[id(all-1)] || !seen[id(all)] {
		t.Error("what was far away when it changed is seen as it was before")
	}
}

// Only an API server that lies has such pods: as namespaces and service accounts are kept, they would be taken for one
// another.
func TestPodsAndAccountsHaveNamespaces(t *testing.T) {
	x := index.New()
	c, err := x.Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	web := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "web", Name: "one"}, ServiceAccount: "web"}
	c.Set(&web)
	for _, lie := range []index.Endpoint{
		{ID: index.ID{Kind: index.Pod, Name: "lie"}},
		{ID: index.ID{Kind: index.Pod, Name: "lie"}, ServiceAccount: "web"},
		{ID: index.ID{Kind: index.NetworkSet, Name: "lie"}, ServiceAccount: "web"},
	} {
		c.Set(&lie)
		if _, there := c.Get(lie.ID); there {
			t.Errorf("%+v was taken", lie)
		}
		c.Delete(lie.ID)
	}
	c.SetServiceAccount("", "web", []index.Label{{Name: "role", Value: "r"}})
	c.DeleteServiceAccount("", "web")
	c.Set(&web)
	if n := c.Len(); n != 1 {
		t.Errorf("there are %d", n)
	}
}

// As Calico has it: a name that is longer than a label's value may be is in no label of that name.
func TestLongNamesOfServiceAccountsAreInheritedByTheirPrefixAlone(t *testing.T) {
	for length, named := range map[int]bool{62: true, 63: false, 64: false, 253: false} {
		x := index.New()
		c, err := x.Cluster("a", "id")
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Repeat("a", length)
		for _, known := range []bool{false, true, false} {
			want := map[string]string{}
			if named {
				want["projectcalico.org/serviceaccount"] = name
			}
			if known {
				c.SetServiceAccount("shop", name, []index.Label{{Name: "role", Value: "front"}})
				want["pcsa.role"], want["pcsa.projectcalico.org/name"] = "front", name
			} else {
				c.DeleteServiceAccount("shop", name)
			}
			c.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, ServiceAccount: name})
			for e := range x.Look(selector.All(), "a") {
				got := map[string]string{}
				for label, value := range e.Labels() {
					if strings.HasPrefix(label, "pcsa.") || label == "projectcalico.org/serviceaccount" {
						got[label] = value
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%d bytes, known: %t (-want +got):\n%s", length, known, diff)
				}
			}
			for text, there := range map[string]bool{`projectcalico.org/serviceaccount == "` + name + `"`: named, "has(projectcalico.org/serviceaccount)": named, `pcsa.role == "front"`: known} {
				if got := len(slices.Collect(x.Eval(selector.MustParse(text), "a"))) == 1; got != there {
					t.Errorf("%d bytes, known: %t: %.60s matches: %t", length, known, text, got)
				}
			}
		}
	}
}

// TestWhatWasHandedOutStays as it was, whatever takes the place of what it was read from.
func TestWhatWasHandedOutStays(t *testing.T) {
	x := index.New()
	c, err := x.Cluster("a", "")
	if err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		c.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "pod-" + value}, Labels: []index.Label{{Name: "app", Value: value}}})
	}
	set("before")
	whole, _ := c.Get(index.ID{Kind: index.Pod, Namespace: "shop", Name: "pod-before"})
	var all map[string]string
	var app, ns string
	for seen := range x.Look(selector.MustParse("all()"), "a") {
		all = seen.Labels()
		app, _ = seen.Get("app")
		ns, _ = seen.Get(selector.NamespaceLabel)
	}
	c.Delete(whole.ID)
	for i := range 2000 {
		set(fmt.Sprint("other", i))
		c.SetNamespace(fmt.Sprint("place", i), nil)
	}
	if whole.Name != "pod-before" || whole.Labels[0].Value != "before" || all["app"] != "before" || app != "before" || ns != "shop" {
		t.Errorf("what was handed out is %v %v %q %q", whole, all, app, ns)
	}
}
