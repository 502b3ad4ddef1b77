package remotecluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
)

// warnOfSharedAudience puts a warning into Ready where the tokens of an EKS cluster are good at another
// one, too: a token is signed for nothing but the cluster's name, and names are unique only within an
// account and region.
func (r *Reconciler) warnOfSharedAudience(ctx context.Context, rc *v1alpha1.RemoteCluster, state connection.State) (connection.State, error) {
	ready := state.Condition(v1alpha1.Ready)
	if rc.Spec.Auth.EKS == nil || ready.Status != metav1.ConditionTrue || ready.Reason != v1alpha1.ReasonConnected {
		return state, nil // what is wrong goes first
	}
	var all v1alpha1.RemoteClusterList
	if err := r.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return state, fmt.Errorf("listing RemoteClusters: %w", err)
	}
	for i := range all.Items {
		if other := &all.Items[i]; sharesAudience(rc, other) {
			return warn(state, v1alpha1.ReasonSharedTokenAudience, fmt.Sprintf(
				"connected, but RemoteCluster %q is another EKS cluster of the name %q that the same identity enters: each of them could use our token at the other. Give each an identityRef of its own",
				other.Name, other.Spec.Auth.EKSClusterName(other.Name))), nil
		}
	}
	return state, nil
}

// sharesAudience reports whether two RemoteClusters are different EKS clusters that accept the same tokens.
func sharesAudience(a, b *v1alpha1.RemoteCluster) bool {
	x, y := a.Spec.Auth.EKS, b.Spec.Auth.EKS
	if x == nil || y == nil || a.Name == b.Name || a.Spec.Auth.EKSClusterName(a.Name) != b.Spec.Auth.EKSClusterName(b.Name) {
		return false
	}
	if (x.IdentityRef == nil) != (y.IdentityRef == nil) || (x.IdentityRef != nil && *x.IdentityRef != *y.IdentityRef) {
		return false
	}
	return x.Region != y.Region || (x.AccountID != y.AccountID && x.AccountID != "" && y.AccountID != "")
}
