package manager

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
	"github.com/hawser-io/hawser/internal/controller/endpointset"
	"github.com/hawser-io/hawser/internal/controller/federatednetworkpolicy"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
	"github.com/hawser-io/hawser/internal/controller/remotecluster"
	"github.com/hawser-io/hawser/internal/guard"
)

// federation is what a manager makes of endpoints: it follows them, and keeps in step what objects ask for. Nil, it does
// nothing.
type federation struct {
	options   Options
	manager   ctrl.Manager
	catalog   *endpoint.Catalog
	follow    *endpoints.Reconciler
	objects   *publish.Objects
	publisher *publish.Publisher
	services  *federatedservice.Controller
}

// setUpEndpoints registers what every replica does. It returns nil where endpoints are switched off. Whoever calls it
// ends, with end, what has begun in the clusters.
func (o Options) setUpEndpoints(ctx context.Context, mgr ctrl.Manager, replica *shard.Replica, links *fleet.Links, clusters *remotecluster.Reconciler) (f *federation, end func(), err error) {
	if !o.Endpoints {
		return nil, func() {}, nil
	}
	f = &federation{options: o, manager: mgr, catalog: endpoint.NewCatalog(endpoint.CatalogOptions{Log: o.Log.WithName("endpoints")})}
	if err := f.setUpServices(replica); err != nil {
		return nil, nil, err
	}
	if err := f.setUpPublisher(replica); err != nil {
		return nil, nil, err
	}
	f.follow = &endpoints.Reconciler{Client: mgr.GetClient(), Fleet: links, Catalogs: []endpoints.Catalog{f.catalog, f.services.Clusters()}, Life: ctx}
	if replica != nil {
		f.follow.Shards = replica
	}
	if err := f.follow.SetupWithManager(mgr); err != nil {
		return nil, nil, fmt.Errorf("setting up the controller of endpoints: %w", err)
	}
	if err := addAll(mgr, manager.RunnableFunc(func(ctx context.Context) error {
		endpoints.Review(ctx, f.catalog, clock.RealClock{})
		return nil
	})); err != nil {
		return nil, nil, err
	}
	if err := o.setUpQueries(mgr, f); err != nil {
		return nil, nil, err
	}
	observe := clusters.Observe
	clusters.Observe = func(cluster string, p connection.Probe) {
		observe(cluster, p)
		f.follow.Observe(cluster, p)
	}
	clusters.Changed = f.follow.Enqueue
	if o.MetricsAddr != "0" {
		if err := metrics.Registry.Register(f.catalog); err != nil {
			return nil, nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return f, func() {
		metrics.Registry.Unregister(f.catalog)
		f.catalog.Close()
		f.services.Clusters().Close()
	}, nil
}

// setUpPublisher registers what writes the objects of this replica's clusters, and what tells it of sets and policies.
func (f *federation) setUpPublisher(replica *shard.Replica) (err error) {
	mgr, o := f.manager, publish.Options{Catalog: f.catalog, Log: f.options.Log.WithName("publish")}
	if f.objects, err = publish.NewObjects(mgr.GetConfig(), clock.RealClock{}, o.Log); err != nil {
		return fmt.Errorf("setting up what is made of endpoints: %w", err)
	}
	o.Objects = f.objects
	if replica != nil {
		o.Shards = replica
	}
	if f.publisher, err = publish.New(o); err != nil {
		return fmt.Errorf("setting up what is made of endpoints: %w", err)
	}
	authors := guard.Federation(mgr.GetAPIReader(), clock.RealClock{})
	sets := &endpointset.Reconciler{Client: mgr.GetClient(), Publisher: f.publisher, Objects: f.objects, Guard: authors}
	policies := &federatednetworkpolicy.Reconciler{Client: mgr.GetClient(), Publisher: f.publisher, Guard: authors}
	if err := sets.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of EndpointSets: %w", err)
	}
	if err := policies.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of FederatedNetworkPolicies: %w", err)
	}
	return addAll(mgr, f.objects, f.publisher)
}

