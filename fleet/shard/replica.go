package shard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// DefaultName is the default of Options.Name.
const DefaultName = "hawser-shard"

// ConfigMapName is the ConfigMap in which a group of replicas of that name keeps who owns what.
func ConfigMapName(name string) string { return name + "s" }

// Options of a replica. Namespace and Replica are required.
type Options struct {
	// Namespace of the Leases and the ConfigMap.
	Namespace string
	// Replica is the name of this one among its like: that of its pod. Its Lease is named Name-Replica. Nothing is
	// changed about it, so that two that differ have two Leases.
	Replica string
	// Owner of the replica's Lease, as its Pod, with which it goes. May be nil.
	Owner *metav1.OwnerReference
	// GroupOwner is the owner of the ConfigMap. May be nil.
	GroupOwner *metav1.OwnerReference
	// Name of the group of replicas, by default DefaultName.
	Name string
	// LeaderLease is by which the leader is elected, by default the name of the ConfigMap.
	LeaderLease string
	// Times must be the same for all replicas.
	Times Times
	Log   logr.Logger
	// Clock is by default the real one.
	Clock clock.WithTickerAndDelayedExecution
}

func (o *Options) complete() error {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.LeaderLease == "" {
		o.LeaderLease = ConfigMapName(o.Name)
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Namespace == "" {
		return errors.New("the namespace of the Leases is missing")
	}
	// The ConfigMap has a key for each replica, with a UID behind its name.
	const longest = 200
	if problems := validation.IsDNS1123Subdomain(o.Replica); len(problems) > 0 || len(o.Replica) > longest {
		return fmt.Errorf("%q cannot be the name of a replica: it must be that of a pod, of at most %d characters", o.Replica, longest)
	}
	if problems := validation.IsDNS1123Label(o.Name); len(problems) > 0 {
		return fmt.Errorf("%q cannot be the name of a group of replicas: %s", o.Name, strings.Join(problems, ", "))
	}
	return o.Times.complete()
}

// Replica is this process's part in dividing clusters among several. It is a controller-runtime Runnable that needs
// no leader election.
type Replica struct {
	options Options
	// watching has no deadline, as watches must not; electing has one for every request.
	watching, electing kubernetes.Interface
	lease              *lease
	work               *work
	names              *names
	follow             *follower
	peers              *observer
	fence, leadFence   *Fence
	assign             *coordinator

	renewNow chan struct{} // holds one signal
	lead     func(ctx context.Context) error
	leading  atomic.Bool
	renewed  atomic.Pointer[time.Time]
}

// New makes a replica that does nothing until Start. cfg reaches the local cluster, and must not be fenced.
func New(cfg *rest.Config, o Options) (*Replica, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("making a replica: %w", err)
	}
	watching, electing, err := clients(cfg, o.Times.Call)
	if err != nil {
		return nil, fmt.Errorf("making a replica: %w", err)
	}
	r := &Replica{options: o, watching: watching, electing: electing, work: newWork(), renewNow: make(chan struct{}, 1)}
	r.fence = newFence(o.Clock, o.Times.Duration, o.Times.Margin)
	r.leadFence = newFence(o.Clock, o.Times.Leader, o.Times.Leader/5)
	wake := make(chan struct{}, 1)
	rouse := func() { signal(wake) }
	r.names = newNames(rouse)
	r.follow = newFollower(r.work, o.Log, func() { signal(r.renewNow) })
	r.peers = &observer{
		clock: o.Clock, duration: o.Times.Duration, changed: rouse, sighted: map[types.UID]*sighting{},
		replica: func(lease string) string { return strings.TrimPrefix(lease, o.Name+"-") },
	}
	r.assign = &coordinator{
		client: electing, namespace: o.Namespace, configMap: ConfigMapName(o.Name), selector: groupLabel + "=" + o.Name, times: o.Times, clock: o.Clock, log: o.Log,
		peers: r.peers, names: r.names, wake: wake,
	}
	if o.GroupOwner != nil {
		r.assign.owners = []metav1.OwnerReference{*o.GroupOwner}
	}
	r.lease = r.newLease()
	return r, nil
}

