package endpoint

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// silence is a way to a cluster that does not answer.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, errors.New("no answer")
}

func unanswered() *rest.Config {
	return &rest.Config{Host: "https://cluster.invalid", Transport: silence{}}
}

// What somebody takes out of endpointCIDRs goes at once, however the cluster is followed then, and a feed that has not
// ended yet does not bring it back.
func TestNarrowerBoundsCountAtOnceWhetherItIsFollowedOrNot(t *testing.T) {
	wide, narrow := bounds("10.4.5.0/24"), bounds("10.4.5.0/25")
	off := Gap{Reason: ReasonDisabled, Message: "off"}
	for name, change := range map[string]func(*Catalog, Cluster){
		"it is followed still": func(c *Catalog, of Cluster) { _ = c.Follow(t.Context(), of) },
		"it is disabled with it": func(c *Catalog, of Cluster) {
			c.Suspend(of, off)
		},
		"it was disabled before": func(c *Catalog, of Cluster) {
			before := of
			before.Bounds = wide
			c.Suspend(before, off)
			c.Suspend(of, off)
		},
		"its connection is another one with it": func(c *Catalog, of Cluster) {
			of.Config = unanswered()
			_ = c.Follow(t.Context(), of)
		},
		"it was disabled, and has another connection with it": func(c *Catalog, of Cluster) {
			before := of
			before.Bounds = wide
			c.Suspend(before, off)
			of.Config = unanswered()
			_ = c.Follow(t.Context(), of)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCatalog(CatalogOptions{})
			defer c.Close()
			of := Cluster{Name: "alpha", ID: "id", Config: unanswered(), Bounds: wide}
			if err := c.Follow(context.Background(), of); err != nil {
				t.Fatal(err)
			}
			first := c.clusters["alpha"].feed
			if err := first.table("namespaces").Add(decoded("namespaces", raw(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))); err != nil {
				t.Fatal(err)
			}
			take := func(name, address string) {
				t.Helper()
				if err := first.table("pods").Add(decoded("pods", raw(t, podOf("shop", name, address, nil)))); err != nil {
					t.Fatal(err)
				}
			}
			take("low", "10.4.5.1")
			take("high", "10.4.5.200")
			of.Bounds = narrow
			change(c, of)
			take("late", "10.4.5.201")
			if got := addressesOf(c.Index(), "alpha"); !slices.Equal(got, []string{"10.4.5.1/32"}) {
				t.Errorf("its addresses are %q", got)
			}
		})
	}
}

// What goes while bounds are narrowed is not brought back by what that leaves of it.
func TestNothingGoesWhileBoundsAreNarrowed(t *testing.T) {
	f, _ := still(t, Bounds{Local: true})
	pods, web := f.table("pods"), decoded("pods", raw(t, podOf("shop", "web", "10.4.0.1", nil)))
	for name, goes := range map[string]func() error{
		"as it is deleted":  func() error { return pods.Delete(web) },
		"as a list is over": func() error { return pods.Replace(nil, "") },
	} {
		t.Run(name, func(t *testing.T) {
			if err := pods.Add(web); err != nil {
				t.Fatal(err)
			}
			f.mu.Lock() // as they are narrowed
			gone := make(chan error, 1)
			go func() { gone <- goes() }() // ends with the lock
			select {
			case err := <-gone:
				f.mu.Unlock()
				t.Fatalf("it has gone meanwhile: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			f.mu.Unlock()
			if err := <-gone; err != nil || f.options.Part.Len() != 0 {
				t.Errorf("%v; afterwards there are %d", err, f.options.Part.Len())
			}
		})
	}
}

func bounds(within ...string) (b Bounds) {
	for _, w := range within {
		b.Within = append(b.Within, netip.MustParsePrefix(w))
	}
	return b
}

func addressesOf(x *index.Index, cluster string) (all []string) {
	for e := range x.Eval(selector.MustParse("all()"), cluster) {
		for _, a := range e.Addresses {
			all = append(all, a.String())
		}
	}
	slices.Sort(all)
	return all
}
