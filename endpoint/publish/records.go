package publish

import (
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// ref is what an object of the local cluster is known by, whatever version it is served in.
type ref struct {
	kind            schema.GroupKind
	namespace, name string
}

// String names the object for people.
func (r ref) String() string {
	if r.namespace == "" {
		return r.kind.Kind + " " + r.name
	}
	return r.kind.Kind + " " + r.namespace + "/" + r.name
}

// record is what is kept of an object that is ours by its label. Its content is not: that it is what we wrote, and
// what that was, its hash says.
type record struct {
	ref
	uid         types.UID
	version     string
	labels      map[string]string
	annotations map[string]string
	owners      []metav1.OwnerReference
	finalizers  []string
	editor      string // who has edited it; "" for nobody
	deleting    bool
	key         Key // of what it was made for, and of which cluster
	cluster     string
}

// recordOf makes a record; ok is false where the labels name no item.
func recordOf(o *unstructured.Unstructured) (r *record, ok bool) {
	key, cluster, ok := keyOf(o.GetLabels())
	if !ok {
		return nil, false
	}
	return &record{
		ref: ref{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}, uid: o.GetUID(), version: o.GetResourceVersion(),
		labels: o.GetLabels(), annotations: o.GetAnnotations(), owners: o.GetOwnerReferences(), finalizers: o.GetFinalizers(),
		editor: editor(o), deleting: o.GetDeletionTimestamp() != nil, key: key, cluster: cluster,
	}, true
}

// owner is what objects are made for.
type owner struct {
	key     Key
	cluster string
}

// records are all objects of ours.
type records struct {
	changed func(at owner, ours bool) // is told of each change, and whether it was the publisher that made it; it asks nothing

	mu      sync.RWMutex
	all     map[ref]*record
	byOwner map[owner]map[ref]*record
}

func newRecords(changed func(at owner, ours bool)) *records {
	return &records{changed: changed, all: map[ref]*record{}, byOwner: map[owner]map[ref]*record{}}
}

// put takes an object over, unless a later version of it is known.
func (s *records) put(o *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(o, false)
}

// wrote takes over an object that we have just written.
func (s *records) wrote(o *unstructured.Unstructured, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(o, ours)
}

func (s *records) set(o *unstructured.Unstructured, ours bool) {
	r, ok := recordOf(o)
	of := ref{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
	before := s.all[of]
	if before != nil && before.uid == o.GetUID() {
		if order, err := resourceversion.CompareResourceVersion(o.GetResourceVersion(), before.version); err == nil && order <= 0 {
			return
		}
	}
	s.drop(of, ours)
	if !ok {
		return
	}
	s.all[of] = r
	at := owner{r.key, r.cluster}
	if s.byOwner[at] == nil {
		s.byOwner[at] = map[ref]*record{}
	}
	s.byOwner[at][of] = r
	s.changed(at, ours)
}

// remove forgets an object.
func (s *records) remove(of ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(of, false)
}

func (s *records) drop(of ref, ours bool) {
	r := s.all[of]
	if r == nil {
		return
	}
	delete(s.all, of)
	at := owner{r.key, r.cluster}
	delete(s.byOwner[at], of)
	if len(s.byOwner[at]) == 0 {
		delete(s.byOwner, at)
	}
	s.changed(at, ours)
}

// replace takes over all objects of a kind: what is not among them is gone.
func (s *records) replace(kind schema.GroupKind, objects []*unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[ref]bool{}
	for _, o := range objects {
		seen[ref{kind, o.GetNamespace(), o.GetName()}] = true
	}
	for of := range s.all {
		if of.kind == kind && !seen[of] {
			s.drop(of, false)
		}
	}
	for _, o := range objects {
		s.set(o, false)
	}
}

// forget forgets an object that we have deleted, and no other of its name.
func (s *records) forget(r *record, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.all[r.ref]; have != nil && have.uid == r.uid {
		s.drop(r.ref, ours)
	}
}

// of are the objects that were made for an owner.
func (s *records) of(at owner) map[ref]*record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.byOwner[at])
}

// owners are all whom objects were made for.
func (s *records) owners() []owner {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byOwner))
}

// LastSelector is the selector that the objects of an EndpointSet of that UID were made by, "" where there are none.
func (s *Objects) LastSelector(k Key, uid types.UID) string {
	for _, at := range s.records.owners() {
		if at.key != k {
			continue
		}
		for _, r := range s.records.of(at) {
			text := r.annotations[SelectorAnnotation]
			if text != "" && r.editor == "" && slices.ContainsFunc(r.owners, func(o metav1.OwnerReference) bool { return o.UID == uid }) {
				return text
			}
		}
	}
	return ""
}
