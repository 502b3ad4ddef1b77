package federatedservice_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
)

// TestAnImportKeepsItsAddressWhileItsSlicesAreMadeAgain: another Service would have another one.
func TestAnImportKeepsItsAddressWhileItsSlicesAreMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db")
	replicaOf := func(r replica) (*federatedservice.Controller, *fleettest.Running) {
		c := w.controller(func(o *federatedservice.Options) { o.Lag = 10 * time.Minute })
		if err := c.Share(r, w.config["home"]); err != nil {
			t.Fatal(err)
		}
		return c, w.run(c)
	}
	leader, _ := replicaOf(replica{leads: true})
	writer, running := replicaOf(replica{owns: "alpha"})
	w.follow(writer, "alpha")
	const written = "import db of alpha metrics:19100,sql:15432 = 10.1.0.1"
	w.is(written)
	im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	before, err := w.derived("db")
	if err != nil {
		t.Fatal(err)
	}

	lose := func() {
		t.Helper()
		running.Stop()
		if err := w.admin["home"].DeleteAllOf(t.Context(), &discoveryv1.EndpointSlice{}, client.InNamespace(w.namespace), client.MatchingLabels{discoveryv1.LabelManagedBy: service.ManagedBy}); err != nil {
			t.Fatal(err)
		}
		w.is("")
	}
	lose()
	w.still(w.everything)
	w.pass(leader, 9*time.Minute)
	w.still(w.everything)
	writer, running = replicaOf(replica{owns: "alpha"})
	w.follow(writer, "alpha")
	w.is(written)
	if after, err := w.derived("db"); err != nil || after.UID != before.UID || w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha").UID != im.UID {
		t.Errorf("its Service was %s with %s and is %s with %s, %v", before.UID, before.Spec.ClusterIP, after.UID, after.Spec.ClusterIP, err)
	}

	w.calm(w.everything) // by then the leader has seen them
	lose()               // the time that it was without them before counts no more
	w.still(w.everything)
	w.pass(leader, 9*time.Minute)
	w.still(w.everything)
	w.pass(leader, 2*time.Minute)
	w.imported("db", "")
	fleettest.Eventually(t, patience, func() error {
		if d, err := w.derived("db"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("its Service is there: %v %w", d.Name, err)
		}
		return nil
	})
}

// TestASliceThatCannotBeMadeKeepsNothingElseFromBeingWritten, and nothing is lost that was to be in it.
func TestASliceThatCannotBeMadeKeepsNothingElseFromBeingWritten(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1", "10.1.0.2")
	c, _ := w.start(perSlice(2))
	w.follow(c, "alpha")
	w.is("all of alpha sql:15432 = 10.1.0.1 10.1.0.2")
	none := w.noMoreSlices()
	w.endpoints("alpha", "db", "10.1.0.2", "10.1.0.3", "10.1.0.4")
	w.is("all of alpha sql:15432 = 10.1.0.2 10.1.0.3") // the first is gone, and there is no room for the fourth
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, `cluster "alpha": not all of its endpoints are written: creating EndpointSlice`)
	w.event(`Warning all NotWritten: cluster "alpha"`)
	w.federated("late") // of which there is nothing to say it on
	w.condition("late", metav1.ConditionTrue, service.ReasonPartial, "exceeded quota: none")
	fleettest.Eventually(t, patience, func() error { // for a leader that writes none of them
		if said := service.SourceOf(service.Key{Namespace: w.namespace, Name: "all", Cluster: "alpha"}, w.pointers()); len(said.Gaps) != 1 || !strings.Contains(said.Gaps[0], "exceeded quota: none") {
			return fmt.Errorf("the slices say %+v", said)
		}
		return nil
	})

	w.endpoints("alpha", "db", "10.1.0.2", "10.1.0.3")
	w.condition("all", metav1.ConditionTrue, service.ReasonFederated, "with endpoints of clusters alpha") // as nothing more is to be written
	other := &discoveryv1.EndpointSlice{ObjectMeta: w.meta("db-y"), AddressType: discoveryv1.AddressTypeIPv4}
	other.Labels = map[string]string{discoveryv1.LabelServiceName: "db"}
	other.Ports, other.Endpoints = []discoveryv1.EndpointPort{{Name: new("sql"), Port: new(int32(25432))}}, endpointsOf([]string{"10.1.0.3"})
	w.create("alpha", other)
	w.endpoints("alpha", "db", "10.1.0.2")
	w.calm(w.versions)
	w.is("all of alpha sql:15432 = 10.1.0.2 10.1.0.3") // it is to move, and cannot
	w.endpoints("alpha", "db", "10.1.0.9")
	w.is("all of alpha sql:15432 = 10.1.0.3 10.1.0.9")

	w.remove("home", none)
	c.Own("")
	w.is("all of alpha sql:15432 = 10.1.0.9", "all of alpha sql:25432 = 10.1.0.3", "late of alpha sql:15432 = 10.1.0.9", "late of alpha sql:25432 = 10.1.0.3")
	for _, name := range []string{"all", "late"} {
		w.condition(name, metav1.ConditionTrue, service.ReasonFederated, "with endpoints of clusters alpha")
	}
	for _, s := range w.slices() {
		if said := s.Annotations[service.SourceAnnotation]; strings.Contains(said, "not all of its endpoints") {
			t.Errorf("slice %s still says %s", s.Name, said)
		}
	}
}

