// Package endpointset is the controller of EndpointSets. In every replica it hands the sets to the publisher
// (endpoint/publish), which writes what is made of the clusters that are the replica's; in the leader it lets
// publish.Leader do what is of no cluster. What a set means is up to endpoint/publish/set.
package endpointset

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
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
	"github.com/hawser-io/hawser/internal/guard"
)

// lookAgain is when a set is looked at again that waits for something that is not watched.
const lookAgain = 30 * time.Second

// Reconciler hands EndpointSets to the publisher. It runs in every replica.
type Reconciler struct {
	// Client reads EndpointSets from a cache.
	Client    client.Reader
	Publisher *publish.Publisher
	// Objects say by which selector a set was made before a restart.
	Objects *publish.Objects
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard guard.Authority

	read    readable
	unasked guard.Unasked
}

// Reconcile hands one set over, or takes it back. One that waits for a finalizer is followed until it
// is gone: what it lets in is not to stay longer than what it asks for.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := set.KeyOf(req.Name)
	es := &v1alpha1.EndpointSet{}
	err := r.Client.Get(ctx, req.NamespacedName, es)
	switch {
	case apierrors.IsNotFound(err):
		r.Publisher.Drop(key)
		r.read.forget(req.Name)
		r.unasked.Forget(req.NamespacedName)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading EndpointSet %q: %w", req.Name, err)
	}
	if r.Publisher.Has(key, es.UID, es.Generation) {
		r.Publisher.Saw(key, es.Status.Clusters)
		return reconcile.Result{}, nil
	}
	if held, err := r.held(ctx, es); err != nil || held { // the leader says so
		r.Publisher.DropOther(key, es.UID)
		return reconcile.Result{RequeueAfter: lookAgain}, err
	}
	r.read.note(es)
	last, known := r.read.last(es, r.Objects)
	if !known { // what was made before a restart was not listed yet
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	r.Publisher.Put(*set.Read(es, last).Item)
	return reconcile.Result{}, nil
}

// held says that nothing is to be made of the spec of a set as it is.
func (r *Reconciler) held(ctx context.Context, es *v1alpha1.EndpointSet) (bool, error) {
	of := specOf(es)
	if of.Worked {
		return false, nil
	}
	verdict, err := r.unasked.Ask(ctx, r.Guard, of)
	return verdict.Held, err
}

// specOf is what the guard has to know of a set.
func specOf(es *v1alpha1.EndpointSet) guard.Spec {
	return guard.Spec{
		NamespacedName: types.NamespacedName{Name: es.Name}, UID: es.UID, Generation: es.Generation,
		Worked: publish.WorkedBy(es.Status.Clusters, es.Generation), Conditions: es.Status.Conditions,
	}
}

// readable remembers which selectors could be read.
type readable struct {
	mu   sync.Mutex
	sets map[string]remembered
}

type remembered struct {
	uid      types.UID
	selector string
}

// note remembers the selector of a set that is followed, if it can be read.
func (r *readable) note(es *v1alpha1.EndpointSet) {
	s, err := set.Selector(es.Spec.Selector)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		r.sets = map[string]remembered{}
	}
	r.sets[es.Name] = remembered{es.UID, s.String()}
}

// last returns the selector of a set that was read last, "" where there was none. known is false where that is not
// known yet.
func (r *readable) last(es *v1alpha1.EndpointSet, objects *publish.Objects) (text string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.sets[es.Name]; ok && m.uid == es.UID {
		return m.selector, true
	}
	if !objects.Settled() {
		return "", false
	}
	return objects.LastSelector(set.KeyOf(es.Name), es.UID, es.Status.Clusters, set.Places(es)...), true
}

func (r *readable) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sets, name)
}
