package index_test

import (
	"net/netip"
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
