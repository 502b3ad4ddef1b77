// Package capicluster is the inventory of Cluster API: its Clusters, of v1beta1 or v1beta2, and the Secrets with their
// kubeconfigs, which are watched as the Clusters are:
//
//   - A Cluster whose control plane has come up is a cluster, named namespace/name. Until then it is a Fault, which
//     says how far it has come. That it turns not ready later, fails or is being deleted changes nothing: its API
//     server may answer, and whoever works on it may have something left to do there.
//   - A kubeconfig that has changed is the same cluster with another Version: its running connection moves to the
//     new credential once that has proved itself.
//   - A kubeconfig that is missing or cannot be used is a Fault. What was known of the cluster stands, and so does
//     its running connection.
//   - A Cluster that is gone is a cluster that is gone: when the object is, and not when its deletion begins. One
//     that was made anew under the name is another cluster: the old one is gone, and the new one comes.
//   - A Cluster that has lost a label that Selector asks for is gone. Clusters cannot be renamed.
//   - The labels of the Cluster are Properties of the cluster.
//
// A kubeconfig from a Secret is data: it can neither run a program, nor read a file, nor switch verification off (see
// credential/kubeconfig), and one that would is a Fault.
//
// Those kubeconfigs are an administrator's. [Own] lets the fleet use them once, to install the member side, and then run on
// a narrow identity of its own.
package capicluster

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/group"
	"github.com/hawser-io/hawser/inventory/objects"
)

// Defaults of an Inventory: those of Cluster API.
const (
	DefaultSecretName     = "{cluster}-kubeconfig"
	DefaultSecretKey      = "value"
	DefaultSecretSelector = clusterNameLabel
)

// AnySecret is the SecretSelector that takes every Secret: those without a label that none has.
const AnySecret = "!inventory.hawser.io/none"

const clusterPlaceholder = "{cluster}"

// Role is what the inventory needs, as YAML: a ClusterRole, to be bound everywhere, or by RoleBindings in
// Namespace and in SecretNamespace where these are set.
//
//go:embed role.yaml
var Role []byte

// Inventory tells of the clusters that Cluster API makes.
type Inventory struct {
	// Config reaches the management cluster.
	Config *rest.Config
	// Namespace of the Clusters. Empty means all.
	Namespace string
	// Selector of the Clusters, in the syntax of kubectl's --selector. Empty takes all.
	Selector string
	// SecretName is the name of the Secret with a Cluster's kubeconfig, where {cluster} stands for the name of
	// the Cluster. Empty means DefaultSecretName.
	SecretName string
	// SecretNamespace is where the Secrets are. Empty means: where their Clusters are.
	SecretNamespace string
	// SecretKey is the key of the kubeconfig. Empty means DefaultSecretKey.
	SecretKey string
	// SecretSelector bounds which Secrets are watched. Empty means DefaultSecretSelector: the label that Cluster
	// API wants on them. AnySecret takes all.
	SecretSelector string
	// Secret, if it is not nil, says where the kubeconfig of a Cluster is, in place of SecretName and SecretKey. It
	// is called again when the Cluster changes, must not wait, and must name a Secret that is watched: in
	// SecretNamespace, else in Namespace, else anywhere.
	Secret func(c *Cluster) (namespace, name, key string)
	// Connect, if it is not nil, says whether a Cluster that was not told of yet is to be, in place of
	// Cluster.Initialized.
	Connect func(c *Cluster) bool
	// IssueOwnCredential, if it is not nil, makes the connections run on a narrow identity of their own.
	IssueOwnCredential *Own
	// Clock for waits and lifetimes. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string { return "Cluster API" }

// Run implements inventory.Inventory. While the Clusters or Secrets cannot be read, or Cluster API is not installed, what
// was told stands, and a Fault with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	if i.IssueOwnCredential != nil {
		if err := i.IssueOwnCredential.validate(); err != nil {
			return fmt.Errorf("following Clusters: issuing credentials of our own: %w", err)
		}
	}
	clk := i.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	s := newState(i, clk, to)
	both := &group.Group{To: to, Synced: s.begin}
	clusters, secrets := both.Member(), both.Member()
	follower := objects.Follower[corev1.Secret]{
		Config:    i.Config,
		Resource:  corev1.SchemeGroupVersion.WithResource("secrets"),
		Namespace: cmp.Or(i.SecretNamespace, i.Namespace),
		Labels:    cmp.Or(i.SecretSelector, DefaultSecretSelector),
		Clock:     i.Clock,
	}
	return group.Run(ctx,
		func(ctx context.Context) error { return s.followClusters(ctx, clusters) },
		func(ctx context.Context) error {
			return follower.Run(ctx, objects.Handler[corev1.Secret]{
				Set: s.setSecret, Delete: s.deleteSecret, Malformed: s.malformedSecret, Synced: secrets.InSync, Fault: secrets.Fault,
			})
		})
}

// reference is where the kubeconfig of a Cluster is.
type reference struct{ namespace, name, key string }

func (i *Inventory) referenceOf(c *Cluster) reference {
	if i.Secret != nil {
		namespace, name, key := i.Secret(c)
		return reference{namespace, name, key}
	}
	return reference{
		namespace: cmp.Or(i.SecretNamespace, c.Namespace),
		name:      strings.ReplaceAll(cmp.Or(i.SecretName, DefaultSecretName), clusterPlaceholder, c.Name),
		key:       cmp.Or(i.SecretKey, DefaultSecretKey),
	}
}

// watched reports whether a reference leads to where Secrets are watched.
func (i *Inventory) watched(r reference) bool {
	only := cmp.Or(i.SecretNamespace, i.Namespace)
	return only == "" || only == r.namespace
}

// mayBeOurs tells the Secrets that a Cluster may refer to from all the others that Cluster API labels, such as the
// private keys of its CAs: those are not kept.
func (i *Inventory) mayBeOurs(secret string) bool {
	if i.Secret != nil {
		return true
	}
	name := cmp.Or(i.SecretName, DefaultSecretName)
	before, _, templated := strings.Cut(name, clusterPlaceholder)
	if !templated {
		return secret == name
	}
	after := name[strings.LastIndex(name, clusterPlaceholder)+len(clusterPlaceholder):]
	return strings.HasPrefix(secret, before) && strings.HasSuffix(secret, after)
}

func (i *Inventory) connects(c *Cluster) bool {
	if i.Connect != nil {
		return i.Connect(c)
	}
	return c.Initialized()
}
