package publish

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/follow"
)

// following is how a kind is followed.
type following struct {
	kindOf
	table *follow.Table[*unstructured.Unstructured] // once somebody has started it

	mu      sync.Mutex
	version schema.GroupVersionKind // that is followed, or was last
	synced  bool
	fault   error              // why it is not written
	waiting map[owner]struct{} // whose objects were not written because of that, or because it was not listed

	answers answers
}

var errNotListed = errors.New("it was not listed yet")

// state says whether it is known what there is of a kind, or that this cannot be known; and why it cannot be written.
func (k *following) state() (known bool, fault error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.is()
}

func (k *following) is() (known bool, fault error) {
	switch {
	case k.fault != nil:
		return true, k.fault
	case !k.synced:
		return false, errNotListed
	}
	return true, nil
}

// use returns the version that a kind is written in. Whoever cannot write it is told when that changes.
func (k *following) use(at owner) (schema.GroupVersionKind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, fault := k.is()
	if fault != nil {
		if k.waiting == nil {
			k.waiting = map[owner]struct{}{}
		}
		k.waiting[at] = struct{}{}
	}
	return k.version, fault
}

// set takes over what is known of a kind. If it is something else, those are told who have such objects, or are to have.
func (s *Objects) set(k *following, synced bool, fault error) {
	k.mu.Lock()
	changed := k.synced != synced || (k.fault == nil) != (fault == nil)
	k.synced, k.fault = synced, fault
	var concerned map[owner]struct{}
	if changed {
		concerned, k.waiting = k.waiting, nil
	}
	k.mu.Unlock()
	if !changed {
		return
	}
	if fault != nil {
		s.log.V(1).Info("cannot write a kind", "kind", k.gvk.GroupKind(), "reason", fault.Error())
	}
	if !s.opened() {
		return
	}
	all := s.records.ofKind(k.gvk.GroupKind())
	maps.Copy(all, concerned)
	for at := range all {
		s.tell(at, false)
	}
}

// forget forgets an item that waits for kinds.
func (s *Objects) forget(of Key) {
	for _, k := range s.kinds {
		k.mu.Lock()
		maps.DeleteFunc(k.waiting, func(at owner, _ struct{}) bool { return at.key == of })
		k.mu.Unlock()
	}
}

// serving is the version that a kind is written in now, as far as it is known.
func (s *Objects) serving(k *following) (schema.GroupVersionKind, error) {
	if k.foreign == nil {
		return k.gvk, nil
	}
	return s.discovery.Served().ToWrite(*k.foreign)
}

// follow makes what follows a kind in the version that is served.
func (s *Objects) follow(k *following) *follow.Table[*unstructured.Unstructured] {
	kind := k.gvk.GroupKind()
	return &follow.Table[*unstructured.Unstructured]{
		Resource: k.resource,
		Open:     func(context.Context) (follow.Source, error) { return s.source(k) },
		Set:      s.records.put,
		Drop: func(name types.NamespacedName, _ types.UID) {
			s.records.remove(ref{kind, name.Namespace, name.Name})
		},
		Listed:  func(all []*unstructured.Unstructured) { s.records.replace(kind, all) },
		Changed: func() { s.learn(k) },
		Look:    time.Minute, // and whenever another version is served
		Clock:   s.clock, Log: s.log, Answering: s.answering,
	}
}

// source is where there is what is ours of a kind.
func (s *Objects) source(k *following) (follow.Source, error) {
	version, err := s.serving(k)
	if errors.Is(err, calico.ErrNotServed) {
		if known, fault := k.state(); known && fault == nil {
			s.discovery.Again() // it is looked for a second time
		}
		return follow.Source{}, follow.ErrAbsent
	}
	if err != nil {
		return follow.Source{}, err
	}
	k.mu.Lock()
	k.version = version
	k.mu.Unlock()
	all := s.client.Resource(version.GroupVersion().WithResource(k.resource))
	const ours = v1alpha1.ManagedByLabel + "=" + v1alpha1.ManagedBy
	return follow.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = ours
			return all.List(ctx, o)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = ours
			return all.Watch(ctx, o)
		},
	}, nil
}

// learn takes over what becomes of following a kind. What is known holds on through an interruption.
func (s *Objects) learn(k *following) {
	state := k.table.State()
	fault := state.Err
	if apierrors.IsNotFound(fault) && k.foreign != nil { // its definition is gone
		s.discovery.Again()
	}
	switch {
	case state.Absent && fault == nil:
		_, fault = s.serving(k)
	case state.Synced && !state.Absent && !apierrors.IsForbidden(fault) && !apierrors.IsNotFound(fault):
		fault = nil
	}
	s.set(k, state.Synced && !state.Absent && fault == nil, fault)
}

// turned lets those kinds be followed anew that are served in another version now.
func (s *Objects) turned() {
	for _, k := range s.kinds {
		now, _ := s.serving(k)
		k.mu.Lock()
		same := k.synced && now == k.version
		k.mu.Unlock()
		if !same {
			k.table.Again()
		}
	}
}
