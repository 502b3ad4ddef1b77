package manager

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/controller/accessrequest"
	"github.com/hawser-io/hawser/internal/controller/remotecluster"
	"github.com/hawser-io/hawser/internal/self"
)

// Shards say whether, and as whom, this manager holds a part of the connections.
type Shards struct {
	Enabled bool
	// Replica is the name of this manager among its like. Empty means POD_NAME, or else the host's name.
	Replica string
	// PodUID lets its Lease go with its Pod. Empty means POD_UID; if that is empty too, the Lease has no owner.
	PodUID string
	// LeaseDuration is how long a replica may be silent before the others take its clusters over. Zero means the
	// default of package shard.
	LeaseDuration time.Duration
}

func (s *Shards) complete() error {
	if s.Replica == "" {
		s.Replica = os.Getenv("POD_NAME")
	}
	if s.Replica == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("finding a name for this replica: %w: set POD_NAME", err)
		}
		s.Replica = host
	}
	if s.PodUID == "" {
		s.PodUID = os.Getenv("POD_UID")
	}
	return nil
}

// newReplica makes this manager's part in dividing the clusters. It is nil where one manager holds them all.
func (o *Options) newReplica(ctx context.Context) (*shard.Replica, error) {
	if !o.Shards.Enabled {
		return nil, nil
	}
	if err := o.Shards.complete(); err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the local cluster: %w", err)
	}
	group, err := self.Owner(ctx, kube, o.Namespace)
	if err != nil {
		return nil, err
	}
	var pod *metav1.OwnerReference
	if o.Shards.PodUID != "" {
		pod = &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: o.Shards.Replica, UID: types.UID(o.Shards.PodUID)}
	}
	config := rest.CopyConfig(o.Config)
	config.UserAgent = o.userAgent()
	return shard.New(config, shard.Options{
		Namespace: o.Namespace, Replica: o.Shards.Replica, Owner: pod, GroupOwner: group,
		LeaderLease: LeaderLease, // so that none of those who hold everything act at the same time
		Times:       shard.Times{Duration: o.Shards.LeaseDuration},
		Log:         o.Log.WithName("shards"),
	})
}

// divide says what the controllers work for: everything, or with a replica what that owns.
func (o Options) divide(mgr ctrl.Manager, replica *shard.Replica, inAWS *AWS, clusters *remotecluster.Reconciler, requests *accessrequest.Reconciler, federated *federation) error {
	if replica == nil {
		return o.setUpLeader(mgr, inAWS, federated)
	}
	clusters.Shards, clusters.Connection.Wrap, requests.Shards = replica, replica.Wrap, replica
	return o.share(mgr, replica, inAWS, clusters, requests, federated)
}

// share lets the replica say which clusters the controllers work for, and what there is one of run with the leader.
func (o Options) share(mgr ctrl.Manager, replica *shard.Replica, inAWS *AWS, clusters *remotecluster.Reconciler, requests *accessrequest.Reconciler, federated *federation) error {
	replica.Handle(shard.Handler{
		Gained: func(cluster string) {
			clusters.Own(cluster)
			requests.Own(cluster)
			federated.own(cluster)
		},
		End: func(cluster string) <-chan struct{} {
			requests.Disown(cluster)
			return allOf(federated.disown(cluster), clusters.Disown(cluster))
		},
		Orphaned: func(cluster string) {
			clusters.Own(cluster)
			requests.Own(cluster)
			federated.orphaned(cluster)
		},
	})
	replica.Lead(func(ctx context.Context) error { return o.lead(ctx, replica, inAWS, federated) })
	if o.MetricsAddr != "0" {
		if err := metrics.Registry.Register(replica); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	if err := mgr.Add(&sharded{replica, mgr}); err != nil {
		return fmt.Errorf("dividing the clusters: %w", err)
	}
	return nil
}

// lead runs what there is one of, in a manager of its own, which ends when another replica leads.
func (o Options) lead(ctx context.Context, replica *shard.Replica, inAWS *AWS, federated *federation) error {
	o.MetricsAddr, o.ProbeAddr, o.LeaderElect = "0", "0", false
	o.Config = rest.CopyConfig(o.Config)
	o.Config.Wrap(replica.WrapLeader)
	mgr, err := newManager(o, nil)
	if err != nil {
		return err
	}
	if err := o.setUpLeader(mgr, inAWS, federated); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// sharded is a replica that is told which clusters there are.
type sharded struct {
	replica *shard.Replica
	manager ctrl.Manager
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*sharded) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (s *sharded) Start(ctx context.Context) error {
	defer metrics.Registry.Unregister(s.replica)
	informer, err := s.manager.GetCache().GetInformer(ctx, &v1alpha1.RemoteCluster{})
	if err != nil {
		return fmt.Errorf("watching RemoteClusters: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if rc, ok := o.(client.Object); ok {
				s.replica.Know(rc.GetName())
			}
		},
		DeleteFunc: func(o any) {
			if name, err := toolscache.DeletionHandlingObjectToName(o); err == nil {
				s.replica.Forget(name.Name)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching RemoteClusters: %w", err)
	}
	go func() { // ends when all are known, or with ctx
		if toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			s.replica.Synced()
		}
	}()
	return s.replica.Start(ctx)
}
