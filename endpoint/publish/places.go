package publish

import (
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/endpoint/calico"
)

// Place is where objects are: those of a kind in a namespace, which is empty where the kind has none.
type Place struct {
	Kind      schema.GroupKind
	Namespace string
}

// placesOf are where an item has objects. Of an EndpointSet that is for its outputs to say.
func placesOf(k Key, outputs []Place) []Place {
	if k.Kind != FederatedNetworkPolicy {
		return outputs
	}
	return []Place{
		{networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy").GroupKind(), k.Namespace},
		{calico.NetworkPolicies.GVK().GroupKind(), k.Namespace},
		{calico.GlobalNetworkSets.GVK().GroupKind(), ""},
		{calico.ClusterNetworkPolicies.GVK().GroupKind(), ""},
	}
}

// believed are those objects of an owner that stand where its item has objects. The others, which anybody may have made
// who may write in some namespace, are swept, and what they say of themselves counts for nothing.
func (s *records) believed(at owner, outputs []Place) map[ref]*record {
	places, all := placesOf(at.key, outputs), s.of(at)
	maps.DeleteFunc(all, func(r ref, _ *record) bool { return !slices.Contains(places, Place{r.kind, r.namespace}) })
	return all
}
