// Package set owns what an EndpointSet means: it reads one into a publish.Item, and makes of the addresses that its
// selector finds in a cluster the objects of its outputs. It reads and writes no cluster.
//
// # A selector that cannot be read
//
// It matches nothing, so that a set that never had another one makes nothing. Where there was another one, the edit has
// not taken effect: what was made follows the selector that was read last, and the condition Ready is False and points
// at the mistake. To empty the outputs would cut all traffic for a typing error, and guard against nothing: what is let
// through is what was last asked for in words that can be read, and no more. To let them stand as they are, without
// following anything, would be wider than that in time, as addresses are given to other pods. The selector that was
// read last is an annotation of what was made (publish.SelectorAnnotation), so that a restart changes nothing about this.
//
// # NetworkPolicies
//
// An output networkPolicy is one NetworkPolicy of no cluster, which closes the pods and lets nothing through, and those
// of each cluster, which let its addresses through. While clusters come and go the pods stay closed to everything else.
package set
