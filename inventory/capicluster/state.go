package capicluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/inventory"
)

// state is what is known of Clusters and Secrets, and what was told of them. Nothing is told before both are known.
type state struct {
	*Inventory
	clock clock.WithTicker
	to    inventory.Sink

	mu       sync.Mutex // also held while to is told, which never waits: it hears of a name in order
	begun    bool
	clusters map[types.NamespacedName]*known
	secrets  map[types.NamespacedName]*secret
	users    map[types.NamespacedName]map[types.NamespacedName]bool // of Secrets: the Clusters that refer to each
}

// known is a Cluster, and what was told of it.
type known struct {
	cluster   *Cluster // nil while it was never read
	malformed error    // of the object as it is now
	reference reference
	version   string // that was told; empty: the cluster was not
	labels    map[string]string
	fault     string // that was told
	admin     *admin // nil without IssueOwnCredential
}

// secret is one that a Cluster may refer to.
type secret struct {
	data      map[string][]byte
	malformed error
}

func newState(i *Inventory, clk clock.WithTicker, to inventory.Sink) *state {
	return &state{
		Inventory: i, clock: clk, to: to,
		clusters: map[types.NamespacedName]*known{},
		secrets:  map[types.NamespacedName]*secret{},
		users:    map[types.NamespacedName]map[types.NamespacedName]bool{},
	}
}

// begin tells of everything: it is all known now.
func (s *state) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	for key := range s.clusters {
		s.tell(key)
	}
	s.to.Synced()
}

func (s *state) setCluster(key types.NamespacedName, c *Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.clusters[key]
	if k != nil && k.cluster != nil && k.cluster.UID != c.UID { // its deletion was missed
		s.drop(key)
		k = nil
	}
	if k == nil {
		k = &known{}
		s.clusters[key] = k
	}
	k.cluster, k.malformed = c, nil
	s.refer(key, s.referenceOf(c))
	s.tell(key)
}

func (s *state) malformedCluster(key types.NamespacedName, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clusters[key] == nil {
		s.clusters[key] = &known{}
	}
	s.clusters[key].malformed = err
	s.tell(key)
}

func (s *state) deleteCluster(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
}

// retain drops the Clusters that keep does not report.
func (s *state) retain(keep map[types.NamespacedName]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.clusters {
		if !keep[key] {
			s.drop(key)
		}
	}
}

func (s *state) setSecret(key types.NamespacedName, object *corev1.Secret) {
	if !s.mayBeOurs(key.Name) {
		return
	}
	data := object.Data
	if s.Secret == nil { // what is not needed is not kept
		name := cmp.Or(s.SecretKey, DefaultSecretKey)
		data = map[string][]byte{name: object.Data[name]}
	}
	s.changeSecret(key, &secret{data: data})
}

func (s *state) malformedSecret(key types.NamespacedName, err error) {
	s.changeSecret(key, &secret{malformed: err})
}

func (s *state) deleteSecret(key types.NamespacedName) { s.changeSecret(key, nil) }

func (s *state) changeSecret(key types.NamespacedName, now *secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now == nil {
		delete(s.secrets, key)
	} else {
		s.secrets[key] = now
	}
	for cluster := range s.users[key] {
		s.tell(cluster)
	}
}

// refer keeps which Clusters a Secret is for.
func (s *state) refer(key types.NamespacedName, r reference) {
	k := s.clusters[key]
	if k.reference == r {
		return
	}
	s.unrefer(key)
	k.reference = r
	at := r.secret()
	if s.users[at] == nil {
		s.users[at] = map[types.NamespacedName]bool{}
	}
	s.users[at][key] = true
}

func (s *state) unrefer(key types.NamespacedName) {
	at := s.clusters[key].reference.secret()
	delete(s.users[at], key)
	if len(s.users[at]) == 0 {
		delete(s.users, at)
	}
}

func (r reference) secret() types.NamespacedName {
	return types.NamespacedName{Namespace: r.namespace, Name: r.name}
}

// drop forgets a Cluster, and tells that it is gone.
func (s *state) drop(key types.NamespacedName) {
	k := s.clusters[key]
	if k == nil {
		return
	}
	s.unrefer(key)
	delete(s.clusters, key)
	if k.version != "" {
		s.to.Remove(key.String())
	}
	if k.fault != "" {
		s.to.Fault(key.String(), nil)
	}
}

// tell tells what there is to tell of a Cluster now.
func (s *state) tell(key types.NamespacedName) {
	if !s.begun {
		return
	}
	k, name := s.clusters[key], key.String()
	cluster, err := s.read(name, k)
	if err == nil && (cluster.Version != k.version || !maps.Equal(cluster.Properties, k.labels)) {
		s.to.Set(cluster)
		k.version, k.labels = cluster.Version, cluster.Properties
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != k.fault {
		k.fault = text
		s.to.Fault(name, err)
	}
}

// read makes a cluster of a Cluster and its kubeconfig. Its errors name the objects, and quote no value.
func (s *state) read(name string, k *known) (inventory.Cluster, error) {
	var none inventory.Cluster
	switch {
	case k.malformed != nil:
		return none, k.malformed
	case k.version == "" && !s.connects(k.cluster):
		return none, fmt.Errorf("cluster %q is not connected yet: it has not come up (phase %q)", name, k.cluster.Status.Phase)
	}
	text, err := s.kubeconfig(k.reference)
	if err != nil {
		return none, fmt.Errorf("reading the kubeconfig of cluster %q: %w", name, err)
	}
	c, err := kubeconfig.Parse(text, "")
	if err != nil {
		return none, fmt.Errorf("reading the kubeconfig of cluster %q: the one in %s cannot be used: %w", name, k.reference, err)
	}
	cluster := inventory.FromKubeconfig(name, c)
	if s.IssueOwnCredential != nil {
		if k.admin == nil {
			k.admin = &admin{}
		}
		k.admin.set(c)
		cluster = s.IssueOwnCredential.cluster(name, k.admin, *c.Endpoint, s.clock)
	}
	cluster.Properties = maps.Clone(k.cluster.Labels)
	return cluster, nil
}

func (s *state) kubeconfig(r reference) ([]byte, error) {
	found := s.secrets[r.secret()]
	switch {
	case !s.watched(r):
		return nil, fmt.Errorf("%s is not where Secrets are watched: set SecretNamespace", r)
	case found == nil:
		return nil, fmt.Errorf("%s is missing, or is not selected by its labels", r)
	case found.malformed != nil:
		return nil, found.malformed
	case len(found.data[r.key]) == 0:
		return nil, fmt.Errorf("%s is empty", r)
	}
	return found.data[r.key], nil
}

// String names it for people.
func (r reference) String() string {
	return fmt.Sprintf("key %q of Secret %q in namespace %q", r.key, r.name, r.namespace)
}

// errNotInstalled says that the management cluster does not know Cluster API.
var errNotInstalled = errors.New("finding Cluster API: neither v1beta2 nor v1beta1 of clusters.cluster.x-k8s.io is served: install it")
