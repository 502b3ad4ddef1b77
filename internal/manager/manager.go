// Package manager wires the local side together: one controller-runtime manager
// with its fleet of connections, the controllers that feed it, and the metrics
// that tell of it. It decides nothing itself.
package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/controller/remotecluster"
	"github.com/hawser-io/hawser/internal/crds"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/version"
	"github.com/hawser-io/hawser/member"
)

// LeaderLease is the Lease by which one manager of several acts.
const LeaderLease = "hawser-manager"

// Local clusters answer many small requests of ours: a status and a Secret for each cluster now and then, and three for
// each of those that are taken over from another replica.
const (
	localQPS   = 400
	localBurst = 800
	workers    = 4
)

// Options of a manager.
type Options struct {
	// ClusterName is the name of the local cluster. Required.
	ClusterName string
	// DefaultCluster is the one that answers what must have one answer. Empty means the local
	// cluster, or none if that is not in the fleet.
	DefaultCluster string
	// ManagementOnly leaves the local cluster out of the fleet.
	ManagementOnly bool
	// SelfDeclared says that somebody else makes the RemoteCluster of the local cluster, and removes it, as a
	// Helm release does. What the manager had made first, Helm would refuse to take.
	SelfDeclared bool
	// Namespace that the manager runs in and keeps credentials in.
	Namespace string
	// LeaderElect lets several managers stand by for one.
	LeaderElect bool
	// Shards divide the clusters among all managers that have them, instead of letting one hold them all.
	Shards Shards
	// MetricsAddr and ProbeAddr are where /metrics and /healthz, /readyz are served; "0" is nowhere.
	MetricsAddr, ProbeAddr string
	// ProbeInterval of connections. Zero means connection.DefaultProbeInterval.
	ProbeInterval time.Duration
	// ClusterAPI is the namespace of Cluster API's provider for AWS, whose clusters are connected to by
	// themselves. Empty: they are not.
	ClusterAPI string
	// Profiles are what others read of the clusters.
	Profiles Profiles
	// TokenDir is where the pod's projected tokens are, for auth.type oidc. Empty: nowhere.
	TokenDir string
	// SPIFFESocket is the address of the Workload API. Empty means SPIFFE_ENDPOINT_SOCKET.
	SPIFFESocket string
	// ExecProviders is the file that says which plugins auth.type exec may select. Empty: none.
	ExecProviders string
	// Endpoints lets the manager follow the endpoints of all clusters, and make of them what objects ask for.
	Endpoints bool
	// QueryAddr is where questions about endpoints are answered, an address of loopback. Empty or "0": nowhere.
	QueryAddr string
	// UpgradeCRDs brings the CustomResourceDefinitions to this version before anything else is done.
	UpgradeCRDs bool
	// Config reaches the local cluster.
	Config *rest.Config
	Log    logr.Logger
	// Started is handed the fleet before the first connection is made. May be nil.
	Started func(*fleet.Links)
}

func (o *Options) complete() error {
	if err := member.ValidateLocal(o.ClusterName); err != nil {
		return err
	}
	if o.Namespace == "" {
		o.Namespace = v1alpha1.Namespace
	}
	if o.DefaultCluster == "" && !o.ManagementOnly {
		o.DefaultCluster = o.ClusterName
	}
	if o.ManagementOnly && o.DefaultCluster == o.ClusterName {
		return errors.New("--default-cluster cannot be the local cluster where --management-only keeps that out of the fleet")
	}
	if o.Shards.Enabled && !o.LeaderElect {
		return errors.New("--shards cannot do without --leader-elect: one of the replicas has to say which cluster is whose")
	}
	if o.ExecProviders != "" {
		if _, err := exec.ReadProviders(o.ExecProviders); err != nil {
			return fmt.Errorf("--exec-providers: %w", err)
		}
	}
	if err := checkQueryAddr(o.QueryAddr); err != nil {
		return err
	}
	return checkTokenDir(o.TokenDir)
}

