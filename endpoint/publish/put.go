package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// put creates an object, or changes it, or finds that it is as it is to be.
func (t *turn) put(ctx context.Context, have *record, w wanted) error {
	client, version, err := t.serves(w.ref.kind, t.at)
	switch {
	case errors.Is(err, errNotListed):
		return err
	case err != nil:
		t.discovery.Await() // somebody waits for it
		return refuse(false, "%s is not written: %s", w.ref, err)
	case have == nil:
		return t.create(ctx, client, w, version.GroupVersion().String())
	case have.deleting:
		return refuse(true, "%s is being deleted: it is written anew when that has ended", w.ref)
	case have.editor != "":
		return refuse(true, "%s was edited by %s, and is left as it is: delete it, and it is written anew", w.ref, have.editor)
	case have.annotations[HashAnnotation] == w.hash && owned(have.owners, w.object.GetOwnerReferences()):
		return t.keep(ctx, client, have)
	}
	next := w.object.DeepCopy()
	next.SetAPIVersion(version.GroupVersion().String())
	next.SetUID(have.uid)
	next.SetResourceVersion(have.version)
	next.SetFinalizers(have.finalizers)
	next.SetLabels(merged(have.labels, slices.Concat(ourLabels, listed(have.annotations)), next.GetLabels()))
	next.SetAnnotations(merged(have.annotations, slices.Concat(written, []string{HashAnnotation, StoredAnnotation, LabelsAnnotation}), next.GetAnnotations()))
	next.SetOwnerReferences(owners(have.owners, next.GetOwnerReferences()))
	return t.update(ctx, client, w.ref, next)
}

