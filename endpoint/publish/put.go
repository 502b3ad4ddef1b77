package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// put creates an object, or changes it, or finds that it is as it is to be.
func (s *Objects) put(ctx context.Context, at owner, have *record, w wanted, ours bool) error {
	client, version, err := s.serves(w.ref.kind)
	if err != nil {
		s.discovery.Again() // somebody waits for it
		return refuse(false, "%s is not written: %s", w.ref, err)
	}
	switch {
	case have == nil:
		return s.create(ctx, at, client, w, version.GroupVersion().String(), ours)
	case have.deleting:
		return refuse(true, "%s is being deleted: it is written anew when that has ended", w.ref)
	case have.editor != "":
		return refuse(true, "%s was edited by %s, and is left as it is: delete it, and it is written anew", w.ref, have.editor)
	case have.annotations[HashAnnotation] == w.hash && owned(have.owners, w.object.GetOwnerReferences()):
		return nil
	}
	next := w.object.DeepCopy()
	next.SetAPIVersion(version.GroupVersion().String())
	next.SetUID(have.uid)
	next.SetResourceVersion(have.version)
	next.SetFinalizers(have.finalizers)
	next.SetLabels(merged(have.labels, slices.Concat(ourLabels, listed(have.annotations)), next.GetLabels()))
	next.SetAnnotations(merged(have.annotations, slices.Concat(written, []string{HashAnnotation, LabelsAnnotation}), next.GetAnnotations()))
	next.SetOwnerReferences(owners(have.owners, next.GetOwnerReferences()))
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	after, err := in(client, w.ref).Update(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	switch {
	case err == nil:
		s.records.wrote(after, ours)
		return nil
	case apierrors.IsNotFound(err):
		s.records.remove(w.ref)
	case apierrors.IsConflict(err):
		s.read(ctx, client, w.ref)
	}
	return s.verdict("writing", w.ref, err)
}

func (s *Objects) create(ctx context.Context, at owner, client dynamic.NamespaceableResourceInterface, w wanted, version string, ours bool) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	next := w.object.DeepCopy()
	next.SetAPIVersion(version)
	after, err := in(client, w.ref).Create(ctx, next, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
	switch {
	case err == nil:
		s.records.wrote(after, ours)
		return nil
	case apierrors.IsAlreadyExists(err):
		found, err := in(client, w.ref).Get(ctx, w.ref.name, metav1.GetOptions{})
		if err != nil {
			return s.verdict("reading", w.ref, err)
		}
		key, cluster, made := keyOf(found.GetLabels())
		if made = made && found.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy; !made {
			return refuse(false, "%s is there, and was not made by Hawser: it is left as it is. Delete it, or choose another name", w.ref)
		}
		s.records.put(found)
		if (owner{key, cluster}) != at {
			return refuse(false, "%s is made for %s: two names lead to it, so change one of them", w.ref, describe(owner{key, cluster}))
		}
		return fmt.Errorf("creating %s: %w", w.ref, errChanged)
	}
	return s.verdict("creating", w.ref, err)
}

// remove deletes the object that is known, and no other of its name. It is ours by its labels, whether or not somebody
// has edited it: what it lets through is not asked for any more.
func (s *Objects) remove(ctx context.Context, r *record, ours bool) error {
	if r.deleting {
		return nil
	}
	client, _, err := s.serves(r.kind)
	if err != nil {
		return refuse(true, "%s is not wanted any more, and cannot be deleted: %s", r.ref, err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err = in(client, r.ref).Delete(ctx, r.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.uid, ResourceVersion: &r.version}})
	switch {
	case err == nil, apierrors.IsNotFound(err):
		s.records.forget(r, ours)
		return nil
	case apierrors.IsConflict(err):
		s.read(ctx, client, r.ref)
	}
	return s.verdict("deleting", r.ref, err)
}

// read takes over an object as it is now.
func (s *Objects) read(ctx context.Context, client dynamic.NamespaceableResourceInterface, of ref) {
	switch found, err := in(client, of).Get(ctx, of.name, metav1.GetOptions{}); {
	case err == nil:
		s.records.put(found)
	case apierrors.IsNotFound(err):
		s.records.remove(of)
	}
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
