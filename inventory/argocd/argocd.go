// Package argocd is the inventory of the clusters that Argo CD knows: of its Secrets with the label
// argocd.argoproj.io/secret-type=cluster.
//
//   - A cluster is called what the Secret says under "name", whatever characters that has. A Secret that
//     changes its "name" is the old cluster gone and a new one come.
//   - Two Secrets with one "name": the older keeps it, the other is a Fault of that name until the older one is
//     gone.
//   - A Secret whose credential has changed is the same cluster with another Version.
//   - A Secret that cannot be used is a Fault of the name by which its cluster is known, and what was known
//     stands; if none is known yet, a Fault of the name that it gives, or else of the Secret's.
//   - A Secret that has lost the label, or is deleted, is a cluster that is gone.
//   - https://kubernetes.default.svc without a credential is the local cluster, reached as the inventory itself
//     reaches it. The cluster "in-cluster" that Argo CD shows without any Secret is not told of.
//   - The Secret's labels are Properties of the cluster, and so are its "project" and "namespaces"; they do not
//     restrict what is reached.
//
// Of the credentials, a bearer token and a client certificate are taken. The others would run a program, or send a
// password, or leave the server unverified: they are Faults, which name what to use.
package argocd

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
)

// Selector of the Secrets, which Argo CD defines, and the namespace that it is installed in by default.
const (
	Selector         = "argocd.argoproj.io/secret-type=cluster"
	DefaultNamespace = "argocd"
)

// Role is the Role that the inventory needs in Namespace, as YAML.
//
//go:embed role.yaml
var Role []byte

// Inventory tells of the clusters of one Argo CD.
type Inventory struct {
	// Config reaches the cluster that Argo CD runs in.
	Config *rest.Config
	// Namespace of Argo CD. Empty means DefaultNamespace.
	Namespace string
	// Clock for waits between attempts. Nil means the real one.
	Clock clock.WithTicker
}

// String is what the inventory is called among others.
func (i *Inventory) String() string { return fmt.Sprintf("Argo CD in namespace %q", i.namespace()) }

func (i *Inventory) namespace() string { return cmp.Or(i.Namespace, DefaultNamespace) }

// Run implements inventory.Inventory. While the Secrets cannot be read, what was told stands, and a Fault
// with an empty name says why.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	s := &secrets{inventory: i, claims: inventory.NewClaims(to), names: map[string]string{}}
	follower := objects.Follower[corev1.Secret]{
		Config:    i.Config,
		Resource:  corev1.SchemeGroupVersion.WithResource("secrets"),
		Namespace: i.namespace(),
		Labels:    Selector,
		Clock:     i.Clock,
	}
	return follower.Run(ctx, objects.Handler[corev1.Secret]{
		Set:       s.set,
		Delete:    s.delete,
		Malformed: s.malformed,
		Synced:    to.Synced,
		Fault:     func(err error) { to.Fault("", err) },
	})
}

// secrets remembers what each Secret was told as. One call is made at a time.
type secrets struct {
	inventory *Inventory
	claims    *inventory.Claims
	names     map[string]string // of clusters and of Faults, by the Secret's name
}

func (s *secrets) set(key types.NamespacedName, secret *corev1.Secret) {
	by := fmt.Sprintf("Secret %q", key.Name)
	cluster, err := s.inventory.cluster(secret)
	known, ok := s.names[key.Name]
	if err != nil {
		if !ok {
			known = cmp.Or(string(secret.Data["name"]), key.Name)
			s.names[key.Name] = known
		}
		s.claims.Fault(by, known, fmt.Errorf("reading Secret %q in namespace %q: %w", key.Name, key.Namespace, err))
		return
	}
	if ok && known != cluster.Spec.Name {
		s.claims.Remove(by, known)
	}
	s.names[key.Name] = cluster.Spec.Name
	s.claims.Set(by, cluster)
	s.claims.Fault(by, cluster.Spec.Name, nil)
}

func (s *secrets) malformed(key types.NamespacedName, err error) {
	known, ok := s.names[key.Name]
	if !ok {
		known = key.Name
		s.names[key.Name] = known
	}
	s.claims.Fault(fmt.Sprintf("Secret %q", key.Name), known, err)
}

func (s *secrets) delete(key types.NamespacedName) {
	if known, ok := s.names[key.Name]; ok {
		s.claims.Remove(fmt.Sprintf("Secret %q", key.Name), known)
		delete(s.names, key.Name)
	}
}

// properties of a cluster are for people and selection.
func properties(secret *corev1.Secret) map[string]string {
	p := maps.Clone(secret.Labels)
	if p == nil {
		p = map[string]string{}
	}
	for _, key := range []string{"project", "namespaces"} {
		if value := string(secret.Data[key]); value != "" {
			p[key] = value
		}
	}
	return p
}
