package federatedservice_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/mcs-api/config/crd"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
)

// kindsOf are the clusters that have the multi-cluster services API.
var kindsOf sync.Map

// installKinds installs the multi-cluster services API, in all clusters at once: it takes an API server seconds to serve it.
func (w *world) installKinds(clusters ...string) {
	w.t.Helper()
	var installing sync.WaitGroup
	for _, name := range clusters {
		if _, had := kindsOf.LoadOrStore(name, true); had {
			continue
		}
		text := bytes.Join([][]byte{crd.ServiceExportCRD, crd.ServiceImportCRD}, []byte("\n---\n"))
		if name == "beta" { // it has an earlier version alone
			text = bytes.ReplaceAll(text, []byte("- name: v1beta1\n      served: true"), []byte("- name: v1beta1\n      served: false"))
		}
		at := fleettest.Use(w.t, name)
		installing.Go(func() { // ends within a deadline
			if err := at.Apply(w.t.Context(), text); err != nil {
				w.t.Error(err)
			}
		})
	}
	if installing.Wait(); w.t.Failed() {
		w.t.FailNow()
	}
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *world) export(cluster, name string, change ...func(*mcs.ServiceExport)) {
	w.t.Helper()
	e := &mcs.ServiceExport{ObjectMeta: w.meta(name)}
	for _, f := range change {
		f(e)
	}
	w.create(cluster, inVersionOf(cluster, e))
}

func (w *world) unexport(cluster, name string) {
	w.t.Helper()
	w.remove(cluster, inVersionOf(cluster, &mcs.ServiceExport{ObjectMeta: w.meta(name)}))
}

// inVersionOf is an export in the version that a cluster serves.
func inVersionOf(cluster string, e *mcs.ServiceExport) client.Object {
	if cluster != "beta" {
		return e
	}
	old := &unstructured.Unstructured{}
	old.SetAPIVersion(mcs.GroupName + "/v1alpha1")
	old.SetKind(mcs.ServiceExportKindName)
	old.SetNamespace(e.Namespace)
	old.SetName(e.Name)
	return old
}

// imported waits until an import is as wanted: its type, ports and clusters; and returns it.
func (w *world) imported(name, want string) *mcs.ServiceImport {
	w.t.Helper()
	im := &mcs.ServiceImport{}
	fleettest.Eventually(w.t, patience, func() error {
		*im = mcs.ServiceImport{}
		err := w.get("home", name, im)
		if err != nil && want != "" || err == nil && want == "" {
			return fmt.Errorf("the import is %v, %w", im.Spec, err)
		}
		if want == "" {
			return nil
		}
		var ports, clusters []string
		for _, p := range im.Spec.Ports {
			ports = append(ports, fmt.Sprintf("%s:%d", p.Name, p.Port))
		}
		for _, c := range im.Status.Clusters {
			clusters = append(clusters, c.Cluster)
		}
		got := fmt.Sprintf("%s %s of %s", im.Spec.Type, strings.Join(ports, ","), strings.Join(clusters, ","))
		if got != want {
			return fmt.Errorf("the import is %s, want %s", got, want)
		}
		return nil
	})
	return im
}

func (w *world) exportIs(name, kind string, status metav1.ConditionStatus, reason, part string) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		var e mcs.ServiceExport
		if err := w.get("home", name, &e); err != nil {
			return err
		}
		return conditionIs(e.Status.Conditions, kind, status, reason, part)
	})
}

