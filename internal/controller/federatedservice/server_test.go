package federatedservice_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
)

func perSlice(n int) func(*federatedservice.Options) {
	return func(o *federatedservice.Options) { o.PerSlice = n }
}

func TestAServiceHasTheEndpointsOfEveryClusterThatItSelects(t *testing.T) {
	w := newWorld(t)
	w.backing("alpha", "db", "10.1.0.1", "10.1.0.2!", "10.1.0.3", "192.168.0.1")
	w.backing("beta", "db-b", "10.2.0.1")
	w.backing("home", "db-h", "10.3.0.1")
	w.federated("all")
	told := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "told", Labels: map[string]string{discoveryv1.LabelServiceName: "db", mcs.LabelSourceCluster: "gamma"}}}
	told.AddressType, told.Endpoints = discoveryv1.AddressTypeIPv4, endpointsOf([]string{"10.1.9.9"}) // alpha has it from another cluster
	told.Ports = []discoveryv1.EndpointPort{{Name: new("sql"), Port: new(int32(15432))}}
	w.create("alpha", told)
	c, _ := w.start(perSlice(2))
	w.follow(c, "home", "alpha", "beta")
	const home, beta = "all of home sql:15432 = 10.3.0.1", "all of beta sql:15432 = 10.2.0.1"
	w.is("all of alpha sql:15432 = 10.1.0.1 10.1.0.2! 10.1.0.3", beta, home)
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, `clusters alpha, beta, home; cluster "alpha": an address is left out: outside of the endpointCIDRs of the RemoteCluster, as 192.168.0.1`)
	for _, s := range w.slices() {
		if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].Kind != "Service" {
			t.Errorf("slice %s belongs to %v", s.Name, s.OwnerReferences)
		}
	}
	w.still(w.versions)

	before := w.versions()
	w.endpoints("alpha", "db", "10.1.0.1", "10.1.0.2", "10.1.0.3")
	w.is("all of alpha sql:15432 = 10.1.0.1 10.1.0.2 10.1.0.3", beta, home)
	w.condition("all", metav1.ConditionTrue, service.ReasonFederated, "alpha, beta, home")
	w.endpoints("alpha", "db", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4")
	w.is("all of alpha sql:15432 = 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4", beta, home)
	for line := range strings.Lines(before) { // those of beta and home
		if !strings.Contains(line, "-alpha-") && !strings.Contains(w.versions(), strings.TrimSpace(line)) {
			t.Errorf("%s is written for no reason", line)
		}
	}

	change(w, "alpha", "db-x", &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) { e.Ports[0].Port, e.Endpoints = new(int32(25432)), e.Endpoints[:1] })
	w.is("all of alpha sql:25432 = 10.1.0.1", beta, home)
	change(w, "beta", "db-b", &corev1.Service{}, func(s *corev1.Service) { s.Labels["app"] = "web" })
	w.is("all of alpha sql:25432 = 10.1.0.1", home)
	change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { s.Annotations[service.SelectorAnnotation] = `hawser.io/cluster == "beta"` })
	w.is(beta)
	change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{{Name: "metrics", Port: 2}} })
	w.is("all of beta metrics:19100 = 10.2.0.1")

	edited := w.slices()[0].Name
	change(w, "home", edited, &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) { e.Endpoints[0].Addresses = []string{"10.66.6.6"} })
	w.is("all of beta metrics:19100 = 10.2.0.1")
	w.remove("home", &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: edited}})
	w.is("all of beta metrics:19100 = 10.2.0.1")

	annotate := func(text string) {
		change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { s.Annotations[service.SelectorAnnotation] = text })
	}
	annotate("app =")
	w.condition("all", metav1.ConditionFalse, service.ReasonSelectorInvalid, `the selector that was read last: hawser.io/cluster == "beta"`)
	w.endpoints("beta", "db-b", "10.2.0.1", "10.2.0.2")
	w.is("all of beta metrics:19100 = 10.2.0.1 10.2.0.2")
	w.endpoints("beta", "db-b", "10.2.0.1")
	annotate(`hawser.io/cluster == "beta"`)
	w.condition("all", metav1.ConditionTrue, service.ReasonFederated, "beta")
	w.is("all of beta metrics:19100 = 10.2.0.1")

	change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { s.Annotations[service.CalicoSelectorAnnotation] = "all()" })
	w.is("")
	w.condition("all", metav1.ConditionFalse, service.ReasonAnnotationsDiffer, "take one away")
	w.event("Warning all AnnotationsDiffer")
	change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { delete(s.Annotations, service.CalicoSelectorAnnotation) })
	w.is("all of beta metrics:19100 = 10.2.0.1")
	change(w, "home", "all", &corev1.Service{}, func(s *corev1.Service) { s.Annotations = nil })
	w.is("")
	fleettest.Eventually(t, patience, func() error {
		var s corev1.Service
		if err := w.get("home", "all", &s); err != nil {
			return err
		}
		if conditionIs(s.Status.Conditions, service.ConditionFederated, metav1.ConditionTrue, service.ReasonFederated, "") == nil || len(s.Status.Conditions) > 0 {
			return context.DeadlineExceeded
		}
		return nil
	})
}

func TestASliceOfSomebodyElseIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1")
	c, _ := w.start()
	w.follow(c, "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1")
	name := w.slices()[0].Name
	change(w, "home", name, &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) {
		e.Labels[discoveryv1.LabelManagedBy] = "somebody-else"
		e.Endpoints[0].Addresses = []string{"10.9.9.9"}
	})
	w.is("all of alpha sql:15432 = 10.1.0.1")
	var theirs discoveryv1.EndpointSlice
	if err := w.get("home", name, &theirs); err != nil || theirs.Endpoints[0].Addresses[0] != "10.9.9.9" {
		t.Errorf("theirs is %v, %v", theirs.Endpoints, err)
	}
	if ours := w.slices()[0].Name; ours == name {
		t.Error("ours has the name of theirs")
	}
}

func TestTheEndpointsOfAClusterThatIsCut(t *testing.T) {
	w := newWorld(t)
	w.federated("kept")
	w.federated("expired", service.StalenessAnnotation, "expire-after=10m")
	w.backing("alpha", "db", "10.1.0.1")
	w.backing("beta", "db", "10.2.0.1")
	c, running := w.start()
	w.follow(c, "alpha", "beta")
	const beta1, beta2 = "expired of beta sql:15432 = 10.2.0.1", "kept of beta sql:15432 = 10.2.0.1"
	const kept = "kept of alpha sql:15432 = 10.1.0.1"
	w.is("expired of alpha sql:15432 = 10.1.0.1", beta1, kept, beta2)

	w.proxy["alpha"].Cut()
	w.condition("kept", metav1.ConditionTrue, service.ReasonPartial, `cluster "alpha": not heard of since`)
	w.is("expired of alpha sql:15432 = 10.1.0.1", beta1, kept, beta2)
	w.pass(c, 11*time.Minute)
	w.is("expired of alpha  = -", beta1, kept, beta2)
	w.condition("expired", metav1.ConditionTrue, service.ReasonPartial, "taken away")
	running.Stop() // what is known of a cluster that does not answer is what is written

	before := w.versionsOf("alpha")
	c, _ = w.start()
	w.follow(c, "alpha", "beta")
	w.pass(c, time.Second)
	w.calm(w.versions)
	if after := w.versionsOf("alpha"); !slices.Equal(after, before) {
		t.Errorf("after a restart %q is written, and was %q", after, before)
	}
	w.is("expired of alpha  = -", beta1, kept, beta2)
	c.Clusters().Doubt("alpha", endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "no answer to a probe"})
	w.proxy["alpha"].Restore() // which the controller finds out before the next probe
	w.condition("kept", metav1.ConditionTrue, service.ReasonFederated, "alpha, beta")
	w.is("expired of alpha  = -", beta1, kept, beta2) // it might be gone again in a moment
	w.pass(c, time.Minute)
	w.is("expired of alpha sql:15432 = 10.1.0.1", beta1, kept, beta2)

	// Another cluster has the name now.
	w.followAs(c, "alpha", w.id("beta"), w.config["beta"])
	w.is("expired of alpha sql:15432 = 10.2.0.1", beta1, "kept of alpha sql:15432 = 10.2.0.1", beta2)
	c.Clusters().Suspend(endpoint.Cluster{Name: "alpha", ID: "a third"}, endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "starting"})
	w.is(beta1, beta2)
	w.followAs(c, "alpha", w.id("alpha"), w.config["alpha"])
	w.is("expired of alpha sql:15432 = 10.1.0.1", beta1, kept, beta2)
	c.Clusters().Bar(endpoint.Cluster{Name: "beta"}, endpoint.Gap{Reason: endpoint.ReasonUnbounded, Message: "spec.endpointCIDRs is empty"})
	w.is("expired of alpha sql:15432 = 10.1.0.1", "expired of beta  = -", kept, "kept of beta  = -")
	w.condition("kept", metav1.ConditionTrue, service.ReasonPartial, `cluster "beta": nothing is taken from it: spec.endpointCIDRs is empty`)
}

// versionsOf are the names of slices of ours of a cluster with their resourceVersions.
func (w *world) versionsOf(cluster string) []string {
	w.t.Helper()
	return slices.DeleteFunc(strings.Split(w.versions(), "\n"), func(s string) bool { return !strings.Contains(s, "-"+cluster+"-") })
}

// pass lets time pass, and the controller look at everything.
func (w *world) pass(c *federatedservice.Controller, d time.Duration) {
	w.ahead.Add(int64(d))
	c.Own("")
}

func TestWhatAClusterLeftGoesWithItsRemoteCluster(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1")
	var gone atomic.Bool
	c, _ := w.start(func(o *federatedservice.Options) {
		o.Known = func(context.Context, string) (bool, error) { return !gone.Load(), nil }
	})
	w.follow(c, "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1")
	<-c.Clusters().Forget("alpha") // another replica is to follow it
	c.Own("")
	w.still(w.versions)
	gone.Store(true)
	c.Orphaned("alpha")
	w.is("")
}
