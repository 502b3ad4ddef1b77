// Package index keeps endpoints of many clusters and, for each live selector, which of them it matches, as
// endpoints come, go and change labels or addresses, as namespaces and service accounts are relabelled, and
// as selectors and clusters come and go. It knows neither API servers nor what is made of the answers.
//
// Each cluster is a part of its own, with a lock of its own, so that one that floods the index delays no
// other. Selectors are shared. What endpoints inherit is kept once, with the namespace or service account
// that they have it from: relabelling one of these costs what it changes, not what is in it.
//
// The labels of an endpoint come from five places, and no name from two of them: its namespace gives those
// with selector.NamespacePrefix and selector.NamespaceLabel, its service account those with
// selector.ServiceAccountPrefix and selector.ServiceAccountLabel, its kind OrchestratorLabel, its cluster
// ClusterLabel and ClusterIDLabel, and itself all others. A label of such a name that an endpoint carries
// itself does not count. In Calico it would, and let whoever may label a pod pretend to be in a namespace
// that a policy trusts.
package index
