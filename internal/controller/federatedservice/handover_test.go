package federatedservice_test

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
)

// turn is a replica that owns every cluster, or none.
type turn struct {
	owns  atomic.Bool
	leads bool
}

func (r *turn) Enter(string) (func(), bool) { return func() {}, r.owns.Load() }
func (r *turn) Leads() bool                 { return r.leads }

// silent waits until a controller knows that a cluster is silent, and returns since when.
func (w *world) silent(c *federatedservice.Controller, cluster string) (since time.Time) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		s, _ := c.Clusters().State(cluster)
		if since = s.Contact.StaleSince; since.IsZero() {
			return errors.New("it is heard of")
		}
		return nil
	})
	return since
}

// TestAReplicaForgetsWhatBecameOfAClusterThatItHandedOver: what the other one has made of it since stands in the slices.
func TestAReplicaForgetsWhatBecameOfAClusterThatItHandedOver(t *testing.T) {
	w := newWorld(t)
	w.federated("all", service.StalenessAnnotation, "expire-after=10m")
	w.backing("alpha", "db", "10.1.0.1")
	a, b := &turn{leads: true}, &turn{}
	var of []*federatedservice.Controller
	for _, r := range []*turn{a, b} {
		c := w.controller(func(o *federatedservice.Options) {
			if r == a {
				o.Window = 400 * time.Millisecond // by then it has listed the cluster, and nothing reminds it to read the slices
			}
		})
		if err := c.Share(r, w.config["home"]); err != nil {
			t.Fatal(err)
		}
		w.run(c)
		of = append(of, c)
	}
	a.owns.Store(true)
	w.follow(of[0], "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1")
	w.proxy["alpha"].Cut()
	w.silent(of[0], "alpha")
	w.pass(of[0], 11*time.Minute)
	w.is("all of alpha  = -")

	a.owns.Store(false)
	<-of[0].Clusters().Forget("alpha")
	w.pass(of[0], 0)
	w.proxy["alpha"].Restore()
	b.owns.Store(true)
	w.follow(of[1], "alpha")
	fleettest.Eventually(t, patience, func() error {
		if s, _ := of[1].Clusters().State("alpha"); !s.Services || !s.Contact.StaleSince.IsZero() {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	w.calm(w.versions)
	w.is("all of alpha  = -") // as the other replica left it: it has not settled
	w.pass(of[1], time.Minute)
	w.is("all of alpha sql:15432 = 10.1.0.1")

	b.owns.Store(false)
	<-of[1].Clusters().Forget("alpha")
	a.owns.Store(true)
	w.follow(of[0], "alpha")
	w.pass(of[0], time.Second)
	w.calm(w.versions)
	w.is("all of alpha sql:15432 = 10.1.0.1")
}

// TestWhatIsKnownOfAClusterGetsNoYoungerByReconnecting, as each time that its address or CA changes.
func TestWhatIsKnownOfAClusterGetsNoYoungerByReconnecting(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1")
	c, _ := w.start()
	w.follow(c, "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1")
	w.proxy["alpha"].Cut()
	since := w.silent(c, "alpha")
	for range 3 {
		w.ahead.Add(int64(time.Minute))
		w.followAs(c, "alpha", w.id("alpha"), rest.CopyConfig(w.config["alpha"]))
		if s, _ := c.Clusters().State("alpha"); !s.Contact.StaleSince.Equal(since) || !s.Services {
			t.Fatalf("it is silent since %s, and not %s", s.Contact.StaleSince, since)
		}
	}
}

// TestWhatAClusterHadIsNotKeptOnceItIsListedAnew: it may be large, and each cluster has another connection some day.
func TestWhatAClusterHadIsNotKeptOnceItIsListedAnew(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1")
	c, _ := w.start()
	w.follow(c, "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1")
	view := func() weak.Pointer[service.View] {
		s, _ := c.Clusters().State("alpha")
		return weak.Make(s.View)
	}
	before := view()
	w.proxy["alpha"].Cut()
	w.followAs(c, "alpha", w.id("alpha"), rest.CopyConfig(w.config["alpha"]))
	runtime.GC()
	if view() != before || before.Value() == nil {
		t.Fatal("it is not kept while nothing else is known")
	}
	w.restore(c, "alpha")
	fleettest.Eventually(t, patience, func() error {
		after := view()
		if runtime.GC(); after == before || before.Value() != nil {
			return errors.New("what it had is kept")
		}
		return nil
	})
	w.is("all of alpha sql:15432 = 10.1.0.1")
}

// TestWhatWasMadeOfAnotherClusterOfTheNameGoes, also where that was deleted, and made anew for the next, while no manager ran.
func TestWhatWasMadeOfAnotherClusterOfTheNameGoes(t *testing.T) {
	const federated, imported = "all of alpha sql:15432 = 10.1.0.1", "import db of alpha metrics:19100,sql:15432 = 10.1.0.1"
	for name, test := range map[string]struct {
		id   func(*world) string // of what is to be listed next, which does not answer
		said bool                // slices say what they were made of
		want []string
	}{
		"the same one":                          {func(w *world) string { return w.id("alpha") }, true, []string{federated, imported}},
		"another one":                           {func(w *world) string { return w.id("beta") }, true, []string{"all of alpha  = -"}},
		"another one, after an earlier version": {func(w *world) string { return w.id("beta") }, false, []string{federated, imported}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.installKinds("home", "alpha")
			w.federated("all")
			w.backing("alpha", "db", "10.1.0.1")
			w.export("alpha", "db")
			c, running := w.start()
			w.follow(c, "alpha")
			w.is(federated, imported)
			w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
			w.calm(w.everything)
			running.Stop()
			if !test.said {
				for _, s := range w.slices() {
					change(w, "home", s.Name, &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) {
						e.Annotations[service.SourceAnnotation] = regexp.MustCompile(`"clusterID":"[^"]*",?`).ReplaceAllString(e.Annotations[service.SourceAnnotation], "")
					})
				}
			}

			w.proxy["alpha"].Cut()
			c, _ = w.start()
			w.followAs(c, "alpha", test.id(w), w.config["alpha"])
			w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "not heard of since")
			w.is(test.want...)
			w.calm(w.versions)
			w.is(test.want...)
			w.followAs(c, "alpha", w.id("alpha"), w.config["alpha"])
			w.restore(c, "alpha")
			w.is(federated, imported)
		})
	}
}
