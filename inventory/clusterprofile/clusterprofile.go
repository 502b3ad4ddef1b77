// Package clusterprofile is the inventory of ClusterProfiles (KEP-4322, multicluster.x-k8s.io/v1alpha1), which any cluster
// manager may write:
//
//   - A ClusterProfile is a cluster, named namespace/name, as soon as it says ControlPlaneHealthy. Until then it is a
//     Fault, which says why. That it turns unhealthy later changes nothing: how it is, its connection finds out.
//   - Access is found in this order: an entry of status.accessProviders that Providers know, in the order of Providers;
//     then one of the deprecated status.credentialProviders; then, where Consumer is set, the Secret with a kubeconfig that
//     is labelled for it.
//   - An entry selects a plugin of the operator's file by its name, says where the cluster is, and adds to the plugin's
//     command line and environment what the file lets it (see credential/exec). It can neither name a program nor a
//     file, nor switch verification off; one that would is a Fault. It does decide who is shown the credential:
//     whoever may write the status of a ClusterProfile is trusted with that.
//   - An entry or a kubeconfig that has changed is the same cluster with another Version: its running connection moves
//     once the new credential has proved itself. What a plugin yields is renewed before it expires, without a new Version.
//   - An entry or a kubeconfig that cannot be used is a Fault. What was known of the cluster stands, and so does its
//     running connection.
//   - A ClusterProfile that is deleted, or that has lost a label that Selector asks for, is a cluster that is gone. One
//     that was made anew under the name is another cluster: the old one is gone, and the new one comes.
//   - The properties of the status are Properties of the cluster, and so are the labels of the object; where both
//     have one of a name, the property counts.
package clusterprofile

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/group"
	"github.com/hawser-io/hawser/inventory/objects"
)

// Role is what the inventory needs, as YAML: a ClusterRole, to be bound everywhere, or by a RoleBinding in Namespace
// where that is set.
//
//go:embed role.yaml
var Role []byte

// SecretsRole is what it needs besides where Consumer is set: a ClusterRole to be bound everywhere, and one to be bound
// in the namespaces of the Secrets.
//
//go:embed role-secrets.yaml
var SecretsRole []byte

// Inventory tells of the clusters that ClusterProfiles describe.
type Inventory struct {
	// Config reaches the cluster that holds the ClusterProfiles.
	Config *rest.Config
	// Namespace of the ClusterProfiles. Empty means all.
	Namespace string
	// Selector of the ClusterProfiles, in the syntax of kubectl's --selector. Empty takes all, also those that
	// Hawser itself publishes.
	Selector string
	// Providers are the plugins, best first: see exec.ReadProviders.
	Providers []exec.Provider
	// Consumer is the name by which kubeconfigs are handed to us in Secrets. A Secret is for us if the label
	// x-k8s.io/cluster-inventory-consumer has that value, on it or on its namespace. The label
	// x-k8s.io/cluster-profile names the ClusterProfile, and x-k8s.io/cluster-profile-namespace its namespace,
	// without which it is Namespace, or that of the Secret where Namespace is empty. Empty takes none.
	Consumer string
	// SecretNamespaces are where those Secrets are looked for. Empty means: in Namespace.
	SecretNamespaces []string
	// Clock for waits and lifetimes. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string { return "ClusterProfiles" }

// Run implements inventory.Inventory. While the ClusterProfiles or Secrets cannot be read, what was told stands, and a
// Fault with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	if len(i.Providers) == 0 && i.Consumer == "" {
		return errors.New("following ClusterProfiles: set Providers or Consumer: without a plugin or a Secret there is no access to a cluster")
	}
	for _, p := range i.Providers {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("following ClusterProfiles: plugin %q: %w", p.Name, err)
		}
	}
	clk := i.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	s := newState(i, clk, to)
	all := &group.Group{To: to, Synced: s.begin}
	follow := []func(context.Context) error{s.profiles(all.Member())}
	if i.Consumer != "" {
		namespaces := i.SecretNamespaces
		if len(namespaces) == 0 {
			namespaces = []string{i.Namespace}
		}
		for _, namespace := range namespaces {
			follow = append(follow, s.secretsIn(namespace, all.Member()))
		}
		follow = append(follow, s.namespaces(all.Member()))
	}
	return group.Run(ctx, follow...)
}

func (s *state) profiles(m *group.Member) func(context.Context) error {
	follower := objects.Follower[ClusterProfile]{Config: s.Config, Resource: Resource, Namespace: s.Namespace, Labels: s.Selector, Clock: s.Clock}
	return func(ctx context.Context) error {
		return follower.Run(ctx, objects.Handler[ClusterProfile]{
			Set: s.setProfile, Delete: s.deleteProfile, Malformed: s.malformedProfile, Synced: m.InSync, Fault: m.Fault,
		})
	}
}

func (s *state) secretsIn(namespace string, m *group.Member) func(context.Context) error {
	follower := objects.Follower[corev1.Secret]{
		Config: s.Config, Resource: corev1.SchemeGroupVersion.WithResource("secrets"), Namespace: namespace, Labels: ProfileLabel, Clock: s.Clock,
	}
	return func(ctx context.Context) error {
		return follower.Run(ctx, objects.Handler[corev1.Secret]{
			Set: s.setSecret, Delete: s.deleteSecret, Malformed: s.malformedSecret, Synced: m.InSync, Fault: m.Fault,
		})
	}
}

// namespaces follows those that are the consumer's, whatever Secrets are in them.
func (s *state) namespaces(m *group.Member) func(context.Context) error {
	follower := objects.Follower[metav1.PartialObjectMetadata]{
		Config: s.Config, Resource: corev1.SchemeGroupVersion.WithResource("namespaces"), Labels: ConsumerLabel + "=" + s.Consumer, Clock: s.Clock,
	}
	return func(ctx context.Context) error {
		return follower.Run(ctx, objects.Handler[metav1.PartialObjectMetadata]{
			Set: s.setNamespace, Delete: s.deleteNamespace, Synced: m.InSync, Fault: m.Fault,
		})
	}
}