// clients are two: one for watches, and one of which each request has a deadline.
func clients(cfg *rest.Config, deadline time.Duration) (watching, electing kubernetes.Interface, err error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 50, 100 // what keeps the Lease must not wait its turn
	if watching, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, nil, fmt.Errorf("connecting to the local cluster: %w", err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = deadline
	if electing, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, nil, fmt.Errorf("connecting to the local cluster: %w", err)
	}
	return watching, electing, nil
}

func (r *Replica) newLease() *lease {
	o := r.options
	seconds := int32(o.Times.Duration / time.Second) //nolint:gosec // a few seconds
	object := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Name + "-" + o.Replica, Namespace: o.Namespace,
			Labels: map[string]string{groupLabel: o.Name},
		},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds},
	}
	if o.Owner != nil {
		object.OwnerReferences = []metav1.OwnerReference{*o.Owner}
	}
	return &lease{
		leases: r.electing.CoordinationV1().Leases(o.Namespace), clock: o.Clock, call: o.Times.Call,
		object: object, holder: o.Replica + "_" + string(uuid.NewUUID()),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is on its way
	}
}

// Name is that of this replica.
func (r *Replica) Name() string { return r.options.Replica }

// Handle lets h do the work for clusters. It is called before Start.
func (r *Replica) Handle(h Handler) {
	r.follow.handlers = append(r.follow.handlers, h)
}

// Lead sets what runs for as long as this replica is the leader. It returns when ctx ends; an error before that is
// the end of the replica. It is called before Start.
func (r *Replica) Lead(run func(ctx context.Context) error) { r.lead = run }

// Know says that there is a cluster. To say it again costs nothing.
func (r *Replica) Know(cluster string) {
	if cluster != everything {
		r.names.know(cluster)
	}
}

// Forget says that there is a cluster no more.
func (r *Replica) Forget(cluster string) {
	if r.names.forget(cluster) && r.leading.Load() {
		r.follow.orphaned(cluster)
	}
}

// Synced says that every cluster that there is now is known. Before that, nothing is assigned by this replica.
func (r *Replica) Synced() { r.names.sync() }

// Owns reports whether this replica owns a cluster.
func (r *Replica) Owns(cluster string) bool { return r.work.owns(cluster) }

// Leads reports whether this replica is the leader.
func (r *Replica) Leads() bool { return r.leading.Load() }

// Enter begins work on a cluster; ok is false where that is another replica's. A cluster is taken from a replica only
// after leave was called. What is to be done for a name that is no cluster's is the leader's: see Leads.
func (r *Replica) Enter(cluster string) (leave func(), ok bool) { return r.work.enter(cluster) }

// Wrap returns rt with this replica's fence around what writes; see Fence.Wrap. It is for clients of the local cluster as of
// remote ones.
func (r *Replica) Wrap(rt http.RoundTripper) http.RoundTripper { return r.fence.Wrap(rt) }

// WrapLeader is Wrap for what only the leader writes.
func (r *Replica) WrapLeader(rt http.RoundTripper) http.RoundTripper {
	return r.fence.Wrap(r.leadFence.Wrap(rt))
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*Replica) NeedLeaderElection() bool { return false }

// Start takes part until ctx ends, and then leaves: it ends what it does, gives its clusters back, and deletes its Lease.
// A leader gives them to others before somebody else can become it.
func (r *Replica) Start(ctx context.Context) error {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if err := r.watch(ctx, live, &running); err != nil {
		return err
	}
	holding, letGo := context.WithCancel(live)
	defer letGo()
	held := make(chan struct{})
	go func() { // ends with letGo
		defer close(held)
		r.hold(holding)
	}()
	e := &election{replica: r, failed: make(chan error, 1)}
	electing, resign := context.WithCancel(live)
	defer resign()
	elected := make(chan struct{})
	go func() { // ends with resign
		defer close(elected)
		e.run(electing)
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-e.failed:
	}
	r.leave(letGo, held)
	e.endTerm()
	resign()
	<-elected
	return err
}
