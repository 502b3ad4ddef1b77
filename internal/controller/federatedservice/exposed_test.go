package federatedservice_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEveryClusterIsImportedUnderThePortsOfTheFirst: or kube-proxy, which matches ports by name, would send it nothing. The
// first is the one that was seen here first, and not the one that says it is old.
func TestEveryClusterIsImportedUnderThePortsOfTheFirst(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db") // the older one
	w.backing("home", "db", "10.3.0.1")
	change(w, "home", "db", &corev1.Service{}, func(s *corev1.Service) {
		s.Spec.Ports = []corev1.ServicePort{{Name: "db", Port: 5432}, {Name: "metrics", Port: 9999}}
	})
	change(w, "home", "db-x", &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) {
		e.Ports = []discoveryv1.EndpointPort{{Name: new("db"), Port: new(int32(25432))}, {Name: new("metrics"), Port: new(int32(29999))}}
	})
	w.export("home", "db")
	c, running := w.start()
	w.follow(c, "home")
	const home = "import db of home db:25432,metrics:29999 = 10.3.0.1"
	w.is(home)
	w.imported("db", "ClusterSetIP db:5432,metrics:9999 of home")

	w.pass(c, time.Hour)
	w.follow(c, "alpha")
	w.is("import db of alpha db:15432 = 10.1.0.1", home) // it does not expose number 9999
	w.imported("db", "ClusterSetIP db:5432,metrics:9999 of alpha,home")
	w.calm(w.everything)
	running.Stop()
	c, _ = w.start()
	w.follow(c, "home", "alpha")
	w.still(w.everything)
	w.is("import db of alpha db:15432 = 10.1.0.1", home)

	w.unexport("home", "db")
	w.is("import db of alpha metrics:19100,sql:15432 = 10.1.0.1")
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
	w.export("home", "db")
	w.is("import db of alpha metrics:19100,sql:15432 = 10.1.0.1", "import db of home sql:25432 = 10.3.0.1")

	// A headless service needs no ports.
	s := &corev1.Service{ObjectMeta: w.meta("peers")}
	s.Spec.ClusterIP = corev1.ClusterIPNone
	w.create("alpha", s)
	e := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "peers-x", Labels: map[string]string{discoveryv1.LabelServiceName: "peers"}}, AddressType: discoveryv1.AddressTypeIPv4}
	e.Endpoints = endpointsOf([]string{"10.1.0.7"})
	w.create("alpha", e)
	w.export("alpha", "peers")
	w.imported("peers", "Headless  of alpha")
	w.is("import db of alpha metrics:19100,sql:15432 = 10.1.0.1", "import db of home sql:25432 = 10.3.0.1", "import peers of alpha  = 10.1.0.7")
}
