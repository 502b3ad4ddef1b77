// Package fedtest says, for tests and benchmarks, what is to be written of EndpointSets and FederatedNetworkPolicies, by
// brute force: from objects that are listed anew ([Look]), and by the words of the documentation alone. [Judge] compares
// that with what is written.
//
// It shares no code with what it judges, neither the grammar of selectors nor an index: a selector is written as a [Term]
// of plain Go, and what NetworkPolicies mean is said here anew. It makes no clusters and changes nothing.
package fedtest
