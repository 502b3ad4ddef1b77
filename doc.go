// Package hawser is the root of the module and holds no code: it is the place
// of the test that keeps the order of the packages (architecture_test.go).
//
// Hawser ties Kubernetes clusters together: it holds a live connection to each
// remote cluster, renews the credential underneath it before it expires, and
// says plainly what works and what does not. The map of the packages is
// docs/architecture.md.
package hawser
