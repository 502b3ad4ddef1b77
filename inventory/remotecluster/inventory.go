package remotecluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
	"github.com/hawser-io/hawser/member"
)

// Role is the ClusterRole that the inventory needs, as YAML.
//
//go:embed role.yaml
var Role []byte

// Inventory tells of the clusters that RemoteClusters declare, to a program that is not Hawser. The objects
// say where the clusters are and which they are; who the program is there, it says itself: the credentials of
// Hawser's manager are the manager's alone, which renews and keeps them.
//
//   - A RemoteCluster is a cluster; its name is the object's. Labels of the object are Properties of it, and
//     so are the cluster's own id and its ClusterSet, as cluster.clusterset.k8s.io and clusterset.k8s.io, once
//     Hawser's manager has found them.
//   - The cluster is pinned: to spec.clusterID, or else to the first that answered Hawser's manager. The
//     program's identity therefore has to be allowed to get the namespace kube-system there.
//   - One that is disabled is gone, as one that is deleted. While it is being deleted, and something still
//     holds it, it is there: its finalizers may have work to do in the cluster.
//   - One that cannot be used, or that Credentials has an error for, is a Fault. What was known of the
//     cluster stands, and so does its running connection.
type Inventory struct {
	// Config reaches the cluster that holds the RemoteClusters.
	Config *rest.Config
	// Credentials says as whom the program goes to a cluster: where its credentials come from, and a version
	// that changes when that source has to be replaced. It is called whenever the object has changed and must not
	// wait for anything. Where the object names no server (auth.type kubeconfig and inCluster), the credentials
	// have to bring their Endpoint. What it is handed belongs to it.
	//
	// Without it every RemoteCluster is a Fault.
	Credentials func(rc *v1alpha1.RemoteCluster) (source credential.Source, version string, err error)
	// Checks are what the program's identity must be allowed to do in each cluster, for the condition Authorized.
	// What the objects say of capabilities is about Hawser's own identity, and not asked here.
	Checks []authorizationv1.ResourceAttributes
	// Clock for waits between attempts. Nil means the real one.
	Clock clock.WithTicker
}

var errNoCredentials = errors.New("Inventory.Credentials is nil: set it to say as whom your program goes to this cluster. " +
	"The credentials of Hawser's manager are not handed out; see docs/library.md")

// String is what the inventory is called among others.
func (i *Inventory) String() string { return "RemoteClusters" }

// Run implements inventory.Inventory. While the objects cannot be read, what was told stands, and a Fault
// with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	claims := inventory.NewClaims(to)
	follower := objects.Follower[v1alpha1.RemoteCluster]{
		Config:   i.Config,
		Resource: v1alpha1.GroupVersion.WithResource("remoteclusters"),
		Clock:    i.Clock,
	}
	return follower.Run(ctx, objects.Handler[v1alpha1.RemoteCluster]{
		Set: func(key types.NamespacedName, rc *v1alpha1.RemoteCluster) {
			if rc.Spec.Disabled {
				claims.Remove(key.Name, key.Name)
				return
			}
			cluster, err := i.cluster(rc)
			if err == nil {
				claims.Set(key.Name, cluster)
			} else {
				err = fmt.Errorf("reading RemoteCluster %q: %w", key.Name, err)
			}
			claims.Fault(key.Name, key.Name, err)
		},
		Delete:    func(key types.NamespacedName) { claims.Remove(key.Name, key.Name) },
		Malformed: func(key types.NamespacedName, err error) { claims.Fault(key.Name, key.Name, err) },
		Synced:    to.Synced,
		Fault:     func(err error) { to.Fault("", err) },
	})
}

// cluster is what an object says, with the credentials that are ours.
func (i *Inventory) cluster(rc *v1alpha1.RemoteCluster) (inventory.Cluster, error) {
	spec, err := Spec(rc, "") // without the local cluster's name: the member install is Hawser's, and not asked for
	if err != nil {
		return inventory.Cluster{}, err
	}
	spec.AuthType, spec.Checks = "", i.Checks // those of the object are about Hawser's identity
	if i.Credentials == nil {
		return inventory.Cluster{}, errNoCredentials
	}
	source, version, err := i.Credentials(rc.DeepCopy())
	if err == nil && source == nil {
		err = errors.New("it returned neither a source nor an error")
	}
	if err != nil {
		return inventory.Cluster{}, fmt.Errorf("asking Inventory.Credentials: %w", err)
	}
	return inventory.Cluster{Spec: spec, Source: source, Version: version, Properties: properties(rc)}, nil
}

func properties(rc *v1alpha1.RemoteCluster) map[string]string {
	known := maps.Clone(rc.Labels)
	for name, value := range map[string]string{
		member.ClusterPropertyName:    rc.Status.ClusterProperty,
		member.ClusterSetPropertyName: rc.Status.ClusterSet,
	} {
		if value == "" {
			continue
		}
		if known == nil {
			known = map[string]string{}
		}
		known[name] = value
	}
	return known
}
