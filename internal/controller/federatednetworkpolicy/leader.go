package federatednetworkpolicy

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// LeaderReconciler lets the leader do for policies what is of no cluster. It runs in one replica.
type LeaderReconciler struct {
	// Client reads FederatedNetworkPolicies and RemoteClusters from a cache.
	Client  client.Reader
	Leader  *publish.Leader
	Objects *publish.Objects
	// Local is the name of the local cluster.
	Local string
	// Followed is what this process knows of endpoints. Nil: nothing.
	Followed publish.Followed
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard Guard
}

// Reconcile does for one policy what there is to do.
func (r *LeaderReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := policy.KeyOf(req.Namespace, req.Name)
	p := &v1alpha1.FederatedNetworkPolicy{}
	switch err := r.Client.Get(ctx, req.NamespacedName, p); {
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, r.Leader.Gone(ctx, key)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading FederatedNetworkPolicy %q: %w", req, err)
	case !p.DeletionTimestamp.IsZero():
		return reconcile.Result{}, nil // what was made goes with it
	}
	clusters, err := publish.Clusters(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	local, err := localOf(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	read := policy.Read(p, local, r.Objects.LastSelector(key, p.UID, p.Status.Clusters)) // Keep waits until that is known
	asked := publish.Asked{
		Key: key, Owner: read.Item.Owner, Generation: p.Generation, Scope: p.Spec.Clusters, Status: p.Status,
		Clusters: clusters, Local: r.Local, Refused: read.Refused, Warned: read.Warned,
	}
	broad := asked.Broad(r.Followed, read.Narrow...)
	asked.Warned = append(asked.Warned, broad...)
	unbounded := false
	if r.Guard != nil {
		if missing := r.Guard.Missing(ctx); missing != nil {
			unbounded, asked.Held = true, !publish.WorkedBy(p.Status.Clusters, p.Generation)
			asked.Refused = slices.Insert(asked.Refused, 0, publish.Statement{Reason: v1alpha1.ReasonAuthorsUnbounded, Message: "nothing new is made: " + missing.Error()})
		}
	}
	again, err := r.Leader.Keep(ctx, asked, read.Base)
	if again == 0 && (unbounded || len(broad) > 0) { // nothing tells of what does not match
		again = lookAgain
	}
	return reconcile.Result{RequeueAfter: again}, err
}
