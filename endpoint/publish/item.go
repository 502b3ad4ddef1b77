package publish

import (
	"iter"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// The kinds of items.
const (
	EndpointSet            = "EndpointSet"
	FederatedNetworkPolicy = "FederatedNetworkPolicy"
)

// Key is what an item is known by.
type Key struct {
	Kind            string // EndpointSet or FederatedNetworkPolicy
	Namespace, Name string // an EndpointSet has no namespace
}

// String names the item for people.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// Item is what is asked for: live selectors, over which clusters, and what is made of their members. It does not
// change once it is handed over.
type Item struct {
	Key Key
	// Owner is the object that asks. What is made is removed with it.
	Owner metav1.OwnerReference
	// Generation of the object that this was read from.
	Generation int64
	Scope      v1alpha1.ClusterScope
	Staleness  *v1alpha1.Staleness
	// Known is what the status says of clusters, to go on from after a restart. Publisher.Saw brings it up to date.
	Known []v1alpha1.FederatedCluster
	// Places are where the objects of an EndpointSet are. Those of a policy are known by its namespace.
	Places []Place
	// Selectors are live as long as the item is.
	Selectors []*selector.Selector
	// Render says what the objects of one cluster are now. It is pure. An error is told, and leaves what this generation
	// of the item has made as it is; what an earlier one has made, is made of no members. It is tried again when something
	// changes.
	Render func(Request) (Rendered, error)
}

// Request is what one cluster has.
type Request struct {
	Key     Key
	Cluster endpoint.ClusterState
	// Members yields what selector i of the item matches in the cluster: nothing where its addresses are taken away.
	// The index is locked meanwhile: do not call it. The order differs from time to time.
	Members func(i int) iter.Seq[index.Endpoint]
	// Addresses yields those of the members of selector i, for who needs nothing else of them.
	Addresses func(i int) iter.Seq[netip.Prefix]
	// Count is how many members selector i has.
	Count func(i int) int
	// Pieces is how many objects there are by now of those that have a base name, for Split; 0 where there are none, and
	// negative where there can be no others now.
	Pieces func(base string) int
}

// Rendered is what is made of one cluster's members.
type Rendered struct {
	// Objects have their names, content and the metadata of Request.Meta. Several that divide addresses among them
	// are in the order of their pieces.
	Objects []client.Object
	// Endpoints that match, and the addresses that they have, each counted once.
	Endpoints, Addresses int
	// Refused is what could not be made, and why, one phrase each.
	Refused []string
}
