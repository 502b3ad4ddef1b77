// Package install does in a remote cluster, with the rights of the person at the
// keyboard, what package member only describes: it applies the member side, makes
// the first credential of a connection, cuts a connection off, and removes what
// is left of one. It touches nothing that Hawser did not make.
package install

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// pollInterval is how often a change in the remote cluster is looked for.
const pollInterval = 250 * time.Millisecond

// Report is told of each object that was created, changed, left unchanged or deleted.
type Report func(obj client.Object, what string)

// What happened to an object.
const (
	Created   = "created"
	Changed   = "changed"
	Unchanged = "unchanged"
	Deleted   = "deleted"
	// Used is what is of a Helm release: it is left as it is.
	Used = "used"
)

// Apply installs the member side, or changes it to the given options. The options must be valid.
// What wider options left behind is for Prune.
func Apply(ctx context.Context, c client.Client, o member.Options, report Report) error {
	return ApplyObjects(ctx, c, o.Local, member.Objects(o), report)
}

// Prune removes what an earlier install left that the given options do not ask for.
func Prune(ctx context.Context, c client.Client, o member.Options, report Report) error {
	for _, obj := range member.Obsolete(o) {
		if err := remove(ctx, c, obj, report); err != nil {
			return err
		}
	}
	return nil
}

// NamespaceUID returns the UID of the connection's namespace; empty where there is none.
func NamespaceUID(ctx context.Context, c client.Client, local string) (types.UID, error) {
	var ns corev1.Namespace
	err := c.Get(ctx, client.ObjectKey{Name: v1alpha1.MemberNamespace(local)}, &ns)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("reading namespace %q: %w", v1alpha1.MemberNamespace(local), err)
	}
	return ns.UID, nil
}

func isNamespace(obj client.Object) bool {
	_, ok := obj.(*corev1.Namespace)
	return ok
}

// applyOne applies one object by server-side apply. The shared namespace is made where it is missing
// and otherwise left to whoever made it; any other object that is not Hawser's is an error.
func applyOne(ctx context.Context, c client.Client, obj client.Object, report Report) error {
	wanted, err := content(obj)
	if err != nil {
		return err
	}
	before, err := settled(ctx, c, wanted)
	if err != nil {
		return err
	}
	if before != nil {
		switch {
		case isNamespace(obj) && obj.GetName() == v1alpha1.Namespace:
			report(obj, Unchanged)
			return nil
		case before.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy:
			return fmt.Errorf("applying %s: it exists and is not Hawser's (no label %s=%s): rename or remove it, then run this again",
				Describe(obj), v1alpha1.ManagedByLabel, v1alpha1.ManagedBy)
		}
	}
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying %s: %w", Describe(obj), err)
	}
	switch {
	case before == nil:
		report(obj, Created)
	case !reflect.DeepEqual(substance(before), substance(wanted)):
		report(obj, Changed)
	default:
		report(obj, Unchanged)
	}
	return nil
}

// settled returns the object as it is, nil where there is none, once it is not being deleted.
func settled(ctx context.Context, c client.Client, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(wanted.GroupVersionKind())
	var found bool
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := c.Get(ctx, client.ObjectKeyFromObject(wanted), now)
		if apierrors.IsNotFound(err) {
			found = false
			return true, nil
		}
		found = true
		return err == nil && now.GetDeletionTimestamp() == nil, err
	})
	switch {
	case err != nil && ctx.Err() != nil && found:
		return nil, fmt.Errorf("waiting until the old %s is deleted: %w", Describe(wanted), ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", Describe(wanted), err)
	case !found:
		return nil, nil
	}
	return now, nil
}

// content is what an object states, without the empty fields that a Go type brings along.
func content(obj client.Object) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("converting %s: %w", Describe(obj), err)
	}
	unstructured.RemoveNestedField(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	return &unstructured.Unstructured{Object: fields}, nil
}

// substance is an object without what the server and other controllers keep in it.
func substance(obj *unstructured.Unstructured) map[string]any {
	fields := obj.DeepCopy().Object
	unstructured.RemoveNestedField(fields, "status")
	for _, field := range []string{"resourceVersion", "managedFields", "generation"} {
		unstructured.RemoveNestedField(fields, "metadata", field)
	}
	return fields
}

// remove deletes an object, given by name, if it is Hawser's.
func remove(ctx context.Context, c client.Client, obj client.Object, report Report) error {
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(obj.GetObjectKind().GroupVersionKind())
	err := c.Get(ctx, client.ObjectKeyFromObject(obj), now)
	if apierrors.IsNotFound(err) || (err == nil && now.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", Describe(obj), err)
	}
	return removeNow(ctx, c, now, report)
}

// removeNow deletes an object as it was read, whoever made it.
func removeNow(ctx context.Context, c client.Client, obj *unstructured.Unstructured, report Report) error {
	uid := obj.GetUID()
	if err := c.Delete(ctx, obj, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s: %w", Describe(obj), err)
	}
	report(obj, Deleted)
	return nil
}

// Describe names an object as a person would: Role "hawser-connect" in namespace "hawser".
func Describe(obj client.Object) string {
	kind := obj.GetObjectKind().GroupVersionKind().Kind
	if obj.GetNamespace() == "" {
		return fmt.Sprintf("%s %q", kind, obj.GetName())
	}
	return fmt.Sprintf("%s %q in namespace %q", kind, obj.GetName(), obj.GetNamespace())
}
