package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
)

// following is how a kind is followed.
type following struct {
	kindOf
	wake chan struct{} // of one: what is served has changed

	mu      sync.Mutex
	version schema.GroupVersionKind // that is followed
	synced  bool
	fault   error // why it is not

	writers int       // turns that ask it now
	heard   time.Time // when it answered, or somebody began to ask it, last
	slow    bool      // it did not answer in time when it was asked last
	rests   time.Time // until when it is not asked
}

func (k *following) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

var errNotListed = errors.New("it was not listed yet")

// state says whether it is known what there is of a kind, or that this cannot be known; and why it cannot be written.
func (k *following) state() (known bool, fault error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fault != nil:
		return true, k.fault
	case !k.synced:
		return false, errNotListed
	}
	return true, nil
}

// set takes over what is known of a kind, and tells of it if it is something else.
func (s *Objects) set(k *following, version schema.GroupVersionKind, synced bool, fault error) {
	k.mu.Lock()
	changed := k.version != version || k.synced != synced || (k.fault == nil) != (fault == nil)
	k.version, k.synced, k.fault = version, synced, fault
	k.mu.Unlock()
	if changed {
		if fault != nil {
			s.log.V(1).Info("cannot write a kind", "kind", k.gvk.GroupKind(), "reason", fault.Error())
		}
		s.tell(owner{}, false)
	}
}

// version is that which a kind is written in now.
func (s *Objects) version(k *following) (schema.GroupVersionKind, error) {
	if k.foreign == nil {
		return k.gvk, nil
	}
	return s.discovery.Served().ToWrite(*k.foreign)
}

// follow follows a kind in the version that is served.
func (s *Objects) follow(ctx context.Context, k *following) {
	for ctx.Err() == nil {
		version, err := s.version(k)
		if err != nil {
			s.set(k, schema.GroupVersionKind{}, false, err)
			if errors.Is(err, calico.ErrNotServed) {
				s.records.replace(k.gvk.GroupKind(), nil)
			}
			select {
			case <-ctx.Done():
			case <-k.wake:
			}
			continue
		}
		once, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { s.reflect(once, k, version) })
		for {
			select {
			case <-ctx.Done():
			case <-k.wake:
				if now, err := s.version(k); err == nil && now == version {
					continue
				}
			}
			break
		}
		cancel()
		running.Wait()
	}
}

// answering is how long an API may take for a list, or to begin a watch, and how much longer than agreed a watch may
// last.
const answering = time.Minute

// pace is how long a list that fails waits for the next try.
var pace = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.6, Jitter: .2, Steps: 100, Cap: 10 * time.Second}

// reflect lists and watches what is ours of a kind until ctx ends.
func (s *Objects) reflect(ctx context.Context, k *following, version schema.GroupVersionKind) {
	source := s.client.Resource(version.GroupVersion().WithResource(k.resource))
	ours := v1alpha1.ManagedByLabel + "=" + v1alpha1.ManagedBy
	learn := func(err error) {
		if ctx.Err() != nil || err == nil {
			return
		}
		if k.foreign != nil && apierrors.IsNotFound(err) { // its definition is gone
			s.discovery.Again()
		}
		if known, _ := k.state(); known && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
			return // what is known holds on through an interruption
		}
		s.set(k, version, false, fmt.Errorf("listing %s: %w", k.resource, err))
	}
	backoff, quiet := pace, logr.Discard()
	toolscache.NewReflectorWithOptions(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = ours
			timed, cancel := context.WithTimeout(ctx, s.answering)
			defer cancel()
			list, err := source.List(timed, o)
			learn(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = ours
			most := s.answering
			if o.TimeoutSeconds != nil {
				most += time.Duration(*o.TimeoutSeconds) * time.Second
			}
			timed, cancel := context.WithTimeout(ctx, most)
			unanswered := time.AfterFunc(s.answering, cancel)
			w, err := source.Watch(timed, o)
			unanswered.Stop()
			if err != nil {
				cancel()
				if o.SendInitialEvents != nil {
					// A list is asked for next. As a connection refused, the reflector would wait here with no regard to ctx.
					err = errors.New(err.Error())
				}
				return nil, err
			}
			return &timedWatch{w, cancel}, nil
		},
	}, &unstructured.Unstructured{}, &sink{s, k, version}, toolscache.ReflectorOptions{
		Name: k.resource, Clock: s.clock, Backoff: &backoff, Logger: &quiet, TypeDescription: k.resource,
	}).RunWithContext(klog.NewContext(ctx, quiet))
}

// timedWatch is a watch with its deadline.
type timedWatch struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop ends the watch.
func (w *timedWatch) Stop() {
	w.Interface.Stop()
	w.cancel()
}

// sink hands what is followed of a kind to the records.
type sink struct {
	objects *Objects
	kind    *following
	version schema.GroupVersionKind
}

// Add implements cache.ReflectorStore.
func (s *sink) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *sink) Update(obj any) error {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("following %s: got %T", s.kind.resource, obj)
	}
	s.objects.records.put(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *sink) Delete(obj any) error {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("following %s: got %T", s.kind.resource, obj)
	}
	s.objects.records.remove(ref{s.kind.gvk.GroupKind(), o.GetNamespace(), o.GetName()})
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *sink) Replace(all []any, _ string) error {
	var objects []*unstructured.Unstructured
	for _, obj := range all {
		o, ok := obj.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("following %s: got %T", s.kind.resource, obj)
		}
		objects = append(objects, o)
	}
	s.objects.records.replace(s.kind.gvk.GroupKind(), objects)
	s.objects.set(s.kind, s.version, true, nil)
	return nil
}

// Resync implements cache.ReflectorStore.
func (*sink) Resync() error { return nil }
