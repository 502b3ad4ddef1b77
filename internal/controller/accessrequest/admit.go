package accessrequest

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// admit returns the cluster that a request is for, or why it may not have anything of it.
func (r *Reconciler) admit(ctx context.Context, ar *v1alpha1.AccessRequest) (*v1alpha1.RemoteCluster, *verdict, error) {
	if ar.Namespace == r.Namespace {
		v := no(v1alpha1.ReasonNamespaceNotAllowed, fmt.Sprintf("namespace %q is Hawser's own: what is written there would be read as input", r.Namespace))
		return nil, &v, nil
	}
	name := ar.Spec.ClusterRef.Name
	var rc v1alpha1.RemoteCluster
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, &rc)
	switch {
	case apierrors.IsNotFound(err), err == nil && !rc.DeletionTimestamp.IsZero():
		v := no(v1alpha1.ReasonClusterNotFound, fmt.Sprintf("there is no RemoteCluster %q", name))
		return nil, &v, nil
	case err != nil:
		return nil, nil, fmt.Errorf("reading RemoteCluster %q: %w", name, err)
	}
	labels, err := r.labels(ctx, ar.Namespace, rc.Spec.AllowedNamespaces)
	if err != nil {
		return nil, nil, err
	}
	allowed, err := aws.NamespacesOf(rc.Spec.AllowedNamespaces)
	if err != nil || !allowed.Admit(aws.Namespace{Name: ar.Namespace, Labels: labels}) {
		v := no(v1alpha1.ReasonNamespaceNotAllowed, fmt.Sprintf("spec.allowedNamespaces of RemoteCluster %q does not name namespace %q", name, ar.Namespace))
		if err != nil {
			v.message = fmt.Sprintf("spec.allowedNamespaces of RemoteCluster %q cannot be read, and so names no namespace: %s", name, err)
		}
		if rc.Spec.AllowedNamespaces != nil && rc.Spec.AllowedNamespaces.Selector != nil {
			v.again = lookAgain // labels of namespaces are not watched
		}
		return nil, &v, nil
	}
	return &rc, nil, nil
}

// labels of a namespace are read only where somebody selects by them.
func (r *Reconciler) labels(ctx context.Context, namespace string, by *v1alpha1.AllowedNamespaces) (map[string]string, error) {
	if by == nil || by.Selector == nil {
		return nil, nil
	}
	var ns corev1.Namespace
	if err := r.Client.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		return nil, fmt.Errorf("reading namespace %q: %w", namespace, err)
	}
	return ns.Labels, nil
}
