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
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/guard"
)

// lookAgain is when a policy is looked at again that waits for something that is not watched.
const lookAgain = 30 * time.Second

// lookSeldom is when one is looked at again whose selectors all match something: mostly its status tells before that one
// of them does not any more.
const lookSeldom = 5 * time.Minute

// Reconciler hands policies to the publisher. It runs in every replica.
type Reconciler struct {
	// Client reads FederatedNetworkPolicies and RemoteClusters from a cache.
	Client    client.Reader
	Publisher *publish.Publisher
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard guard.Authority

	unasked guard.Unasked

	mu    sync.Mutex
	local map[publish.Key]policy.Local // as each policy was read by
}

// Reconcile hands one policy over, or takes it back. One that waits for a finalizer is followed until
// it is gone: what it lets in is not to stay longer than what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := policy.KeyOf(req.Namespace, req.Name)
	p := &v1alpha1.FederatedNetworkPolicy{}
	switch err := r.Client.Get(ctx, req.NamespacedName, p); {
	case apierrors.IsNotFound(err):
		r.drop(key)
		r.unasked.Forget(req.NamespacedName)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading FederatedNetworkPolicy %q: %w", req, err)
	}
	local, err := localOf(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	has := r.Publisher.Has(key, p.UID, p.Generation)
	if has && r.readBy(key) == local {
		r.Publisher.Saw(key, p.Status.Clusters)
		return reconcile.Result{}, nil
	}
	if !has {
		if held, err := r.held(ctx, p); err != nil || held { // the leader says so
			r.Publisher.DropOther(key, p.UID)
			return reconcile.Result{RequeueAfter: lookAgain}, err
		}
	}
	// Whom the last selector was for does not matter here: what is of no cluster is the leader's.
	r.Publisher.Put(policy.Read(p, local, policy.Last{}).Item)
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

// held says that nothing is to be made of the spec of a policy as it is.
func (r *Reconciler) held(ctx context.Context, p *v1alpha1.FederatedNetworkPolicy) (bool, error) {
	of := specOf(p)
	if of.Worked {
		return false, nil
	}
	verdict, err := r.unasked.Ask(ctx, r.Guard, of)
	return verdict.Held, err
}

// specOf is what the guard has to know of a policy.
func specOf(p *v1alpha1.FederatedNetworkPolicy) guard.Spec {
	return guard.Spec{
		NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, UID: p.UID, Generation: p.Generation,
		Worked: publish.WorkedBy(p.Status.Clusters, p.Generation), Conditions: p.Status.Conditions,
	}
}

// localOf finds what is known of the local cluster.
func localOf(ctx context.Context, from client.Reader) (policy.Local, error) {
	var clusters v1alpha1.RemoteClusterList
	if err := from.List(ctx, &clusters, client.UnsafeDisableDeepCopy); err != nil {
		return policy.Local{}, fmt.Errorf("listing RemoteClusters: %w", err)
	}
	for i := range clusters.Items {
		if rc := &clusters.Items[i]; rc.IsLocal() {
			return policy.Local{Name: rc.Name, ID: rc.Status.ClusterID}, nil
		}
	}
	return policy.Local{}, nil
}