// noMoreSlices lets none be made in the namespace at home, until what it returns is deleted.
func (w *world) noMoreSlices() client.Object {
	w.t.Helper()
	none := &corev1.ResourceQuota{ObjectMeta: w.meta("none"), Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/endpointslices.discovery.k8s.io": resource.MustParse("1")}}}
	w.create("home", none)
	fleettest.Eventually(w.t, patience, func() error { // the quota counts when the API server has seen it
		s := &discoveryv1.EndpointSlice{ObjectMeta: w.meta("probe"), AddressType: discoveryv1.AddressTypeIPv4}
		if err := w.admin["home"].Create(w.t.Context(), s); err == nil {
			w.remove("home", s)
			return errors.New("there is no quota yet")
		}
		return nil
	})
	return none
}

// TestAnImportStaysWhereTheSliceIsRefusedThatItsNextEndpointsAreFor, and its name is that of the first.
func TestAnImportStaysWhereTheSliceIsRefusedThatItsNextEndpointsAreFor(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.backing("alpha", "db", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4")
	w.export("alpha", "db")
	c, _ := w.start(perSlice(2))
	w.follow(c, "alpha")
	const written = "import db of alpha metrics:19100,sql:15432 = "
	w.is(written + "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4")
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	before, err := w.derived("db")
	if err != nil {
		t.Fatal(err)
	}
	w.endpoints("alpha", "db", "10.1.0.3", "10.1.0.4")
	w.is(written + "10.1.0.3 10.1.0.4")
	none := w.noMoreSlices()
	w.endpoints("alpha", "db", "10.1.0.3", "10.1.0.5", "10.1.0.6")
	w.is(written + "10.1.0.3 10.1.0.5")
	fleettest.Eventually(t, patience, func() error {
		im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
		return conditionIs(im.Status.Conditions, "Ready", metav1.ConditionTrue, "Ready", "exceeded quota: none")
	})
	w.pass(c, time.Minute) // longer than the import would be waited for
	w.calm(w.everything)
	if after, err := w.derived("db"); err != nil || after.UID != before.UID {
		t.Errorf("its Service was %s and is %s, %v", before.UID, after.UID, err)
	}
	w.remove("home", none)
	c.Own("")
	w.is(written + "10.1.0.3 10.1.0.5 10.1.0.6")
}

// pointers to slices of ours in the namespace.
func (w *world) pointers() (all []*discoveryv1.EndpointSlice) {
	for _, s := range w.slices() {
		all = append(all, &s)
	}
	return all
}

// TestAnImportThatIsHeadlessForAMomentKeepsItsAddress, as when the slices of the cluster that has the say are made again.
func TestAnImportThatIsHeadlessForAMomentKeepsItsAddress(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db")
	s := &corev1.Service{ObjectMeta: w.meta("db")}
	s.Spec.ClusterIP, s.Spec.Ports = corev1.ClusterIPNone, []corev1.ServicePort{{Name: "sql", Port: 5432}}
	w.create("home", s)
	w.export("home", "db")
	c, _ := w.start(func(o *federatedservice.Options) { o.Lag = 10 * time.Minute })
	w.follow(c, "alpha", "home")
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha,home")
	before, err := w.derived("db")
	if err != nil {
		t.Fatal(err)
	}
	w.unexport("alpha", "db")
	w.is("import db of home  = -")
	w.calm(w.everything)
	w.export("alpha", "db")
	w.is("import db of alpha metrics:19100,sql:15432 = 10.1.0.1", "import db of home  = -")
	w.unexport("alpha", "db")
	w.is("import db of home  = -")
	w.calm(w.everything)
	if after, err := w.derived("db"); err != nil || after.UID != before.UID {
		t.Errorf("its Service was %s, and is %s, %v", before.UID, after.UID, err)
	}
	w.pass(c, 11*time.Minute)
	w.imported("db", "Headless sql:5432 of home")
	fleettest.Eventually(t, patience, func() error {
		if d, err := w.derived("db"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("its Service is there: %v %w", d.Name, err)
		}
		return nil
	})
}

// TestAnImportKeepsItsAddressWhereItsServiceMayNotBeChanged, as one that a newer cluster exports and an older one does not
// understand.
func TestAnImportKeepsItsAddressWhereItsServiceMayNotBeChanged(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db")
	w.backing("home", "db", "10.3.0.1")
	w.export("home", "db")
	var refuses atomic.Bool
	c, _ := w.start(func(o *federatedservice.Options) {
		o.Config = rest.CopyConfig(o.Config)
		o.Config.Wrap(func(to http.RoundTripper) http.RoundTripper {
			return refusing{to, func(r *http.Request) *apierrors.StatusError {
				if !refuses.Load() || r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/services/derived-") {
					return nil
				}
				return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "derived", field.ErrorList{field.NotSupported(field.NewPath("spec", "trafficDistribution"), "PreferSameZone", []string{"PreferClose"})})
			}}
		})
	})
	w.follow(c, "home", "alpha")
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha,home")
	addressIs := func(status metav1.ConditionStatus, reason, part string, port int32) {
		t.Helper()
		fleettest.Eventually(t, patience, func() error {
			im := &mcs.ServiceImport{}
			if err := w.get("home", "db", im); err != nil {
				return err
			}
			d, err := w.derived("db")
			if err != nil {
				return err
			}
			if !slices.Equal(im.Spec.IPs, d.Spec.ClusterIPs) || d.Spec.Ports[0].Port != port {
				return fmt.Errorf("the import has %v, its Service %v and %v", im.Spec.IPs, d.Spec.ClusterIPs, d.Spec.Ports)
			}
			return conditionIs(im.Status.Conditions, "Ready", status, reason, part)
		})
	}
	addressIs(metav1.ConditionTrue, "Ready", "", 5432)
	refuses.Store(true)
	for _, cluster := range []string{"alpha", "home"} {
		change(w, cluster, "db", &corev1.Service{}, func(s *corev1.Service) { s.Spec.Ports[0].Port = 6432 })
	}
	w.imported("db", "ClusterSetIP sql:6432,metrics:9100 of alpha,home")
	addressIs(metav1.ConditionFalse, service.ReasonNotWritten, `Unsupported value: "PreferSameZone"`, 5432)
	w.exportIs("db", "Ready", metav1.ConditionFalse, "Failed", "stays as it was")
	w.calm(w.everything)
	addressIs(metav1.ConditionFalse, service.ReasonNotWritten, "", 5432)
	refuses.Store(false)
	c.Own("")
	addressIs(metav1.ConditionTrue, "Ready", "", 6432)
}
