// Package policy owns what a FederatedNetworkPolicy means: it reads one into a Plan, which is of no target; makes of
// a Plan the objects of a target, NetworkPolicies, those of Calico or ClusterNetworkPolicies; and explains which
// endpoints a rule matches. It reads and writes no cluster.
//
// # What a rule allows
//
// The words are Calico's. A peer with an endpoint selector stands for the addresses of the endpoints that match it in
// the clusters of spec.clusters, cluster by cluster: those of selector, without those that an endpoint of the same
// cluster has which matches notSelector, within nets and outside of notNets. A peer without a selector is any address
// within nets and outside of notNets, of no cluster.
//
// A policy is read rule by rule. What cannot be read, or be expressed in the target, is refused with its field, and
// then that rule allows nothing: the others hold, and the pods stay closed, so that a mistake in one rule is neither an
// opening nor the end of all traffic. Only where the policy's own selector cannot be used is there nothing to render:
// nobody can say then whom to close. What is allowed is withdrawn, and the pods of the selector that was used last stay
// closed; it is an annotation of what was made (publish.SelectorAnnotation), so that a restart changes nothing about
// this. (An EndpointSet follows its last selector instead: its addresses alone close nothing, and whoever uses them
// has said so elsewhere. A policy is all that stands between its pods and others, and its rules cannot be told apart
// from what they were before the edit.)
//
// Types that are absent mean Ingress, and Egress where there are egress rules, as for Kubernetes. (Calico leaves
// Ingress open where there are egress rules alone.)
//
// # NetworkPolicy
//
// The pods that a policy is for, and those that a rule narrows it to, are selected by labels. A selector is brought
// into disjunctive normal form, of tests that a LabelSelector has, and every disjunct is a NetworkPolicy of its own:
// these are additive, so that together they are exact. What is the same for all pods of the namespace (the namespace,
// the cluster, the orchestrator) is decided beforehand; a name or value that no label can have matches nothing.
//
// The objects of no cluster are one that closes the pods, for each disjunct, and one that allows what depends on no
// remote cluster. The others belong to one cluster each and list its addresses. A rule that matches nothing in a
// cluster is left out there: an empty "from" would let everything in.
//
// Local peers are rendered by selectors, where the policy says so: pods natively, and what else matches (nodes, host
// endpoints, network sets) by address as in any other cluster. Whether selectors can say what a notSelector takes away
// depends on what there is: it takes away by address, and something that is no pod may have the address of one. So the
// selectors of a rule with a notSelector stand with the addresses of the local cluster, and are left out, and refused,
// while that is the case. A pod of the host's network is no endpoint, as in
// Calico: its node is. It is neither closed nor selected by label; what networks do with such pods is not defined by
// Kubernetes.
//
// # Calico
//
// One NetworkPolicy of tier default, of the order of Kubernetes' own, closes the pods and says every rule, with
// selectors as they were written. What clusters have stands in it as a label, MembersLabel, by which it selects
// GlobalNetworkSets: so it does not change with them. Global ones, since whoever may label pods or write NetworkSets in
// the namespace could let these in by a label otherwise; a set is written by those who may write them everywhere. The
// label's value is a hash of the policy and of what the peer says: a peer that is edited finds no set until those of the
// clusters are written, some moments in which its rule allows nothing. A name of a port has other numbers elsewhere, of
// which sets know nothing: each number is a set, and a NetworkPolicy for each cluster says them.
//
// Local pods are selected by Calico itself, whatever the grammar says of them, and taken away by the address of whatever
// matches a notSelector, other than what Hawser made. Only what a selector asks of the cluster
// is decided beforehand. Calico believes a label pcns.x or pcsa.x that a pod carries itself, as in every policy of its
// own; spec.localPeers: Addresses does not.
//
// Calico's API is written to (projectcalico.org/v3), never its storage (crd.projectcalico.org/v1), which is all that a
// cluster without Calico's API server has: see calico.Served.
//
// # ClusterNetworkPolicy
//
// The pods are closed by NetworkPolicies, which also allow what depends on no remote cluster. For each remote cluster,
// ClusterNetworkPolicies of tier Admin accept egress to its addresses, of the priority that the policy asks for.
//
// Accept in tier Admin is the last word. It comes before NetworkPolicies, so that it opens what the one beside it
// closes, and what any other one closes for these pods. It comes before ClusterNetworkPolicies of tier Baseline and
// those of tier Admin that have a higher number: what they deny of this traffic is let through. Of the same number,
// either may win. Whoever may write ClusterNetworkPolicies may do all that, and nobody else may have them written.
//
// They know addresses of destinations alone: a rule of ingress with endpoints of a remote cluster is refused, as are
// names of ports at addresses.
package policy
