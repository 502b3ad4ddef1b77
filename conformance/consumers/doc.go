// Package consumers lets those who read the outputs of package export read them with their own code, on real
// API servers, so that our reading of their documentation is not the only one. It is a module of its own, so
// that they and what they need do not get into ours. There is nothing here but tests: go test ./...
//
// Flux is here: the code of its controllers that finds the kubeconfig in a Secret and makes a client of it.
//
// The others are held to fixtures from their documentation by the tests of package export, because their
// modules are out of proportion:
//
//   - Argo CD: what reads the Secret comes only with the module of the whole server, which today (v3.6) needs a
//     later Go than ours and replaces the Kubernetes libraries by versions other than those we build on.
//   - Istio and Linkerd: what reads the Secret belongs to the control plane, and comes only with its module.
//   - Calico: what reads the Secret is part of Calico Enterprise, which is not published.
//
// Format kubeconfig is read by client-go in the tests of package export and of the AccessRequest controller.
package consumers
