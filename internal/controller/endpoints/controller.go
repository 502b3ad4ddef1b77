// Package endpoints is the controller that lets catalogs, of endpoints and of services, follow the clusters that are to
// contribute some: it joins RemoteClusters, which say whether and with which addresses, with the connections to them.
// It reads nothing of a remote cluster, and writes nothing anywhere: what a catalog lacks it says itself.
package endpoints

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/endpoint"
)

// Shards says which clusters this replica works for.
type Shards interface {
	// Enter begins work on a cluster; ok is false where that is another replica's. It is nobody else's before leave
	// was called.
	Enter(cluster string) (leave func(), ok bool)
}

// Links are the connections of this replica.
type Links interface {
	Get(cluster string) (*connection.Connection, error)
}

// Catalog is told of clusters. See endpoint.Catalog, which is one. None of it waits.
type Catalog interface {
	Follow(ctx context.Context, cluster endpoint.Cluster) error
	Suspend(cluster endpoint.Cluster, why endpoint.Gap)
	Bar(cluster endpoint.Cluster, why endpoint.Gap)
	Doubt(cluster string, why endpoint.Gap)
	Forget(cluster string) (ended <-chan struct{})
}

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client   client.Client
	Fleet    Links
	Catalogs []Catalog
	// Shards says which clusters are this replica's. Nil: all of them.
	Shards Shards
	// Own are the addresses of the local cluster, which no other may claim.
	Own *Hosts
	// Life is for how long clusters are followed.
	Life context.Context //nolint:containedctx // a feed outlives the reconcile that begins it

	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]

	mu    sync.Mutex
	links map[string]link // by cluster
}

// link is the connection that a cluster is followed over, with the one configuration that stands for it.
type link struct {
	conn   *connection.Connection
	config *rest.Config
}

// Reconcile lets the catalog follow a cluster, or not.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if r.Shards != nil {
		leave, ok := r.Shards.Enter(req.Name)
		if !ok {
			return reconcile.Result{}, nil // another replica's; if it becomes ours, we are told
		}
		defer leave()
	}
	rc := &v1alpha1.RemoteCluster{}
	err := r.Client.Get(ctx, req.NamespacedName, rc)
	if apierrors.IsNotFound(err) || err == nil && !rc.DeletionTimestamp.IsZero() {
		r.forget(req.Name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading RemoteCluster %q: %w", req.Name, err)
	}
	config, id := r.connected(rc)
	p := decide(rc, id, r.Own)
	p.cluster.Config = config
	return reconcile.Result{}, r.tell(p)
}

func (r *Reconciler) tell(p plan) error {
	var failed []error
	for _, c := range r.Catalogs {
		switch {
		case p.barred:
			c.Bar(p.cluster, p.why)
		case p.why.Reason != "":
			c.Suspend(p.cluster, p.why)
		default:
			failed = append(failed, c.Follow(r.Life, p.cluster))
		}
	}
	return errors.Join(failed...)
}

// connected returns the configuration of the connection to a cluster, and which cluster that has found. They are empty
// where there is none, or it has found none yet.
func (r *Reconciler) connected(rc *v1alpha1.RemoteCluster) (config *rest.Config, id string) {
	conn, err := r.Fleet.Get(rc.Name)
	if err != nil {
		return nil, ""
	}
	if id = conn.State().ClusterID; id == "" {
		return nil, ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.links[rc.Name]; ok && l.conn == conn {
		return l.config, id
	}
	if r.links == nil {
		r.links = map[string]link{}
	}
	l := link{conn, conn.Config()}
	r.links[rc.Name] = l
	return l.config, id
}

func (r *Reconciler) forget(cluster string) (ended <-chan struct{}) {
	r.mu.Lock()
	delete(r.links, cluster)
	r.mu.Unlock()
	var ending []<-chan struct{}
	for _, c := range r.Catalogs {
		ending = append(ending, c.Forget(cluster))
	}
	all := make(chan struct{})
	go func() { // ends with what they follow it by
		defer close(all)
		for _, ended := range ending {
			<-ended
		}
	}()
	return all
}

// Enqueue asks for a reconcile of a cluster, which is this replica's from now on, say. It does not wait.
func (r *Reconciler) Enqueue(cluster string) {
	if queue := r.queue.Load(); queue != nil { // else the controller is not running yet, and will look at all when it does
		(*queue).Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: cluster}})
	}
}

// Disown ends what this replica has of a cluster that is another one's from now on. What it returns is closed when that
// has ended. It does not wait.
func (r *Reconciler) Disown(cluster string) (ended <-chan struct{}) { return r.forget(cluster) }

// Observe is told of each probe of a connection: whether it works, and that it may have found which cluster it is.
func (r *Reconciler) Observe(cluster string, p connection.Probe) {
	for _, c := range r.Catalogs {
		c.Doubt(cluster, doubt(p))
	}
	conn, err := r.Fleet.Get(cluster)
	if err != nil {
		return
	}
	r.mu.Lock()
	l, followed := r.links[cluster]
	r.mu.Unlock()
	if !followed || l.conn != conn {
		r.Enqueue(cluster)
	}
}
