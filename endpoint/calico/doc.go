// Package calico owns what Hawser reads and writes in the words of others: Calico's sets, policies, pools and host
// endpoints, Cilium's CIDR groups and the ClusterNetworkPolicies of the network policy working group. It has their
// JSON as far as it is used here, and says in which group and version a cluster serves them. It links none of these
// projects, talks with no cluster but to ask what it serves, and decides nothing of what is written.
package calico
