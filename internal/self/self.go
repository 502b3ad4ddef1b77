// Package self owns the answer to who a process is in its cluster: the service account that it runs as. What a
// process makes there for itself alone (its ConfigMap, its Lease) belongs to that account, so that Kubernetes'
// garbage collector removes it with the account when Hawser is uninstalled.
package self

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// Owner is the service account of a namespace that the client authenticates as, as an owner. It is nil for
// anybody else, as for a person who runs the process by hand. It takes no right but the one that everybody
// has, to ask who they are.
func Owner(ctx context.Context, client kubernetes.Interface, namespace string) (*metav1.OwnerReference, error) {
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking who we are: %w", err)
	}
	user := review.Status.UserInfo
	name, ours := strings.CutPrefix(user.Username, "system:serviceaccount:"+namespace+":")
	if !ours || user.UID == "" {
		return nil, nil
	}
	return &metav1.OwnerReference{APIVersion: "v1", Kind: "ServiceAccount", Name: name, UID: types.UID(user.UID)}, nil
}

// OwnLease makes owner the owner of a Lease that we hold. There may be none, where nobody is elected.
func OwnLease(ctx context.Context, client kubernetes.Interface, namespace, name string, owner *metav1.OwnerReference) error {
	if owner == nil {
		return nil
	}
	leases := client.CoordinationV1().Leases(namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // its holder renews it meanwhile
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		if err != nil || slices.Contains(lease.OwnerReferences, *owner) {
			return err
		}
		lease.OwnerReferences = []metav1.OwnerReference{*owner}
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("owning Lease %q in namespace %q: %w", name, namespace, err)
	}
	return nil
}