// update writes an object as it is to be, and then, where the API server made something else of it, what that is.
func (t *turn) update(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref, next *unstructured.Unstructured) error {
	var after *unstructured.Unstructured
	err := t.ask(ctx, of, func(ctx context.Context) (err error) {
		after, err = in(client, of).Update(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
		return err
	})
	switch {
	case err == nil:
		return t.wrote(ctx, client, of, after)
	case apierrors.IsNotFound(err):
		t.records.remove(of)
	case apierrors.IsConflict(err):
		t.read(ctx, client, of)
	}
	return t.verdict("writing", of, err)
}

func (t *turn) create(ctx context.Context, client dynamic.NamespaceableResourceInterface, w wanted, version string) error {
	next := w.object.DeepCopy()
	next.SetAPIVersion(version)
	var after *unstructured.Unstructured
	err := t.ask(ctx, w.ref, func(ctx context.Context) (err error) {
		after, err = in(client, w.ref).Create(ctx, next, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
		return err
	})
	switch {
	case err == nil:
		return t.wrote(ctx, client, w.ref, after)
	case apierrors.IsAlreadyExists(err):
		found, err := t.get(ctx, client, w.ref)
		if err != nil {
			return t.verdict("reading", w.ref, err)
		}
		key, cluster, made := keyOf(found.GetLabels())
		if made = made && found.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy; !made {
			return refuse(false, "%s is there, and was not made by Hawser: it is left as it is. Delete it, or choose another name", w.ref)
		}
		t.records.put(found)
		if at := (owner{key, cluster}); at != t.at {
			return refuse(false, "%s is made for %s: two names lead to it, so change one of them", w.ref, describe(at))
		}
		return fmt.Errorf("creating %s: %w", w.ref, errChanged)
	}
	return t.verdict("creating", w.ref, err)
}

// wrote takes over what the API server made of what we have written. Where that is something else, it is noted in the
// object, so that after a restart, or in another replica, it is not taken for an edit.
func (t *turn) wrote(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref, o *unstructured.Unstructured) error {
	t.records.wrote(o, t.ours)
	if hash := ContentHash(o); !tells(o.GetAnnotations(), hash) {
		return t.note(ctx, client, of, o, hash)
	}
	return nil
}

// keep leaves an object as it is, but for what could not be noted in it when it was written.
func (t *turn) keep(ctx context.Context, client dynamic.NamespaceableResourceInterface, have *record) error {
	if have.made == "" || tells(have.annotations, have.made) {
		return nil
	}
	o, err := t.get(ctx, client, have.ref)
	if err != nil {
		return t.verdict("reading", have.ref, err)
	}
	if hash := ContentHash(o); o.GetUID() == have.uid && hash == have.made {
		return t.note(ctx, client, have.ref, o, hash)
	}
	t.records.put(o)
	return fmt.Errorf("writing %s: %w", have.ref, errChanged)
}

func (t *turn) note(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref, o *unstructured.Unstructured, hash string) error {
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[StoredAnnotation] = hash
	o.SetAnnotations(annotations)
	o.SetManagedFields(nil)
	var after *unstructured.Unstructured
	err := t.ask(ctx, of, func(ctx context.Context) (err error) {
		after, err = in(client, of).Update(ctx, o, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
		return err
	})
	if err != nil {
		return t.verdict("writing", of, err)
	}
	t.records.wrote(after, t.ours)
	return nil
}

// remove deletes the object that is known, and no other of its name. It is ours by its labels, whether or not somebody
// has edited it: what it lets through is not asked for any more.
func (t *turn) remove(ctx context.Context, r *record) error {
	if r.deleting {
		return nil
	}
	client, _, err := t.serves(r.kind, t.at)
	if err != nil {
		return refuse(true, "%s is not wanted any more, and cannot be deleted: %s", r.ref, err)
	}
	err = t.ask(ctx, r.ref, func(ctx context.Context) error {
		return in(client, r.ref).Delete(ctx, r.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.uid, ResourceVersion: &r.version}})
	})
	switch {
	case err == nil, apierrors.IsNotFound(err):
		t.records.forget(r, t.ours)
		return nil
	case apierrors.IsConflict(err):
		t.read(ctx, client, r.ref)
	}
	return t.verdict("deleting", r.ref, err)
}

// shut leaves an object that closes pods as it is, but for what it lets through, whoever has allowed it: that is not asked
// for any more. Those of other kinds close nothing, and stay as they are.
func (t *turn) shut(ctx context.Context, r *record) error {
	if r.deleting || r.kind.Kind != "NetworkPolicy" {
		return nil
	}
	client, _, err := t.serves(r.kind, t.at)
	if err != nil {
		return refuse(true, "%s is not wanted any more, and cannot be changed: %s", r.ref, err)
	}
	o, err := t.get(ctx, client, r.ref)
	switch {
	case apierrors.IsNotFound(err):
		t.records.remove(r.ref)
		return nil
	case err != nil:
		return t.verdict("reading", r.ref, err)
	case o.GetUID() != r.uid || o.GetResourceVersion() != r.version:
		t.records.put(o)
		return fmt.Errorf("writing %s: %w", r.ref, errChanged)
	}
	spec, _ := o.Object["spec"].(map[string]any)
	if spec["ingress"] == nil && spec["egress"] == nil {
		return nil
	}
	delete(spec, "ingress")
	delete(spec, "egress")
	annotations := merged(o.GetAnnotations(), []string{StoredAnnotation}, nil)
	if r.editor != "" { // what it says it was made by may be theirs, too
		delete(annotations, SelectorAnnotation)
	}
	o.SetAnnotations(annotations)
	annotations[HashAnnotation] = ContentHash(o)
	o.SetAnnotations(annotations)
	o.SetManagedFields(nil)
	return t.update(ctx, client, r.ref, o)
}

// read takes over an object as it is now.
func (t *turn) read(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref) {
	switch found, err := t.get(ctx, client, of); {
	case err == nil:
		t.records.put(found)
	case apierrors.IsNotFound(err):
		t.records.remove(of)
	}
}

func (t *turn) get(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref) (found *unstructured.Unstructured, err error) {
	err = t.ask(ctx, of, func(ctx context.Context) (err error) {
		found, err = in(client, of).Get(ctx, of.name, metav1.GetOptions{})
		return err
	})
	return found, err
}

func in(client dynamic.NamespaceableResourceInterface, of ref) dynamic.ResourceInterface {
	if of.namespace == "" {
		return client
	}
	return client.Namespace(of.namespace)
}

// merged are what others have set, with what we set now in the place of what we had set.
func merged(have map[string]string, ours []string, now map[string]string) map[string]string {
	all := maps.Clone(have)
	if all == nil {
		all = map[string]string{}
	}
	for _, name := range ours {
		delete(all, name)
	}
	maps.Copy(all, now)
	return all
}

func owned(have, want []metav1.OwnerReference) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h metav1.OwnerReference) bool { return h.UID == w.UID }) {
			return false
		}
	}
	return true
}

// owners are those that others have added, and ours: an earlier one of the same kind and name is gone.
func owners(have, want []metav1.OwnerReference) []metav1.OwnerReference {
	all := slices.Clone(want)
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w metav1.OwnerReference) bool { return h.Kind == w.Kind && h.Name == w.Name }) {
			all = append(all, h)
		}
	}
	return all
}
