// Package kubeconfigsecret is the inventory of labelled Secrets with a kubeconfig in each, as
// multicluster-runtime's provider of that kind reads them:
//
//   - A Secret that carries the label is a cluster; its name is the Secret's. The current context counts.
//   - A Secret whose kubeconfig has changed is the same cluster with another Version: its running connection
//     moves to the new credential once that has proved itself.
//   - A Secret whose kubeconfig is missing or cannot be used is a Fault. What was known of the cluster
//     stands, and so does its running connection.
//   - A Secret that has lost the label, or is deleted, is a cluster that is gone. A Secret cannot be renamed:
//     that is one Secret gone and another one come.
//   - Other labels of the Secret are Properties of the cluster. Annotations are not: they may hold a copy of
//     the kubeconfig.
//
// A kubeconfig from a Secret is data: it can neither run a program, nor read a file, nor switch verification
// off (see credential/kubeconfig), and one that would is a Fault.
package kubeconfigsecret

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
)

// Defaults of an Inventory: those of multicluster-runtime.
const (
	DefaultSelector = "sigs.k8s.io/multicluster-runtime-kubeconfig=true"
	DefaultKey      = "kubeconfig"
)

// Role is the Role that the inventory needs in Namespace, as YAML.
//
//go:embed role.yaml
var Role []byte

// Inventory tells of the clusters that Secrets in one namespace lead to.
type Inventory struct {
	// Config reaches the cluster that holds the Secrets.
	Config *rest.Config
	// Namespace of the Secrets. It is required: by name, Secrets of two namespaces could not be told apart.
	Namespace string
	// Selector of the Secrets, in the syntax of kubectl's --selector. Empty means DefaultSelector.
	Selector string
	// Key of the kubeconfig in a Secret. Empty means DefaultKey.
	Key string
	// Clock for waits between attempts. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string {
	return fmt.Sprintf("kubeconfig Secrets in namespace %q", i.Namespace)
}

// Run implements inventory.Inventory. While the Secrets cannot be read, what was told stands, and a Fault
// with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	if i.Namespace == "" {
		return errors.New("following kubeconfig Secrets: Namespace is empty: name the one namespace that holds them")
	}
	claims := inventory.NewClaims(to)
	follower := objects.Follower[corev1.Secret]{
		Config:    i.Config,
		Resource:  corev1.SchemeGroupVersion.WithResource("secrets"),
		Namespace: i.Namespace,
		Labels:    cmp.Or(i.Selector, DefaultSelector),
		Clock:     i.Clock,
	}
	return follower.Run(ctx, objects.Handler[corev1.Secret]{
		Set: func(key types.NamespacedName, secret *corev1.Secret) {
			cluster, err := i.cluster(secret)
			if err == nil {
				claims.Set(key.Name, cluster)
			}
			claims.Fault(key.Name, key.Name, err)
		},
		Delete:    func(key types.NamespacedName) { claims.Remove(key.Name, key.Name) },
		Malformed: func(key types.NamespacedName, err error) { claims.Fault(key.Name, key.Name, err) },
		Synced:    to.Synced,
		Fault:     func(err error) { to.Fault("", err) },
	})
}

// cluster is what a Secret says. Its errors name the Secret and the fault, and quote no value.
func (i *Inventory) cluster(secret *corev1.Secret) (inventory.Cluster, error) {
	key := cmp.Or(i.Key, DefaultKey)
	text := secret.Data[key]
	if len(text) == 0 {
		return inventory.Cluster{}, fmt.Errorf("reading Secret %q in namespace %q: it has nothing under the key %q", secret.Name, secret.Namespace, key)
	}
	c, err := kubeconfig.Parse(text, "")
	if err != nil {
		return inventory.Cluster{}, fmt.Errorf("reading Secret %q in namespace %q: the kubeconfig under the key %q cannot be used: %w", secret.Name, secret.Namespace, key, err)
	}
	cluster := inventory.FromKubeconfig(secret.Name, c)
	cluster.Properties = maps.Clone(secret.Labels)
	return cluster, nil
}
