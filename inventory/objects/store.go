package objects

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// store is what a reflector fills: it keeps the names, and passes the objects on. It is used by the
// reflector's goroutine alone.
type store[T any] struct {
	handler Handler[T]
	known   map[types.NamespacedName]struct{}
	synced  bool
}

// Add passes on an object that is new.
func (s *store[T]) Add(item any) error { return s.Update(item) }

// Update passes on an object.
func (s *store[T]) Update(item any) error {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("taking an object: it is a %T", item)
	}
	key := keyOf(object)
	s.known[key] = struct{}{}
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		if s.handler.Malformed != nil {
			s.handler.Malformed(key, fmt.Errorf("reading %s %q: %w", object.GetKind(), key, err))
		}
		return nil
	}
	if s.handler.Set != nil {
		s.handler.Set(key, typed)
	}
	return nil
}

// Delete passes on that an object is gone.
func (s *store[T]) Delete(item any) error {
	object, ok := item.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("dropping an object: it is a %T", item)
	}
	s.gone(keyOf(object))
	return nil
}

func (s *store[T]) gone(key types.NamespacedName) {
	delete(s.known, key)
	if s.handler.Delete != nil {
		s.handler.Delete(key)
	}
}

// Replace passes on all that there is: at the beginning, and after an interruption.
func (s *store[T]) Replace(items []any, _ string) error {
	found := make([]*unstructured.Unstructured, 0, len(items))
	there := make(map[types.NamespacedName]struct{}, len(items))
	for _, item := range items {
		object, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("taking a list of objects: one is a %T", item)
		}
		found = append(found, object)
		there[keyOf(object)] = struct{}{}
	}
	for key := range s.known {
		if _, ok := there[key]; !ok {
			s.gone(key)
		}
	}
	slices.SortFunc(found, older)
	for _, object := range found {
		if err := s.Update(object); err != nil {
			return err
		}
	}
	if !s.synced {
		s.synced = true
		if s.handler.Synced != nil {
			s.handler.Synced()
		}
	}
	return nil
}

// Resync is for stores that keep objects.
func (s *store[T]) Resync() error { return nil }

// older orders objects by age, so that who was first is first also after a restart.
func older(a, b *unstructured.Unstructured) int {
	return cmp.Or(
		a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()))
}

func keyOf(object *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}
