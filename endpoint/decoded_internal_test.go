package endpoint

import (
	"net/netip"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
	"github.com/hawser-io/hawser/selector"
)

// kindsOf are what a feed follows, by resource.
var kindsOf = map[string]string{
	"pods": wire.KindPod, "nodes": wire.KindNode, "namespaces": wire.KindNamespace, "serviceaccounts": wire.KindServiceAccount,
}

// still makes a feed that does not run: a test tells it what there is.
func still(t testing.TB, b Bounds) (f *Feed, x *index.Index) {
	t.Helper()
	x = index.New()
	part, err := x.Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	if f, err = NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid"}, Part: part, Bounds: b}); err != nil {
		t.Fatal(err)
	}
	return f, x
}

func (f *Feed) table(resource string) *table {
	return f.tables[slices.IndexFunc(f.tables, func(t *table) bool { return t.resource == resource })]
}

// decoded reads an object of a resource as it comes over the wire. It is nil where that is none.
func decoded(resource string, raw []byte) *wire.Object {
	var what []byte
	what = protowire.AppendTag(what, 1, protowire.BytesType)
	what = protowire.AppendString(what, "v1")
	what = protowire.AppendTag(what, 2, protowire.BytesType)
	what = protowire.AppendString(what, kindsOf[resource])
	message := []byte("k8s\x00")
	message = protowire.AppendTag(message, 1, protowire.BytesType)
	message = protowire.AppendBytes(message, what)
	message = protowire.AppendTag(message, 2, protowire.BytesType)
	message = protowire.AppendBytes(message, raw)
	got, _, err := wire.Decoder().Decode(message, nil, nil)
	if err != nil {
		return nil
	}
	o, _ := got.(*wire.Object)
	return o
}

type marshaler interface{ Marshal() ([]byte, error) }

func raw(t testing.TB, obj marshaler) []byte {
	t.Helper()
	b, err := obj.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func podOf(namespace, name, address string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node-1", ServiceAccountName: "web"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: address}}},
	}
}

// twice is an object's message with other labels after its own, which protobuf allows: some names are there twice.
func twice(t testing.TB, obj interface {
	marshaler
	metav1.Object
}, labels map[string]string) []byte {
	t.Helper()
	again := raw(t, &metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName(), Labels: labels})
	message := protowire.AppendTag(raw(t, obj), 1, protowire.BytesType)
	return protowire.AppendBytes(message, again)
}

// What only a cluster that lies says of an endpoint ends nobody.
func TestALabelThatIsSaidTwiceCountsOnce(t *testing.T) {
	f, x := still(t, Bounds{Local: true})
	pods, spaces := f.table("pods"), f.table("namespaces")
	web := decoded("pods", twice(t, podOf("shop", "web", "10.4.0.1", map[string]string{"app": "old", "tier": "a"}), map[string]string{"app": "web", "tier": "a"}))
	if len(web.Own) != 4 {
		t.Fatalf("it is read as %v", web.Own)
	}
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "old"}}}
	said := decoded("namespaces", twice(t, shop, map[string]string{"team": "shop"}))
	for range 2 { // and again, when the first are gone
		if err := pods.Add(web); err != nil {
			t.Fatal(err)
		}
		if err := spaces.Add(said); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{`app == "web" && pcns.team == "shop"`: 1, `app == "old"`: 0, `pcns.team == "old"`: 0} {
			if got := len(slices.Collect(x.Eval(selector.MustParse(text), "alpha"))); got != want {
				t.Errorf("%s matches %d, want %d", text, got, want)
			}
		}
		if err := pods.Delete(web); err != nil {
			t.Fatal(err)
		}
		if err := spaces.Delete(said); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzDecoded tells a feed whatever the decoder makes of two messages, in an order that the steps say. Whatever that is, a
// live selector has the members that a fresh evaluation finds, and nothing is left when all is gone.
func FuzzDecoded(f *testing.F) {
	labels := map[string]string{"app": "web", "pcns.team": "x"}
	pod, other := podOf("shop", "web", "10.4.0.1", labels), podOf("shop", "db", "fd00::1", map[string]string{"app": "db"})
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: map[string]string{"role": "front"}}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: "InternalIP", Address: "10.4.0.9"}}}}
	f.Add(uint8(0), raw(f, pod), uint8(0), raw(f, other), []byte{0, 1, 2, 3})
	f.Add(uint8(0), twice(f, pod, labels), uint8(0), raw(f, other), []byte{0, 1, 2, 0, 3})
	f.Add(uint8(0), twice(f, pod, map[string]string{"app": "db"}), uint8(2), raw(f, shop), []byte{0, 1, 4, 5, 0, 2, 3})
	f.Add(uint8(0), raw(f, podOf("", "web", "10.4.0.1", labels)), uint8(3), raw(f, account), []byte{1, 0, 4, 5, 3, 2})
	f.Add(uint8(1), raw(f, node), uint8(0), raw(f, pod), []byte{0, 1, 6, 7, 1, 0})
	order := []string{"pods", "nodes", "namespaces", "serviceaccounts"}
	texts := []string{`app == "web"`, `app != "db"`, `has(pcns.team)`, `pcsa.role starts with "f"`, `projectcalico.org/serviceaccount == "web"`, `all()`}
	f.Fuzz(func(t *testing.T, firstKind uint8, first []byte, secondKind uint8, second []byte, steps []byte) {
		feed, x := still(t, Bounds{Local: true})
		var live []*index.Query
		for _, text := range texts {
			live = append(live, x.Add(selector.MustParse(text), nil))
		}
		type told struct {
			table *table
			obj   *wire.Object
		}
		var all []told
		for _, m := range []struct {
			kind uint8
			raw  []byte
		}{{firstKind, first}, {secondKind, second}} {
			resource := order[int(m.kind)%len(order)]
			if o := decoded(resource, m.raw); o != nil {
				all = append(all, told{feed.table(resource), o})
			}
		}
		if len(all) == 0 {
			return
		}
		for _, step := range steps[:min(len(steps), 32)] {
			of := all[int(step)%len(all)]
			var err error
			switch step % 8 {
			case 0, 1:
				err = of.table.Add(of.obj)
			case 2, 3:
				err = of.table.Delete(of.obj)
			case 4:
				err = of.table.Replace([]any{of.obj}, "")
			case 5:
				err = of.table.Replace(nil, "")
			case 6:
				feed.SetBounds(Bounds{Local: true, Within: []netip.Prefix{netip.MustParsePrefix("10.4.0.0/28")}})
			case 7:
				feed.SetBounds(Bounds{Local: true})
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range live {
				if got, want := q.Len("alpha"), len(slices.Collect(x.Eval(q.Selector(), "alpha"))); got != want {
					t.Fatalf("%s has %d members, and a fresh evaluation finds %d", q.Selector(), got, want)
				}
			}
		}
		for _, of := range all {
			if err := of.table.Delete(of.obj); err != nil {
				t.Fatal(err)
			}
		}
		if n := feed.options.Part.Len(); n != 0 {
			t.Fatalf("%d endpoints are left", n)
		}
	})
}
