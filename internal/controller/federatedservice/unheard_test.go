package federatedservice_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
)

// TestWhatStandsInSlicesGoesWithTheRangesOfTheCluster, also where this process has never heard of it: it takes somebody a moment
// to decide, and nothing else is known.
func TestWhatStandsInSlicesGoesWithTheRangesOfTheCluster(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1", "10.1.128.1")
	w.export("alpha", "db")
	c, running := w.start()
	w.follow(c, "alpha")
	const federated, imported = "all of alpha sql:15432 = 10.1.0.1", "import db of alpha metrics:19100,sql:15432 = 10.1.0.1"
	w.is(federated+" 10.1.128.1", imported+" 10.1.128.1")
	running.Stop()

	c, _ = w.start()
	suspend := func(cidrs ...string) {
		t.Helper()
		b, err := endpoint.ParseBounds(cidrs)
		if err != nil {
			t.Fatal(err)
		}
		c.Clusters().Suspend(endpoint.Cluster{Name: "alpha", ID: w.id("alpha"), Bounds: b}, endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "spec.disabled of its RemoteCluster is true"})
	}
	suspend("10.1.0.0/16")
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "spec.disabled")
	w.is(federated+" 10.1.128.1", imported+" 10.1.128.1")
	suspend("10.1.0.0/17")
	w.is(federated, imported)
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "an address is left out: outside of the endpointCIDRs of the RemoteCluster, as 10.1.128.1 of pod shop/p")
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	suspend("10.2.0.0/16")
	w.is("all of alpha  = -", "import db of alpha  = -")
	w.follow(c, "alpha")
	w.is(federated+" 10.1.128.1", imported+" 10.1.128.1")
}

// TestAListThatTakesLongTakesNothingAway: a restart is no silence, unless it hangs.
func TestAListThatTakesLongTakesNothingAway(t *testing.T) {
	w := newWorld(t)
	w.federated("all", service.StalenessAnnotation, "expire-after=10s")
	w.backing("alpha", "db", "10.1.0.1")
	c, running := w.start()
	w.follow(c, "alpha")
	const there, gone = "all of alpha sql:15432 = 10.1.0.1", "all of alpha  = -"
	w.is(there)
	running.Stop()

	c, _ = w.start()
	at := w.wayTo("alpha")
	release := at.holding(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/endpointslices") })
	defer release()
	w.followAs(c, "alpha", w.id("alpha"), at.config())
	fleettest.Eventually(t, patience, func() error {
		if !at.asked("/endpointslices") {
			return fmt.Errorf("nothing was asked")
		}
		return nil
	})
	w.pass(c, 4*time.Minute)
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "not everything was listed yet")
	w.is(there)
	if slices.ContainsFunc(w.slices(), func(s discoveryv1.EndpointSlice) bool {
		return strings.Contains(s.Annotations[service.SourceAnnotation], "staleSince")
	}) {
		t.Error("it is said to be silent")
	}
	w.pass(c, 2*time.Minute)
	w.is(gone)
	release()
	fleettest.Eventually(t, patience, func() error {
		if s, _ := c.Clusters().State("alpha"); !s.Services || !s.Contact.StaleSince.IsZero() {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "taken away")
	w.pass(c, time.Minute)
	w.is(there)
}
