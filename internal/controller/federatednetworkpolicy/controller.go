// Package federatednetworkpolicy is the controller of FederatedNetworkPolicies. In every replica it hands the policies
// to the publisher (endpoint/publish), which writes what is made of the clusters that are the replica's; in the leader it
// lets publish.Leader do what is of no cluster. What a policy means is up to endpoint/policy.
package federatednetworkpolicy

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// lookAgain is when a policy is looked at again that waits for something that is not watched.
const lookAgain = 30 * time.Second

// Guard says whether those who write policies are kept within their rights: package internal/guard.
type Guard interface {
	// Missing is nil where they are, and otherwise says what to do.
	Missing(ctx context.Context) error
}

// Reconciler hands policies to the publisher. It runs in every replica.
type Reconciler struct {
	// Client reads FederatedNetworkPolicies and RemoteClusters from a cache.
	Client    client.Reader
	Publisher *publish.Publisher
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard Guard

	mu    sync.Mutex
	local map[publish.Key]policy.Local // as each policy was read by
}

// Reconcile hands one policy over, or takes it back.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := policy.KeyOf(req.Namespace, req.Name)
	p := &v1alpha1.FederatedNetworkPolicy{}
	switch err := r.Client.Get(ctx, req.NamespacedName, p); {
	case apierrors.IsNotFound(err), err == nil && !p.DeletionTimestamp.IsZero():
		r.drop(key)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading FederatedNetworkPolicy %q: %w", req, err)
	}
	local, err := localOf(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	switch has := r.Publisher.Has(key, p.UID, p.Generation); {
	case has && r.readBy(key) == local:
		r.Publisher.Saw(key, p.Status.Clusters)
		return reconcile.Result{}, nil
	case !has && !publish.WorkedBy(p.Status.Clusters, p.Generation) && r.unbounded(ctx):
		return reconcile.Result{RequeueAfter: lookAgain}, nil // the leader says so
	}
	// Whom the last selector was for does not matter here: what is of no cluster is the leader's.
	r.Publisher.Put(policy.Read(p, local, "").Item)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.local == nil {
		r.local = map[publish.Key]policy.Local{}
	}
	r.local[key] = local
	return reconcile.Result{}, nil
}

// readBy is what was known of the local cluster when a policy was read.
func (r *Reconciler) readBy(key publish.Key) policy.Local {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.local[key]
}

func (r *Reconciler) drop(key publish.Key) {
	r.Publisher.Drop(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.local, key)
}

// unbounded says that authors of policies may be anybody.
func (r *Reconciler) unbounded(ctx context.Context) bool {
	return r.Guard != nil && r.Guard.Missing(ctx) != nil
}

// localOf finds what is known of the local cluster.
func localOf(ctx context.Context, from client.Reader) (policy.Local, error) {
	var clusters v1alpha1.RemoteClusterList
	if err := from.List(ctx, &clusters, client.UnsafeDisableDeepCopy); err != nil {
		return policy.Local{}, fmt.Errorf("listing RemoteClusters: %w", err)
	}
	for i := range clusters.Items {
		if rc := &clusters.Items[i]; isLocal(rc) {
			return policy.Local{Name: rc.Name, ID: rc.Status.ClusterID}, nil
		}
	}
	return policy.Local{}, nil
}

func isLocal(rc *v1alpha1.RemoteCluster) bool { return rc.Spec.Auth.Type == v1alpha1.AuthInCluster }
