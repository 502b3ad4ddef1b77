package endpointset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
	"github.com/hawser-io/hawser/internal/guard"
)

// LeaderReconciler lets the leader do for sets what is of no cluster. It runs in one replica.
type LeaderReconciler struct {
	// Client reads EndpointSets and RemoteClusters from a cache.
	Client  client.Reader
	Leader  *publish.Leader
	Objects *publish.Objects
	// Local is the name of the local cluster.
	Local string
	// Followed is what this process knows of endpoints. Nil: nothing.
	Followed publish.Followed
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard guard.Authority

	read    readable
	unasked guard.Unasked
}

// Reconcile does for one set what there is to do.
func (r *LeaderReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	es := &v1alpha1.EndpointSet{}
	err := r.Client.Get(ctx, req.NamespacedName, es)
	if apierrors.IsNotFound(err) {
		r.read.forget(req.Name)
		r.unasked.Forget(req.NamespacedName)
		return reconcile.Result{}, r.Leader.Gone(ctx, set.KeyOf(req.Name))
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading EndpointSet %q: %w", req.Name, err)
	}
	clusters, err := publish.Clusters(ctx, r.Client)
	if err != nil {
		return reconcile.Result{}, err
	}
	verdict, err := r.unasked.Ask(ctx, r.Guard, specOf(es))
	if err != nil {
		return reconcile.Result{}, err
	}
	if !verdict.Held {
		r.read.note(es)
	}
	last, _ := r.read.last(es, r.Objects) // Keep waits until it is known
	s := set.Read(es, last)
	asked := publish.Asked{
		Key: set.KeyOf(es.Name), Owner: set.Owner(es), Generation: es.Generation, Scope: es.Spec.Clusters, Status: *es.Status.DeepCopy(),
		Clusters: clusters, Local: r.Local, Refused: s.Refused, Warned: s.Warned,
	}
	broad := asked.Broad(r.Followed, s.Narrow...)
	asked.Warned = append(asked.Warned, broad...)
	if asked.Held = verdict.Held; verdict.Reason != "" {
		asked.Refused = append([]publish.Statement{{Reason: verdict.Reason, Message: verdict.Message}}, asked.Refused...)
	}
	again, err := r.Leader.Keep(ctx, asked, s.Base)
	if again == 0 && (verdict.Missing || len(broad) > 0) { // nothing tells of what does not match
		again = lookAgain
	}
	return reconcile.Result{RequeueAfter: again}, err
}
