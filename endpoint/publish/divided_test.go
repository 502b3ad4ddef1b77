package publish

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// growing is a set of one output, in pieces of four.
type growing struct {
	*api
	t         *testing.T
	publisher *Publisher
	addresses []netip.Prefix
}

// grow has so many addresses, from the one of that number on.
func (g *growing) grow(from, to int) {
	g.addresses = nil
	for i := from; i < to; i++ {
		g.addresses = append(g.addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 32))
	}
}

func newGrowing(t *testing.T) *growing {
	t.Helper()
	g := &growing{api: newAPI(t), t: t}
	g.publisher = publisherOf(t, g.following(t))
	t.Cleanup(g.publisher.queue.close)
	item := itemOf(webSet, 3, nil)
	item.Render = func(r Request) (Rendered, error) {
		out := Rendered{Addresses: len(g.addresses)}
		pieces := split(slices.Clone(g.addresses), r.Pieces("web"), 4)
		for i, piece := range pieces {
			if i == 0 || len(piece) > 0 {
				out.Objects = append(out.Objects, configMap(ofA, "n1", i+1, len(pieces), strings.Join(Texts(piece), " ")))
			}
		}
		return out, nil
	}
	item.Places = []Place{{corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind(), "n1"}}
	g.publisher.Put(item)
	return g
}

// works lets the publisher write, and says what it tells.
func (g *growing) works() *v1alpha1.FederatedCluster {
	g.t.Helper()
	g.publisher.work(g.t.Context(), g.publisher.queue, task{webSet, "a", writing})
	g.publisher.mu.Lock()
	defer g.publisher.mu.Unlock()
	return g.publisher.progress[ofA].entry
}

// holds fails the test where our objects hold an address that is gone, or, of those wanted, not each that is among some.
// It says how many objects there are.
func (g *growing) holds(some []netip.Prefix) int {
	g.t.Helper()
	all := g.has()
	maps.DeleteFunc(all, func(_, text string) bool { return text == "theirs" })
	var got []string
	for _, text := range all {
		got = append(got, strings.Fields(text)...)
	}
	want := Texts(g.addresses)
	for _, a := range got {
		if !slices.Contains(want, a) {
			g.t.Errorf("%s is let in, which is gone: %v", a, all)
		}
	}
	for _, a := range Texts(some) {
		if slices.Contains(want, a) && !slices.Contains(got, a) {
			g.t.Errorf("%s is let in no more: %v", a, all)
		}
	}
	return len(all)
}

// TestWhatIsGoneGoesWhereASetCannotGrow: it is divided as it was, until there can be more objects.
func TestWhatIsGoneGoesWhereASetCannotGrow(t *testing.T) {
	for name, first := range map[string]int{"from one object": 4, "from several": 20} {
		t.Run(name, func(t *testing.T) {
			g := newGrowing(t)
			g.grow(0, first)
			g.works()
			objects := g.holds(g.addresses)
			if (objects > 1) != (first > 4) {
				t.Fatalf("there are %d objects", objects)
			}
			g.failing(http.StatusForbidden, http.MethodPost, "/api/v1/namespaces/n1") // a quota, as it were
			for i := range 3 {
				before := g.addresses
				g.grow(i+1, 60+i)
				if e := g.works(); e == nil || len(e.Refused) == 0 || !strings.Contains(e.Refused[0], "creating is forbidden") || e.ObservedGeneration != 3 {
					t.Errorf("it says %+v", e)
				}
				if objects == 1 {
					before = g.addresses // it takes all of them
				} else if i > 0 {
					before = nil
				}
				if n := g.holds(before); n > objects {
					t.Errorf("there are %d objects", n)
				}
			}
			before := g.puts()
			if g.works(); g.puts() > before {
				t.Errorf("%d objects are written where nothing has changed", g.puts()-before)
			}
			g.grow(2, 3)
			if e := g.works(); len(e.Refused) > 0 {
				t.Errorf("when it has become small, it says %+v", e)
			}
			if n := g.holds(g.addresses); n != 1 {
				t.Errorf("then there are %d objects", n)
			}
			g.grow(2, 60)
			g.failing(0, "", "")
			if e := g.works(); len(e.Refused) > 0 {
				t.Errorf("in the end it says %+v", e)
			}
			if n := g.holds(g.addresses); n < 8 {
				t.Errorf("there are %d objects", n)
			}
		})
	}
}

// TestWhatIsGoneGoesWhereOnePieceCannotBeMade, as there is something of its name; the others are there already.
func TestWhatIsGoneGoesWhereOnePieceCannotBeMade(t *testing.T) {
	g := newGrowing(t)
	g.grow(0, 4)
	g.works()
	theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"addresses": "theirs"}}}
	theirs.SetName("web-a.2")
	g.mu.Lock()
	g.objects[cmPath("n1", "web-a.2")] = theirs
	g.mu.Unlock()
	var objects int
	for i := range 3 {
		g.grow(i+1, 20+i)
		if e := g.works(); len(e.Refused) != 1 || !strings.Contains(e.Refused[0], "web-a.2 is there, and was not made by Hawser") {
			t.Errorf("it says %+v", e)
		}
		if objects = g.holds(g.addresses); objects < 4 {
			t.Errorf("there are %d objects", objects)
		}
	}
	g.mu.Lock()
	delete(g.objects, cmPath("n1", "web-a.2"))
	g.mu.Unlock()
	if e := g.works(); len(e.Refused) > 0 {
		t.Errorf("in the end it says %+v", e)
	}
	if n := g.holds(g.addresses); n <= objects {
		t.Errorf("there are %d objects, and were %d", n, objects)
	}
	if _, anew := g.objects[cmPath("n1", "web-a")].GetAnnotations()[PiecesAnnotation]; !anew {
		t.Error("the first is not divided anew")
	}
}

func (a *api) puts() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for what, times := range a.asked {
		if strings.HasPrefix(what, http.MethodPut) {
			n += times
		}
	}
	return n
}

// TestTheNumberOfPiecesThatStays, whatever they come to hold.
func TestTheNumberOfPiecesThatStays(t *testing.T) {
	g := &growing{}
	g.grow(0, 100)
	for _, have := range []int{1, 2, 4, 64} {
		for name, pieces := range map[string]int{
			"alone":    len(split(slices.Clone(g.addresses), -have, 4)),
			"together": len(splitTogether([][]netip.Prefix{slices.Clone(g.addresses), slices.Clone(g.addresses[:7])}, -have, 4)),
		} {
			if pieces != have {
				t.Errorf("%s, %d become %d", name, have, pieces)
			}
		}
	}
}
