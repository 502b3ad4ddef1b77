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
)

// lookAgain is when a set is looked at again that waits for something that is not watched.
const lookAgain = 30 * time.Second

// Guard says whether those who write EndpointSets are kept within their rights: package internal/guard.
type Guard interface {
	// Missing is nil where they are, and otherwise says what to do.
	Missing(ctx context.Context) error
}

// Reconciler hands EndpointSets to the publisher. It runs in every replica.
type Reconciler struct {
	// Client reads EndpointSets from a cache.
	Client    client.Reader
	Publisher *publish.Publisher
	// Objects say by which selector a set was made before a restart.
	Objects *publish.Objects
	// Guard, without which nothing is made of what was not made before. Nil: nobody asks.
	Guard Guard

	read readable
}

// Reconcile hands one set over, or takes it back.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := set.KeyOf(req.Name)
	es := &v1alpha1.EndpointSet{}
	err := r.Client.Get(ctx, req.NamespacedName, es)
	switch {
	case apierrors.IsNotFound(err):
		r.Publisher.Drop(key)
		r.read.forget(req.Name)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading EndpointSet %q: %w", req.Name, err)
	case !es.DeletionTimestamp.IsZero():
		r.Publisher.Drop(key)
		return reconcile.Result{}, nil
	}
	if r.Publisher.Has(key, es.UID, es.Generation) {
		r.Publisher.Saw(key, es.Status.Clusters)
		return reconcile.Result{}, nil
	}
	if !publish.WorkedBy(es.Status.Clusters, es.Generation) && r.unbounded(ctx) { // the leader says so
		return reconcile.Result{RequeueAfter: lookAgain}, nil
	}
	last, known := r.read.last(es, r.Objects)
	if !known { // what was made before a restart was not listed yet
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	s := set.Read(es, last)
	if s.Item == nil {
		r.Publisher.Drop(key)
		return reconcile.Result{}, nil
	}
	r.Publisher.Put(*s.Item)
	return reconcile.Result{}, nil
}

func (r *Reconciler) unbounded(ctx context.Context) bool {
	return r.Guard != nil && r.Guard.Missing(ctx) != nil
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

// last returns the selector of a set that was read last, "" where there was none. known is false where that is not
// known yet.
func (r *readable) last(es *v1alpha1.EndpointSet, objects *publish.Objects) (text string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		r.sets = map[string]remembered{}
	}
	if s, err := set.Selector(es.Spec.Selector); err == nil {
		r.sets[es.Name] = remembered{es.UID, s.String()}
		return s.String(), true
	}
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