// Run runs a manager until ctx ends.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	ctrl.SetLogger(o.Log) // for what controller-runtime logs outside of the manager
	if o.UpgradeCRDs {
		if err := crds.Start(ctx, o.Config, o.Log, crd.All()...); err != nil {
			return err
		}
	}
	replica, err := o.newReplica(ctx)
	if err != nil {
		return err
	}
	mgr, err := newManager(o, replica)
	if err != nil {
		return err
	}
	if err := refuseOtherName(ctx, mgr.GetAPIReader(), o); err != nil {
		return err
	}
	links := fleet.NewLinks(ctx)
	defer links.Close()
	if o.Started != nil {
		o.Started(links)
	}
	clientset, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("making a client of the local cluster: %w", err)
	}
	probes := newProbeMetrics()
	secrets := clientset.CoreV1().Secrets(o.Namespace)
	inAWS, err := NewAWS(ctx, mgr.GetClient(), mgr.GetCache(), secrets, o.ClusterAPI, clock.RealClock{})
	if err != nil {
		return err
	}
	sources := Sources{
		Knows:  idsOf(links),
		Client: clientset, Config: mgr.GetConfig(), Namespace: o.Namespace, Clock: clock.RealClock{}, AWS: inAWS, Objects: mgr.GetClient(),
		TokenDir: o.TokenDir, SPIFFESocket: o.SPIFFESocket, ExecProviders: o.ExecProviders,
		Keeps: true,
	}
	reconciler := &remotecluster.Reconciler{
		Client:     mgr.GetClient(),
		Fleet:      links,
		Source:     sources.New,
		Secrets:    secrets,
		Events:     mgr.GetEventRecorder("hawser"),
		Local:      o.ClusterName,
		Connection: connection.Options{ProbeInterval: o.ProbeInterval, UserAgent: o.userAgent()},
		Observe:    probes.observe,
	}
	if err := reconciler.SetupWithManager(mgr, o.Namespace, workers); err != nil {
		return fmt.Errorf("setting up the controller of RemoteClusters: %w", err)
	}
	requests, endRequests, err := setUpRequests(ctx, mgr, links, o)
	if err != nil {
		return err
	}
	defer endRequests()
	federated, endEndpoints, err := o.setUpEndpoints(ctx, mgr, replica, links, reconciler)
	if err != nil {
		return err
	}
	defer endEndpoints()
	if err := o.divide(mgr, replica, inAWS, reconciler, requests, federated); err != nil {
		return err
	}
	endMetrics, err := o.register(&collector{links, probes})
	if err != nil {
		return err
	}
	defer endMetrics()
	return mgr.Start(ctx)
}

// idsOf tells the id of a cluster, as its connection has found it; "" if it has not.
func idsOf(links *fleet.Links) func(cluster string) string {
	return func(cluster string) string {
		conn, err := links.Get(cluster)
		if err != nil {
			return ""
		}
		return conn.State().ClusterID
	}
}

// register registers metrics where they are served, until end is called.
func (o Options) register(c *collector) (end func(), err error) {
	if o.MetricsAddr == "0" {
		return func() {}, nil
	}
	if err := metrics.Registry.Register(c); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return func() { metrics.Registry.Unregister(c) }, nil
}

// setUpLeader registers what there is one of, however many replicas run.
func (o Options) setUpLeader(mgr ctrl.Manager, inAWS *AWS, federated *federation) error {
	if err := inAWS.setUp(mgr, o); err != nil {
		return err
	}
	if err := o.Profiles.setUp(mgr); err != nil {
		return err
	}
	if err := federated.setUpLeader(mgr); err != nil {
		return err
	}
	clientset, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("making a client of the local cluster: %w", err)
	}
	if err := mgr.Add(&presence{client: mgr.GetClient(), kube: clientset, options: o}); err != nil {
		return fmt.Errorf("setting up the local cluster: %w", err)
	}
	return nil
}

// userAgent is what API servers log of our requests.
func (o Options) userAgent() string {
	if o.Shards.Enabled {
		return fmt.Sprintf("hawser/%s (%s)", version.String(), o.Shards.Replica)
	}
	return "hawser/" + version.String()
}

// newManager makes the manager, which is the one that acts of several or, with a replica, one of several.
func newManager(o Options, replica *shard.Replica) (ctrl.Manager, error) {
	scheme, err := kinds.Scheme()
	if err != nil {
		return nil, fmt.Errorf("making the scheme: %w", err)
	}
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = localQPS, localBurst
	config.UserAgent = o.userAgent()
	if replica != nil {
		config.Wrap(replica.Wrap)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Logger: o.Log,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{o.Namespace: {}}},
		}},
		// Objects that are written at once after they are read are read from the API server.
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}, &corev1.Namespace{}}}},
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:        o.ProbeAddr,
		LeaderElection:                o.LeaderElect && replica == nil,
		LeaderElectionID:              LeaderLease,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the local cluster: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("setting up health checks: %w", err)
	}
	return mgr, nil
}
