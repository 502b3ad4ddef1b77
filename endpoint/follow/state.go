package follow

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
)

// State returns the state as it is now.
func (t *Table[T]) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *Table[T]) tell() {
	if t.Changed != nil {
		t.Changed()
	}
}

// learn keeps what something failed with.
func (t *Table[T]) learn(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we end it ourselves
	}
	t.mu.Lock()
	before := t.state
	if before.Err == nil {
		t.state.Since = t.Clock.Now()
	}
	t.state.Err = fmt.Errorf("following %s: %w", t.Resource, err)
	restart := t.restart
	t.mu.Unlock()
	if before.Err == nil {
		t.Log.Info("following no more", "resource", t.Resource, "reason", err.Error())
	}
	if !alike(before.Err, err) {
		t.tell()
	}
	if apierrors.IsNotFound(err) { // the kind may be gone
		restart()
	}
}

// alike says whether two failures are the same trouble: from which port a connection was refused says nothing more.
func alike(a, b error) bool {
	return (a == nil) == (b == nil) && apierrors.ReasonForError(a) == apierrors.ReasonForError(b) && errors.Is(a, ErrOtherCluster) == errors.Is(b, ErrOtherCluster)
}

// change changes the state, and tells of it. Without a failure, it is since now that all is well, unless it was before.
func (t *Table[T]) change(f func(*State)) {
	t.mu.Lock()
	before := t.state
	f(&t.state)
	after := &t.state
	if after.Err == nil && (before.Err != nil || before.Since.IsZero()) {
		after.Since = t.Clock.Now()
	}
	ends := before.Err != nil && after.Err == nil
	changed := ends || before.Synced != after.Synced || before.Absent != after.Absent
	t.mu.Unlock()
	if ends {
		t.Log.Info("following again", "resource", t.Resource)
	}
	if changed {
		t.tell()
	}
}

// Add implements cache.ReflectorStore.
func (t *Table[T]) Add(obj any) error { return t.Update(obj) }

// Update implements cache.ReflectorStore.
func (t *Table[T]) Update(obj any) error {
	o, key, uid, err := t.read(obj)
	if err != nil {
		return err
	}
	if t.Listed == nil {
		t.known[key] = uid
	}
	t.Set(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (t *Table[T]) Delete(obj any) error {
	_, key, uid, err := t.read(obj)
	if err != nil {
		return err
	}
	delete(t.known, key)
	t.Drop(key, uid)
	return nil
}

// Replace implements cache.ReflectorStore. It is called when a list has ended: what is not in it is gone.
func (t *Table[T]) Replace(all []any, _ string) error {
	if err := t.replace(all); err != nil {
		return err
	}
	goesOn := t.listed() // the watch that it came with
	t.change(func(s *State) {
		s.Synced, s.Absent = true, false
		if goesOn {
			s.Err = nil
		}
	})
	return nil
}

// Resync implements cache.ReflectorStore.
func (*Table[T]) Resync() error { return nil }

// replace hands over all that there are.
func (t *Table[T]) replace(all []any) error {
	objects, known := make([]T, 0, len(all)), make(map[types.NamespacedName]types.UID)
	for _, obj := range all {
		o, key, uid, err := t.read(obj)
		if err != nil {
			return err
		}
		objects = append(objects, o)
		if t.Listed == nil {
			known[key] = uid
		}
	}
	if t.Listed != nil {
		t.Listed(objects)
		return nil
	}
	gone := t.known
	t.known = known
	for _, o := range objects {
		t.Set(o)
	}
	for key, uid := range gone {
		if _, there := known[key]; !there {
			t.Drop(key, uid)
		}
	}
	return nil
}

func (t *Table[T]) read(obj any) (o T, key types.NamespacedName, uid types.UID, err error) {
	o, ok := obj.(T)
	if !ok {
		return o, key, "", fmt.Errorf("following %s: got %T", t.Resource, obj)
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return o, key, "", fmt.Errorf("following %s: %w", t.Resource, err)
	}
	return o, types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}, m.GetUID(), nil
}
