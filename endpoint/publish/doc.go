// Package publish keeps objects of the local cluster in step with live selectors over many clusters, and says what
// came of it in the status of what asked for them, an EndpointSet or a FederatedNetworkPolicy.
//
// Every object belongs to one item and one cluster, or to no cluster, and is written by one replica: that which
// follows the cluster ([Publisher]), or the leader ([Leader]). All that is made is additive, so that no replica needs
// to know what another knows. The leader makes what is of no cluster, takes away what is left of clusters that are
// gone, disabled or no longer selected, and sums up.
//
// What an object of an item is, is for the item's Render to say. This package owns when it is written: what comes
// within a short window is written at once; what has not changed is not written; nothing is deleted, or written, on
// the word of a cluster that was not listed in full. It owns what is written of a cluster that is not heard of any more
// (package staleness decides), how addresses are divided among objects (see [Split]), and whose an object is: one that
// Hawser did not make, or that somebody has edited since, is refused and named, and never overwritten. What cannot be
// written, or whose API does not answer, holds up nothing else.
package publish
