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
	content     string // the hash of what of it is ours to say
	made        string // the same as it was when we had written it, where that was here; see HashAnnotation
	editor      string // who has edited it; "" for nobody
	deleting    bool
	key         Key // of what it was made for, and of which cluster
	cluster     string
}

// frozen says that the object is not written any more (put): its annotations may say what was true once, for ever.
func (r *record) frozen() bool { return r.editor != "" || r.deleting }

// recordOf makes a record; ok is false where the labels name no item.
func recordOf(o *unstructured.Unstructured) (r *record, ok bool) {
	key, cluster, ok := keyOf(o.GetLabels())
	if !ok {
		return nil, false
	}
	content := ContentHash(o)
	return &record{
		ref: ref{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}, uid: o.GetUID(), version: o.GetResourceVersion(),
		labels: o.GetLabels(), annotations: o.GetAnnotations(), owners: o.GetOwnerReferences(), finalizers: o.GetFinalizers(),
		content: content, editor: editor(o, content), deleting: o.GetDeletionTimestamp() != nil, key: key, cluster: cluster,
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
	byKey   map[Key]map[string]bool // of which clusters there are objects
}

func newRecords(changed func(at owner, ours bool)) *records {
	return &records{changed: changed, all: map[ref]*record{}, byOwner: map[owner]map[ref]*record{}, byKey: map[Key]map[string]bool{}}
}

// put takes an object over, unless a later version of it is known.
func (s *records) put(o *unstructured.Unstructured) {
	r, ok := recordOf(o) // which takes a while
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(identify(o), r, ok, false)
}

// wrote takes over an object that we have just written: what it is, is what the API server made of what we wrote. A
// watch may have told of it before, and even of what somebody has made of it since.
func (s *records) wrote(o *unstructured.Unstructured, ours bool) {
	r, ok := recordOf(o)
	of := identify(o)
	if ok {
		r.made, r.editor = r.content, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.all[of.ref]; ok && have != nil && have.uid == r.uid && !of.after(have) {
		if have.annotations[HashAnnotation] == r.annotations[HashAnnotation] {
			known := *have
			known.made = r.made
			s.hold(known.settled())
		}
		return
	}
	s.set(of, r, ok, ours)
}

// identity is which version of an object of ours something is.
type identity struct {
	ref
	uid     types.UID
	version string
}

func identify(o *unstructured.Unstructured) identity {
	return identity{ref{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}, o.GetUID(), o.GetResourceVersion()}
}

// after says whether it is later than what is known.
func (i identity) after(r *record) bool {
	order, err := resourceversion.CompareResourceVersion(i.version, r.version)
	return err != nil || order > 0
}

// settled is a record whose object nobody has edited if it is as the API server made it.
func (r record) settled() *record {
	if r.made == r.content {
		r.editor = ""
	}
	return &r
}

func (s *records) set(of identity, r *record, ok, ours bool) {
	before := s.all[of.ref]
	same := before != nil && before.uid == of.uid
	if same && !of.after(before) {
		return
	}
	if ok && same && r.made == "" && before.annotations[HashAnnotation] == r.annotations[HashAnnotation] {
		known := *r
		known.made = before.made
		r = known.settled()
	}
	s.drop(of.ref, ours)
	if !ok {
		return
	}
	s.hold(r)
	s.changed(owner{r.key, r.cluster}, ours)
}

func (s *records) hold(r *record) {
	s.all[r.ref] = r
	at := owner{r.key, r.cluster}
	if s.byOwner[at] == nil {
		s.byOwner[at] = map[ref]*record{}
		if s.byKey[at.key] == nil {
			s.byKey[at.key] = map[string]bool{}
		}
		s.byKey[at.key][at.cluster] = true
	}
	s.byOwner[at][r.ref] = r
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
		delete(s.byKey[at.key], at.cluster)
		if len(s.byKey[at.key]) == 0 {
			delete(s.byKey, at.key)
		}
	}
	s.changed(at, ours)
}

// replace takes over all objects of a kind: what is not among them is gone.
func (s *records) replace(kind schema.GroupKind, objects []*unstructured.Unstructured) {
	seen, read := map[ref]bool{}, make([]*record, len(objects))
	for i, o := range objects { // nobody waits meanwhile
		seen[identify(o).ref] = true
		if r, ok := recordOf(o); ok {
			read[i] = r
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for of := range s.all {
		if of.kind == kind && !seen[of] {
			s.drop(of, false)
		}
	}
	for i, o := range objects {
		s.set(identify(o), read[i], read[i] != nil, false)
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

// owners are those of an item whom objects were made for: of which clusters.
func (s *records) owners(k Key) (all []owner) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for cluster := range s.byKey[k] {
		all = append(all, owner{k, cluster})
	}
	return all
}

// ofKind are those whom objects of a kind were made for.
func (s *records) ofKind(kind schema.GroupKind) map[owner]struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[owner]struct{}{}
	for of, r := range s.all {
		if of.kind == kind {
			all[owner{r.key, r.cluster}] = struct{}{}
		}
	}
	return all
}

// keys are all items that there are objects of.
func (s *records) keys() []Key {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byKey))
}
