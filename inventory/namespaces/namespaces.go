// Package namespaces is the inventory of the namespaces of one cluster, each of which stands for a cluster of
// its own: to try what is written for a fleet on a single cluster, or where tenants have namespaces.
//
//   - A namespace that the selector takes is a cluster; its name is the namespace's, which is
//     inventory.Cluster.Namespace as well. All of them are reached with the same credential.
//   - The credential is read anew from Config's files, so a token that is renewed there is picked up; no Version
//     changes. There is nothing in a namespace that could be malformed.
//   - A namespace that the selector no longer takes, or that is gone, is a cluster that is gone. One that is being
//     deleted is there until it is gone, so that controllers can clean up in it. A namespace cannot be renamed.
//   - The labels of a namespace are Properties of its cluster.
package namespaces

import (
	"context"
	_ "embed"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/incluster"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
)

// Role is the ClusterRole that the inventory needs, as YAML.
//
//go:embed role.yaml
var Role []byte

// Inventory tells of the namespaces of one cluster.
type Inventory struct {
	// Config reaches the cluster, by a token or a client certificate.
	Config *rest.Config
	// Selector of the namespaces, in the syntax of kubectl's --selector. Empty takes all.
	Selector string
	// Spec is what the connections are made from, except for the name. The zero value goes where Config does.
	Spec connection.Spec
	// Source makes the source of credentials of a namespace's connection. Nil means the credential of Config.
	// It is required where Config comes from a connection and holds none.
	Source func() credential.Source
	// Clock for waits between attempts. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string { return fmt.Sprintf("namespaces of %s", i.Config.Host) }

// Run implements inventory.Inventory. While the namespaces cannot be read, what was told stands, and a Fault
// with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	follower := objects.Follower[corev1.Namespace]{
		Config:   i.Config,
		Resource: corev1.SchemeGroupVersion.WithResource("namespaces"),
		Labels:   i.Selector,
		Clock:    i.Clock,
	}
	return follower.Run(ctx, objects.Handler[corev1.Namespace]{
		Set:    func(_ types.NamespacedName, namespace *corev1.Namespace) { to.Set(i.cluster(namespace)) },
		Delete: func(key types.NamespacedName) { to.Remove(key.Name) },
		Synced: to.Synced,
		Fault:  func(err error) { to.Fault("", err) },
	})
}

func (i *Inventory) cluster(namespace *corev1.Namespace) inventory.Cluster {
	spec := i.Spec
	spec.Name = namespace.Name
	if spec.AuthType == "" {
		spec.AuthType = string(v1alpha1.AuthInCluster)
	}
	return inventory.Cluster{
		Spec:       spec,
		Source:     i.source(),
		Namespace:  namespace.Name,
		Properties: maps.Clone(namespace.Labels),
	}
}

func (i *Inventory) source() credential.Source {
	if i.Source != nil {
		return i.Source()
	}
	return &incluster.Source{Config: i.Config}
}
