// Package inventory says what a place is that clusters come from, and combines several. Each has a folder of
// its own here. A fleet takes clusters from any of them.
package inventory

import (
	"context"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
)

// Cluster is one cluster of an inventory: where it is, and where its credentials come from.
type Cluster struct {
	// Spec is what the connection is made from. Its Name is opaque, and unique in its inventory.
	Spec connection.Spec
	// Source yields the credentials. It is taken when the cluster is new or Version has changed; until
	// the first credential of a new one has been proved, the old one stays in use.
	Source credential.Source
	// Version changes when Source has to be replaced.
	Version string
	// Namespace is the only one of the cluster that is meant, where it is not empty: a virtual cluster.
	Namespace string
	// Properties are what the inventory knows of the cluster, for people and for selection.
	Properties map[string]string
}

// Sink is told what an inventory knows. Its methods never wait, and may be called from any goroutine.
type Sink interface {
	// Set tells of a cluster that is new or has changed. To be told the same again costs nothing.
	Set(c Cluster)
	// Remove tells that a cluster is gone, and with it what was wrong with it. An unknown name is no error.
	Remove(name string)
	// Fault tells what cannot be read of a cluster, whose running connection stays as it is. Nil clears it.
	// The empty name is the inventory itself.
	Fault(name string, err error)
	// Synced tells that every cluster that is there now has been told of.
	Synced()
}

// Inventory tells of clusters.
type Inventory interface {
	// Run tells to what there is, and then of every change, until ctx ends. It waits for no cluster: one
	// that cannot be read is a Fault, and harms no other. A rotated credential is Set with another
	// Version, never Remove and Set. It returns nil when ctx has ended, and before that only an error
	// that no retry can mend.
	Run(ctx context.Context, to Sink) error
}
