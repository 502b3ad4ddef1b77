// Package ranges finds what is wrong with the addresses of a fleet before policies do: ranges of pods, Services and
// nodes of several clusters that overlap; addresses that a cluster has and may not contribute, or may contribute though
// they are another one's; pools of Calico that translate or assign what is another cluster's; and words of selectors
// that a cluster does not have. It says, too, what nobody can see in objects: whether the network carries addresses
// unchanged. It decides on what it is told, and asks no cluster.
package ranges
