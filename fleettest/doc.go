// Package fleettest gives a Go test real Kubernetes API servers, several of them, and faults in front of them.
//
//	func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary", "alpha", "beta")) }
//
//	func TestPodsOfAlpha(t *testing.T) {
//		alpha := fleettest.Use(t, "alpha")
//		client := kubernetes.NewForConfigOrDie(alpha.AdminConfig())
//		…
//	}
//
// A cluster starts when a test first uses it (about two seconds), is shared by the tests of the package, and ends
// with the test program, however that ends. Tests keep apart by [Cluster.Namespace].
//
// Each cluster is a process of the program devfleet: kube-apiserver, kube-controller-manager and etcd on the
// loopback address, about 300 MB of memory. It is looked for in $HAWSER_DEVFLEET, then in bin/ of the enclosing
// checkout, then on the PATH. devfleet/build.sh builds it. With $HAWSER_FLEET set to the directory of a fleet
// that is up already (devfleet up --detach), the tests use that one and start nothing.
//
// Faults are proxies in front of an API server: [Cluster.Proxy] on the level of TCP (cut, delay, black hole),
// where every kind of credential passes untouched, and [Cluster.HTTPProxy], which ends TLS as the API server
// would and can answer, delay and record single requests. [NewStranger] is a server that is not Kubernetes and keeps
// what it was sent. [Cluster.SignToken] and [Cluster.ClientCert] make credentials of any validity, because the
// clock of a server cannot be moved.
//
// The package needs Linux or macOS.
package fleettest
