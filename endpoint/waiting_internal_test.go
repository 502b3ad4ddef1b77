package endpoint

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// What a namespace says of its pods may be why they are left out, so that nobody matches before that is known.
func TestEndpointsWaitForTheirNamespace(t *testing.T) {
	x := index.New()
	part, err := x.Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	others := x.Add(selector.MustParse(`pcns.env != "dev"`), func(string) {})
	w := waiting{part: part}
	bounds := Bounds{Within: Prefixes(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))}.relevant()
	pod := func(namespace, name string, addresses ...string) *index.Endpoint {
		e := &index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: namespace, Name: name}}
		for _, a := range addresses {
			e.Addresses = append(e.Addresses, Prefixes(netip.MustParseAddr(a))...)
		}
		return e
	}
	expect := func(when string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for e := range others.Members("a") {
			got[e.Namespace+"/"+e.Name] = true
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v match, wanted %v", when, got, want)
		}
		for _, name := range want {
			if !got[name] {
				t.Errorf("%s: %v match, wanted %v", when, got, want)
			}
		}
	}

	w.set(&index.Endpoint{ID: index.ID{Kind: index.Node, Name: "host"}, Addresses: Prefixes(netip.MustParseAddr("10.0.0.1"))})
	w.set(pod("dev", "web", "10.0.0.1"))
	w.set(pod("shop", "web", "10.0.0.1", "10.0.0.9"))
	w.set(pod("shop", "gone", "10.0.0.2"))
	w.set(pod("shop", "outside", "10.0.0.9"))
	expect("no namespace is known", "/host")

	w.remove(index.ID{Kind: index.Pod, Namespace: "shop", Name: "gone"})
	part.SetNamespace("dev", []index.Label{{Name: "env", Value: "dev"}})
	w.known("dev", bounds)
	expect("the namespace that is left out is known", "/host")
	part.SetNamespace("shop", nil)
	w.known("shop", bounds)
	expect("both are known", "/host", "shop/web")
	if e, _ := part.Get(index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}); len(e.Addresses) != 1 {
		t.Errorf("a pod that waited has %v, of which the bounds allow one", e.Addresses)
	}

	w.set(pod("late", "web", "10.0.0.1"))
	w.begin(index.ListOf(index.Pod))
	part.SetNamespace("late", nil)
	w.known("late", bounds)
	expect("a pod that waited was not in the next list", "/host", "shop/web")

	part.DeleteNamespace("dev")
	expect("the namespace that is left out goes before its pods", "/host", "shop/web")
	part.DeleteNamespace("shop")
	w.set(pod("shop", "web", "10.0.0.2"))
	expect("a pod is heard of after its namespace went", "/host")
}

// What waited for its namespace before a list begins is no part of that list, though its namespace becomes known meanwhile.
func TestWhatWaitedIsNotTakenForListed(t *testing.T) {
	f, _ := still(t, Bounds{Local: true})
	pods, web := f.table("pods"), decoded("pods", raw(t, podOf("shop", "web", "10.4.0.1", nil)))
	if err := pods.Add(web); err != nil {
		t.Fatal(err)
	}
	f.waiting.mu.Lock() // as when a namespace becomes known
	listed := make(chan error, 1)
	go func() { listed <- pods.Replace(nil, "") }() // ends with the lock
	select {
	case err := <-listed:
		f.waiting.mu.Unlock()
		t.Fatalf("it is listed meanwhile: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	f.options.Part.SetNamespace("shop", nil)
	for _, e := range f.waiting.of["shop"] {
		f.options.Part.Set(&e)
	}
	delete(f.waiting.of, "shop")
	f.waiting.mu.Unlock()
	if err := <-listed; err != nil || f.options.Part.Len() != 0 {
		t.Errorf("%v; when none was listed there are %d", err, f.options.Part.Len())
	}
	namespace := decoded("namespaces", raw(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	if err := f.table("namespaces").Add(namespace); err != nil || f.options.Part.Len() != 0 {
		t.Errorf("%v; when the namespace is told of again there are %d", err, f.options.Part.Len())
	}
}