// setUpServices registers what gives Services the endpoints of other clusters.
func (f *federation) setUpServices(replica *shard.Replica) (err error) {
	mgr := f.manager
	f.services, err = federatedservice.New(federatedservice.Options{
		Local: f.options.ClusterName, Config: mgr.GetConfig(), Events: mgr.GetEventRecorder("hawser"), Log: f.options.Log.WithName("services"),
		Known: func(ctx context.Context, cluster string) (bool, error) {
			return known(ctx, cluster, mgr.GetClient(), mgr.GetAPIReader())
		},
	})
	if err != nil {
		return fmt.Errorf("setting up the controller of federated Services: %w", err)
	}
	if replica != nil {
		leader := rest.CopyConfig(f.options.Config)
		leader.QPS, leader.Burst, leader.UserAgent = localQPS, localBurst, f.options.userAgent()
		leader.Wrap(replica.WrapLeader)
		if err := f.services.Share(replica, leader); err != nil {
			return fmt.Errorf("setting up the controller of federated Services: %w", err)
		}
	}
	return addAll(mgr, f.services)
}

// known says whether there is a RemoteCluster. That there is none only the API server is believed: a cache that is late misses
// one that was just made, and what was made of its endpoints would be deleted.
func known(ctx context.Context, name string, cached, live client.Reader) (bool, error) {
	err := cached.Get(ctx, client.ObjectKey{Name: name}, &v1alpha1.RemoteCluster{})
	if !apierrors.IsNotFound(err) {
		return err == nil, err
	}
	var found v1alpha1.RemoteClusterList // the manager may list them, and not get one
	err = live.List(ctx, &found, client.MatchingFields{"metadata.name": name})
	return len(found.Items) > 0, err
}

func addAll(mgr ctrl.Manager, all ...manager.Runnable) error {
	for _, r := range all {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("setting up what is made of endpoints: %w", err)
		}
	}
	return nil
}

// setUpLeader registers what there is one of, however many replicas run, with a manager that may be one for the leader.
func (f *federation) setUpLeader(mgr ctrl.Manager) (err error) {
	if f == nil {
		return nil
	}
	objects := f.objects
	if mgr != f.manager { // what the leader writes goes another way, which ends with its term
		if objects, err = publish.NewObjects(mgr.GetConfig(), clock.RealClock{}, f.options.Log.WithName("publish")); err != nil {
			return fmt.Errorf("setting up what is made of endpoints: %w", err)
		}
		if err := addAll(mgr, objects); err != nil {
			return err
		}
	}
	leader, err := publish.NewLeader(publish.LeaderOptions{Objects: objects})
	if err != nil {
		return fmt.Errorf("setting up what is made of endpoints: %w", err)
	}
	authors, local := guard.Federation(mgr.GetAPIReader(), clock.RealClock{}), f.options.ClusterName
	sets := &endpointset.LeaderReconciler{Client: mgr.GetClient(), Leader: leader, Objects: objects, Local: local, Followed: f.catalog, Guard: authors}
	policies := &federatednetworkpolicy.LeaderReconciler{Client: mgr.GetClient(), Leader: leader, Objects: objects, Local: local, Followed: f.catalog, Guard: authors}
	if err := sets.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of EndpointSets: %w", err)
	}
	if err := policies.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of FederatedNetworkPolicies: %w", err)
	}
	return nil
}

// own is told of a cluster that is this replica's from now on. It does not wait.
func (f *federation) own(cluster string) {
	if f != nil {
		f.follow.Enqueue(cluster)
		f.publisher.Own(cluster)
		f.services.Own(cluster)
	}
}

// orphaned is told of a name that is no cluster's any more, where this replica leads; with the empty name, that it does.
// It does not wait.
func (f *federation) orphaned(cluster string) {
	if f != nil {
		f.services.Orphaned(cluster)
	}
}

// disown ends what is done with the endpoints of a cluster that another replica is to follow. What it returns is closed
// when that has ended. It does not wait.
func (f *federation) disown(cluster string) (ended <-chan struct{}) {
	if f == nil {
		return allOf()
	}
	return allOf(f.publisher.Disown(cluster), f.follow.Disown(cluster))
}

// allOf is closed when all of them are.
func allOf(ending ...<-chan struct{}) <-chan struct{} {
	all := make(chan struct{})
	go func() { // ends with them
		defer close(all)
		for _, ended := range ending {
			<-ended
		}
	}()
	return all
}