// everything is the version of all that may be written.
func (w *world) everything() string {
	var services corev1.ServiceList
	var imports mcs.ServiceImportList
	var exports mcs.ServiceExportList
	text := w.versions()
	for _, list := range []client.ObjectList{&services, &imports, &exports} {
		if err := w.admin["home"].List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, s := range services.Items {
		text += "\nService " + s.Name + " " + s.ResourceVersion
	}
	for _, s := range imports.Items {
		text += "\nServiceImport " + s.Name + " " + s.ResourceVersion
	}
	for _, s := range exports.Items {
		text += "\nServiceExport " + s.Name + " " + s.ResourceVersion
	}
	return text
}

func (w *world) derived(name string) (s corev1.Service, err error) {
	return s, w.get("home", service.DerivedName(w.namespace, name), &s)
}

func TestWhatClustersExportIsImported(t *testing.T) {
	w := newWorld(t)
	c, running := w.start()
	w.follow(c, "home", "alpha", "beta")
	w.backing("alpha", "db", "10.1.0.1", "10.1.0.2!")
	w.backing("beta", "db", "10.2.0.1")
	w.backing("home", "db", "10.3.0.1")
	w.still(w.versions) // the kinds are not there yet, unless another test has brought them
	w.installKinds("home", "alpha", "beta")
	w.export("alpha", "db", func(e *mcs.ServiceExport) {
		e.Spec.ExportedLabels = map[string]string{"team": "a", "hawser.io/x": "y"}
	})
	const alpha, beta, home = "import db of alpha metrics:19100,sql:15432 = 10.1.0.1 10.1.0.2!", "import db of beta metrics:19100,sql:15432 = 10.2.0.1", "import db of home metrics:19100,sql:15432 = 10.3.0.1"
	w.is(alpha)
	im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	if im.Labels["team"] != "a" || im.Labels["hawser.io/x"] != "" {
		t.Errorf("its labels are %v", im.Labels)
	}
	fleettest.Eventually(t, patience, func() error {
		d, err := w.derived("db")
		if err != nil {
			return err
		}
		if err := w.get("home", "db", im); err != nil {
			return err
		}
		if len(im.Spec.IPs) != 1 || im.Spec.IPs[0] != d.Spec.ClusterIP || d.OwnerReferences[0].UID != im.UID || d.Spec.Selector != nil {
			return fmt.Errorf("the import has %v, its Service %+v", im.Spec.IPs, d.Spec)
		}
		for _, s := range w.slices() {
			if s.Labels[discoveryv1.LabelServiceName] != d.Name || len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != im.UID {
				return fmt.Errorf("slice %s is of Service %s and belongs to %v", s.Name, s.Labels[discoveryv1.LabelServiceName], s.OwnerReferences)
			}
		}
		return nil
	})

	change(w, "beta", "db", &corev1.Service{}, func(s *corev1.Service) {
		s.Spec.Ports[0].Port = 6432
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	})
	w.export("beta", "db")
	w.export("home", "db")
	w.is(alpha, "import db of beta metrics:19100 = 10.2.0.1", home) // its other port is not the one that is imported
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha,beta,home")
	w.exportIs("db", "Valid", metav1.ConditionTrue, "Valid", "")
	w.exportIs("db", "Ready", metav1.ConditionTrue, "Ready", "")
	w.exportIs("db", "Conflict", metav1.ConditionTrue, "PortConflict,SessionAffinityConflict,SessionAffinityConfigConflict,LabelsConflict", `in cluster "alpha"`)
	w.event("Warning db PortConflict")
	w.still(w.everything)
	before := w.everything()
	running.Stop()
	c, _ = w.start()
	w.follow(c, "home", "alpha", "beta")
	w.still(w.everything)
	if after := w.everything(); after != before {
		t.Errorf("another start writes\n%s\nafter\n%s", after, before)
	}

	w.unexport("alpha", "db")
	w.is(beta, "import db of home metrics:19100 = 10.3.0.1")
	im = w.imported("db", "ClusterSetIP sql:6432,metrics:9100 of beta,home")
	if im.Spec.SessionAffinity != corev1.ServiceAffinityClientIP || im.Spec.SessionAffinityConfig == nil || im.Labels["team"] != "" {
		t.Errorf("it is as the export that is gone said: %+v %v", im.Spec, im.Labels)
	}
	change(w, "beta", "db", &corev1.Service{}, func(s *corev1.Service) {
		s.Spec.Ports[0].Port, s.Spec.SessionAffinity, s.Spec.SessionAffinityConfig = 5432, corev1.ServiceAffinityNone, nil
	})
	w.exportIs("db", "Conflict", metav1.ConditionFalse, "NoConflicts", "")
	w.is(beta, home)
	w.remove("home", im) // people can, and it comes back as long as it is exported
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of beta,home")
	w.unexport("beta", "db")
	w.unexport("home", "db")
	w.is("")
	w.imported("db", "")
	fleettest.Eventually(t, patience, func() error {
		if d, err := w.derived("db"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("its Service is there: %v %w", d.Name, err)
		}
		return nil
	})
}

func TestWhatCannotBeImported(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	c, _ := w.start()
	w.follow(c, "home", "alpha")

	// Headless: no address.
	s := &corev1.Service{ObjectMeta: w.meta("peers")}
	s.Spec.ClusterIP, s.Spec.Ports = corev1.ClusterIPNone, []corev1.ServicePort{{Name: "raft", Port: 7000}}
	w.create("alpha", s)
	w.export("alpha", "peers")
	im := w.imported("peers", "Headless raft:7000 of alpha")
	if _, err := w.derived("peers"); !apierrors.IsNotFound(err) || len(im.Spec.IPs) > 0 {
		t.Errorf("it has the address %v, and a Service: %v", im.Spec.IPs, err)
	}
	w.is("import peers of alpha  = -")

	// Somebody else's.
	theirs := &mcs.ServiceImport{ObjectMeta: w.meta("theirs"), Spec: mcs.ServiceImportSpec{Type: mcs.ClusterSetIP, Ports: []mcs.ServicePort{{Port: 1}}}}
	w.create("home", theirs)
	w.backing("alpha", "theirs", "10.1.0.1")
	w.backing("home", "theirs", "10.3.0.1")
	w.export("alpha", "theirs")
	w.export("home", "theirs")
	w.exportIs("theirs", "Ready", metav1.ConditionFalse, "Failed", "is not made by Hawser")
	w.imported("theirs", "ClusterSetIP :1 of ")
	w.event("Warning theirs Failed")
	w.unexport("alpha", "theirs")
	w.unexport("home", "theirs")
	w.is("import peers of alpha  = -")
	w.imported("theirs", "ClusterSetIP :1 of ")

	// What has no endpoints of its own.
	s = &corev1.Service{ObjectMeta: w.meta("elsewhere"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}}
	w.create("home", s)
	w.export("home", "elsewhere")
	w.exportIs("elsewhere", "Valid", metav1.ConditionFalse, "InvalidServiceType", "ExternalName")
	w.export("home", "nothing")
	w.exportIs("nothing", "Valid", metav1.ConditionFalse, "NoService", "")
	w.federated("chain")
	w.export("home", "chain")
	w.exportIs("chain", "Valid", metav1.ConditionFalse, service.ReasonFederated, "")
	w.imported("chain", "")
}

func TestNothingIsImportedIntoANamespaceThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	c, _ := w.start()
	w.follow(c, "alpha")
	w.namespace += "-far"
	w.create("alpha", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db")
	w.still(w.everything)
	if failed := w.failures.Load(); failed != nil {
		t.Errorf("it was tried: %s", *failed)
	}
	w.create("home", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	w.is("import db of alpha metrics:19100,sql:15432 = 10.1.0.1")

	// The endpoints of a cluster that is silent expire, and the import keeps its address.
	change(w, "home", "db", &mcs.ServiceImport{}, func(im *mcs.ServiceImport) {
		im.Annotations = map[string]string{service.StalenessAnnotation: "expire-after=10m"}
	})
	address := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha").Spec.IPs
	w.proxy["alpha"].Cut()
	fleettest.Eventually(t, patience, func() error {
		im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
		return conditionIs(im.Status.Conditions, "Ready", metav1.ConditionTrue, "Ready", `cluster "alpha": not heard of since`)
	})
	w.pass(c, 11*time.Minute)
	w.is("import db of alpha  = -")
	if im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha"); len(address) == 0 || !slices.Equal(im.Spec.IPs, address) {
		t.Errorf("the address was %v and is %v", address, im.Spec.IPs)
	}
}

// replica is one of several that share the clusters.
type replica struct {
	owns  string
	leads bool
}

func (r replica) Enter(cluster string) (func(), bool) { return func() {}, cluster == r.owns }
func (r replica) Leads() bool                         { return r.leads }

func TestReplicasNeedNotSeeWhatOthersSee(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha", "beta")
	w.backing("alpha", "db", "10.1.0.1")
	w.backing("beta", "db", "10.2.0.1")
	w.federated("all")
	w.export("alpha", "db")
	w.export("beta", "db")
	for _, r := range []replica{{"alpha", false}, {"beta", false}, {"nothing", true}} {
		c := w.controller()
		if err := c.Share(r, w.config["home"]); err != nil {
			t.Fatal(err)
		}
		w.run(c)
		if r.owns != "nothing" {
			w.follow(c, r.owns)
		} else { // it has not let go of it yet, and has something else in mind
			w.followAs(c, "alpha", w.id("beta"), w.config["beta"])
		}
	}
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha,beta")
	w.is("all of alpha sql:15432 = 10.1.0.1", "all of beta sql:15432 = 10.2.0.1",
		"import db of alpha metrics:19100,sql:15432 = 10.1.0.1", "import db of beta metrics:19100,sql:15432 = 10.2.0.1")
	w.condition("all", metav1.ConditionTrue, service.ReasonFederated, "alpha, beta")
	w.calm(w.versions)
	w.is("all of alpha sql:15432 = 10.1.0.1", "all of beta sql:15432 = 10.2.0.1",
		"import db of alpha metrics:19100,sql:15432 = 10.1.0.1", "import db of beta metrics:19100,sql:15432 = 10.2.0.1")
}
