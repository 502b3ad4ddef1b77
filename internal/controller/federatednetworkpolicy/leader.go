package federatednetworkpolicy

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/guard"
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
	Guard guard.Authority

	unmatched publish.Unmatched
	unasked   guard.Unasked
	used      used
}

// Reconcile does for one policy what there is to do.
func (r *LeaderReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := policy.KeyOf(req.Namespace, req.Name)
	p := &v1alpha1.FederatedNetworkPolicy{}
	switch err := r.Client.Get(ctx, req.NamespacedName, p); {
	case apierrors.IsNotFound(err):
		r.unmatched.Forget(key)
		r.used.forget(key)
		r.unasked.Forget(req.NamespacedName)
		return reconcile.Result{}, r.Leader.Gone(ctx, key)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading FederatedNetworkPolicy %q: %w", req, err)
	}
	clusters, err := publish.Clusters(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	local, err := localOf(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	settled := r.Objects.Settled() // before it is asked what there is
	read := policy.Read(p, local, r.last(key, p.UID, local))
	if len(read.Refused) > 0 && !settled {
		return reconcile.Result{RequeueAfter: time.Second}, nil // what is there tells how to go on
	}
	asked := publish.Asked{
		Key: key, Owner: read.Item.Owner, Generation: p.Generation, Scope: p.Spec.Clusters, Status: p.Status,
		Clusters: clusters, Local: r.Local, Refused: read.Refused, Warned: read.Warned, Stays: read.Stays,
	}
	broad := asked.Broad(r.Followed, read.Narrow...)
	nothing := r.unmatched.Look(&asked, r.Followed, time.Now(), read.Sought...)
	asked.Warned, asked.Looked = slices.Concat(asked.Warned, nothing.Warned, broad), nothing.Whole || len(read.Item.Selectors) == 0
	verdict, err := r.unasked.Ask(ctx, r.Guard, specOf(p))
	if err != nil {
		return reconcile.Result{}, err
	}
	if asked.Held = verdict.Held; verdict.Reason != "" {
		asked.Refused = slices.Insert(asked.Refused, 0, publish.Statement{Reason: verdict.Reason, Message: verdict.Message})
	}
	if read.Last.Selector != "" && !asked.Held {
		r.used.note(key, p.UID, read.Last)
	}
	again, err := r.Leader.Keep(ctx, asked, read.Base)
	switch { // nothing tells of what does not match
	case again > 0:
	case verdict.Missing, nothing.Again, len(broad) > 0:
		again = lookAgain
	case len(read.Sought) > 0:
		again = lookSeldom
	}
	return reconcile.Result{RequeueAfter: again}, err
}
