package publish

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// LastSelector is the selector that the objects of an item, an EndpointSet or a FederatedNetworkPolicy, were made by
// (SelectorAnnotation): the one that could be used last. The item is the one of that UID, and entries are what its status
// says of clusters; "" where there are no such objects. outputs are where those of an EndpointSet are.
func (s *Objects) LastSelector(k Key, uid types.UID, entries []v1alpha1.FederatedCluster, outputs ...Place) string {
	var made Made
	for _, at := range s.records.owners(k) {
		for _, r := range s.records.believed(at, outputs) {
			made.add(r, uid)
		}
	}
	return made.Last(entries)
}

// Closing is the selector that the objects were made by that an item, the one of that UID, has of no cluster, and their
// kinds. It is "" where nobody can say: somebody has edited all of them, or they differ.
func (s *Objects) Closing(k Key, uid types.UID) (text string, of []schema.GroupKind) {
	var all []string
	for _, r := range s.records.believed(owner{key: k}, nil) {
		if !slices.ContainsFunc(r.owners, func(o metav1.OwnerReference) bool { return o.UID == uid }) {
			continue
		}
		of = append(of, r.kind)
		if r.editor == "" {
			all = append(all, r.annotations[SelectorAnnotation])
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 1 {
		text = all[0]
	}
	return text, of
}

// Made collects the selectors that objects of an item were made by. The zero Made has none.
type Made struct {
	byCluster map[string]string // the least, should there be several
}

// Add takes an object in, unless it was made for another item than that of the UID, or somebody has edited it.
func (m *Made) Add(o *unstructured.Unstructured, uid types.UID) {
	if r, ok := recordOf(o); ok {
		m.add(r, uid)
	}
}

func (m *Made) add(r *record, uid types.UID) {
	text := r.annotations[SelectorAnnotation]
	if text == "" || r.editor != "" || !slices.ContainsFunc(r.owners, func(o metav1.OwnerReference) bool { return o.UID == uid }) {
		return
	}
	if m.byCluster == nil {
		m.byCluster = map[string]string{}
	}
	if have, ok := m.byCluster[r.cluster]; !ok || text < have {
		m.byCluster[r.cluster] = text
	}
}

// Last is the selector of the cluster whose objects were made by the latest generation, as the entries of the status say;
// "" where there are none. What is made of a cluster that is not heard of stays as it was made.
func (m *Made) Last(entries []v1alpha1.FederatedCluster) string {
	latest, last := int64(-1), ""
	for cluster, text := range m.byCluster {
		var generation int64
		for i := range entries {
			if entries[i].Name == cluster {
				generation = entries[i].ObservedGeneration
			}
		}
		if generation > latest || generation == latest && text < last {
			latest, last = generation, text
		}
	}
	return last
}
