package accessrequest

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Shards says which clusters this replica works for.
type Shards interface {
	// Enter begins work on what is asked of a cluster; ok is false where that is another replica's. It is nobody else's
	// before leave was called.
	Enter(cluster string) (leave func(), ok bool)
	// Leads reports whether this replica is responsible for what is asked of clusters that there are not.
	Leads() bool
}

func (r *Reconciler) enter(ctx context.Context, cluster string) (leave func(), ok bool) {
	if r.Shards == nil {
		return func() {}, true
	}
	if leave, ok = r.Shards.Enter(cluster); ok || !r.Shards.Leads() {
		return leave, ok
	}
	err := r.Client.Get(ctx, client.ObjectKey{Name: cluster}, &v1alpha1.RemoteCluster{})
	return func() {}, apierrors.IsNotFound(err)
}

// listTimeout is for a cache that is not in sync yet. When it is, the controller looks at every request anyway.
const listTimeout = 10 * time.Second

// Own asks for a reconcile of the requests for a cluster, which is this replica's from now on. The empty name asks for
// all. It does not wait.
func (r *Reconciler) Own(cluster string) {
	queue := r.queue.Load()
	if queue == nil {
		return // the controller is not running yet, and will look at all when it does
	}
	go func() { // ends by its deadline
		for _, key := range r.of(cluster) {
			(*queue).Add(reconcile.Request{NamespacedName: key})
		}
	}()
}

// Disown forgets what is known of the requests for a cluster, which another replica is to serve.
func (r *Reconciler) Disown(cluster string) {
	if r.queue.Load() == nil {
		return
	}
	for _, key := range r.of(cluster) {
		r.forget(key)
	}
}

// of are the requests for a cluster, or all.
func (r *Reconciler) of(cluster string) []types.NamespacedName {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout) //nolint:forbidigo // nobody waits for it
	defer cancel()
	var all v1alpha1.AccessRequestList
	if err := r.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		log.Log.Error(err, "listing AccessRequests of a cluster that is given to another replica", "cluster", cluster)
		return nil
	}
	var keys []types.NamespacedName
	for i := range all.Items {
		if cluster == "" || all.Items[i].Spec.ClusterRef.Name == cluster {
			keys = append(keys, client.ObjectKeyFromObject(&all.Items[i]))
		}
	}
	return keys
}
