package install

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// CutAccount deletes the connection's service account and makes it anew: every token of the old one
// is dead, also those that a thief minted with a stolen one. It goes by the name, whoever installed the
// account, whose labels the new one has: that of a Helm release stays the release's.
func CutAccount(ctx context.Context, c client.Client, local string, report Report) error {
	account := Account(local)
	err := c.Get(ctx, client.ObjectKeyFromObject(account), account)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading %s: %w", Describe(Account(local)), err)
	}
	if err == nil {
		uid := account.UID
		if err := c.Delete(ctx, account, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %s: %w", Describe(Account(local)), err)
		}
		report(Account(local), Deleted)
	}
	for _, obj := range member.Objects(member.Options{Local: local}) {
		if _, ok := obj.(*corev1.ServiceAccount); !ok || obj.GetNamespace() != account.Namespace {
			continue
		}
		if len(account.Labels) > 0 {
			obj.SetLabels(account.Labels)
		}
		obj.SetAnnotations(account.Annotations)
		err := c.Create(ctx, obj, client.FieldOwner(v1alpha1.FieldManager))
		if apierrors.IsNotFound(err) {
			return nil // its namespace is gone too, and with it the whole member side
		}
		if client.IgnoreAlreadyExists(err) != nil { // somebody was faster, and made a new one, too
			return fmt.Errorf("creating %s: %w", Describe(Account(local)), err)
		}
		report(Account(local), Created)
	}
	return nil
}

// Account names the service account of the connection from local.
func Account(local string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.MemberNamespace(local), Name: v1alpha1.MemberServiceAccount},
	}
}

// CutBindings deletes what gives the connection from local its rights: certificates cannot be
// revoked, so their user loses everything instead. Whoever installed them: those of a Helm release would
// come back with its next upgrade.
func CutBindings(ctx context.Context, c client.Client, local string, report Report) error {
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
		list, err := ofConnection(ctx, c, local, kind)
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := removeNow(ctx, c, &list.Items[i], report); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove deletes everything of the connection from local, and what all connections share if this
// was the last one. It leaves the namespace hawser, where Hawser itself may run.
func Remove(ctx context.Context, c client.Client, local string, report Report) error {
	if err := removeAll(ctx, c, local, report, "ClusterRoleBinding", "RoleBinding", "ClusterRole", "Role"); err != nil {
		return err
	}
	ns := &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(local)},
	}
	if err := remove(ctx, c, ns, report); err != nil {
		return err
	}
	last, err := lastConnection(ctx, c, local)
	if err != nil || !last {
		return err
	}
	for _, obj := range Shared(v1alpha1.CapabilityEndpoints) {
		if err := remove(ctx, c, obj, report); err != nil {
			return err
		}
	}
	return nil
}

// Shared are the objects that all connections into a cluster have in common, but for the namespace hawser.
func Shared(capabilities ...v1alpha1.Capability) []client.Object {
	return slices.DeleteFunc(member.Objects(member.Options{Local: "any", Capabilities: capabilities}), func(obj client.Object) bool {
		return isNamespace(obj) || obj.GetLabels()[v1alpha1.LocalClusterLabel] != ""
	})
}

// Left lists what is still there of the connection from local.
func Left(ctx context.Context, c client.Client, local string) ([]string, error) {
	var left []string
	for _, kind := range []string{"ClusterRoleBinding", "RoleBinding", "ClusterRole", "Role"} {
		list, err := owned(ctx, c, local, kind)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			left = append(left, Describe(&list.Items[i]))
		}
	}
	uid, err := NamespaceUID(ctx, c, local)
	if err == nil && uid != "" {
		left = append(left, fmt.Sprintf("Namespace %q", v1alpha1.MemberNamespace(local)))
	}
	return left, err
}

func lastConnection(ctx context.Context, c client.Client, local string) (bool, error) {
	var all corev1.NamespaceList
	if err := c.List(ctx, &all, client.HasLabels{v1alpha1.LocalClusterLabel}); err != nil {
		return false, fmt.Errorf("listing the namespaces of connections: %w", err)
	}
	for _, ns := range all.Items {
		if ns.Name != v1alpha1.MemberNamespace(local) {
			return false, nil
		}
	}
	return true, nil
}

// removeAll deletes the RBAC objects of one connection, kind by kind.
func removeAll(ctx context.Context, c client.Client, local string, report Report, kinds ...string) error {
	for _, kind := range kinds {
		list, err := owned(ctx, c, local, kind)
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := remove(ctx, c, &list.Items[i], report); err != nil {
				return err
			}
		}
	}
	return nil
}

// owned are the objects of a connection that Hawser made, ofConnection also those that a Helm release did.
func owned(ctx context.Context, c client.Client, local, kind string) (*unstructured.UnstructuredList, error) {
	list, err := ofConnection(ctx, c, local, kind)
	if err == nil {
		list.Items = slices.DeleteFunc(list.Items, func(u unstructured.Unstructured) bool {
			return u.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy
		})
	}
	return list, err
}

func ofConnection(ctx context.Context, c client.Client, local, kind string) (*unstructured.UnstructuredList, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind(kind + "List"))
	err := c.List(ctx, list, client.MatchingLabelsSelector{Selector: connectionOf(local, v1alpha1.ManagedBy, Helm)})
	if err != nil {
		return nil, fmt.Errorf("listing each %s of the connection from %q: %w", kind, local, err)
	}
	return list, nil
}

// connectionOf selects what is of the connection from local, and of one of the managers.
func connectionOf(local string, managers ...string) labels.Selector {
	ours, err := labels.NewRequirement(v1alpha1.ManagedByLabel, selection.In, managers)
	if err != nil {
		return labels.Nothing() // no constant here is refused
	}
	return labels.SelectorFromSet(labels.Set{v1alpha1.LocalClusterLabel: local}).Add(*ours)
}

// Teardown removes the member side by the connection's own right, over a client that authenticates as the
// connection. What it may no longer delete, because the right to it went first, was deleted before.
func Teardown(ctx context.Context, c client.Client, local string, id member.Identity, report Report) error {
	steps := member.Teardown(local, id)
	for i, obj := range steps {
		err := c.Delete(ctx, obj)
		switch {
		case err == nil:
			report(obj, Deleted)
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err) && i < len(steps)-1:
		default:
			return fmt.Errorf("deleting %s by the connection's own right: %w", Describe(obj), err)
		}
	}
	return nil
}
