package clusterprofile

import (
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/inventory"
)

// state is what is known of ClusterProfiles, Secrets and namespaces, and what was told of them. Nothing is told before
// all of it is known.
type state struct {
	*Inventory
	clock clock.PassiveClock
	to    inventory.Sink

	mu    sync.Mutex // also held while to is told, which never waits: it hears of a name in order
	begun bool
	known map[types.NamespacedName]*known
	// secrets that name a ClusterProfile, whoever they are for; and by the ClusterProfile that they name.
	secrets map[types.NamespacedName]*secret
	named   map[types.NamespacedName]map[types.NamespacedName]*secret
	ours    map[string]bool // namespaces whose Secrets are for us
}

// known is a ClusterProfile, and what was told of it.
type known struct {
	profile    *ClusterProfile // nil while it was never read
	malformed  error           // of the object as it is now
	version    string          // that was told; empty: the cluster was not
	properties map[string]string
	fault      string // that was told
}

// secret is one that names a ClusterProfile.
type secret struct {
	key       types.NamespacedName
	profile   types.NamespacedName
	labelled  bool // for us
	config    []byte
	malformed error
}

func newState(i *Inventory, clk clock.PassiveClock, to inventory.Sink) *state {
	return &state{
		Inventory: i, clock: clk, to: to,
		known:   map[types.NamespacedName]*known{},
		secrets: map[types.NamespacedName]*secret{},
		named:   map[types.NamespacedName]map[types.NamespacedName]*secret{},
		ours:    map[string]bool{},
	}
}

// begin tells of everything: it is all known now.
func (s *state) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	for key := range s.known {
		s.tell(key)
	}
	s.to.Synced()
}

func (s *state) setProfile(key types.NamespacedName, p *ClusterProfile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[key]; k != nil && k.profile != nil && k.profile.UID != p.UID { // its deletion was missed
		s.drop(key)
	}
	k := s.of(key)
	k.profile, k.malformed = p, nil
	s.tell(key)
}

func (s *state) malformedProfile(key types.NamespacedName, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(key).malformed = err
	s.tell(key)
}

func (s *state) of(key types.NamespacedName) *known {
	if s.known[key] == nil {
		s.known[key] = &known{}
	}
	return s.known[key]
}

func (s *state) deleteProfile(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key)
}

// drop forgets a ClusterProfile, and tells that it is gone.
func (s *state) drop(key types.NamespacedName) {
	k := s.known[key]
	if k == nil {
		return
	}
	delete(s.known, key)
	if k.version != "" {
		s.to.Remove(key.String())
	}
	if k.fault != "" {
		s.to.Fault(key.String(), nil)
	}
}

func (s *state) setSecret(key types.NamespacedName, object *corev1.Secret) {
	namespace := object.Labels[ProfileNamespaceLabel]
	if namespace == "" {
		namespace = s.Namespace
	}
	if namespace == "" {
		namespace = key.Namespace
	}
	s.changeSecret(key, &secret{
		key:      key,
		profile:  types.NamespacedName{Namespace: namespace, Name: object.Labels[ProfileLabel]},
		labelled: object.Labels[ConsumerLabel] == s.Consumer,
		config:   object.Data[SecretKey],
	})
}

// malformedSecret leaves it to be what it was, and says what it is now.
func (s *state) malformedSecret(key types.NamespacedName, err error) {
	s.mu.Lock()
	old := s.secrets[key]
	s.mu.Unlock()
	if old == nil {
		return // it cannot be said for which ClusterProfile it is
	}
	s.changeSecret(key, &secret{key: key, profile: old.profile, labelled: old.labelled, malformed: err})
}

func (s *state) deleteSecret(key types.NamespacedName) { s.changeSecret(key, nil) }

// changeSecret tells the ClusterProfiles that a Secret was for, and is for now.
func (s *state) changeSecret(key types.NamespacedName, now *secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.secrets[key]
	if old != nil {
		delete(s.secrets, key)
		delete(s.named[old.profile], key)
		if len(s.named[old.profile]) == 0 {
			delete(s.named, old.profile)
		}
	}
	if now != nil {
		s.secrets[key] = now
		if s.named[now.profile] == nil {
			s.named[now.profile] = map[types.NamespacedName]*secret{}
		}
		s.named[now.profile][key] = now
		s.tell(now.profile)
	}
	if old != nil && (now == nil || now.profile != old.profile) {
		s.tell(old.profile)
	}
}

func (s *state) setNamespace(key types.NamespacedName, _ *metav1.PartialObjectMetadata) {
	s.changeNamespace(key.Name, true)
}

func (s *state) deleteNamespace(key types.NamespacedName) { s.changeNamespace(key.Name, false) }

func (s *state) changeNamespace(name string, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ours[name] == ours {
		return
	}
	s.ours[name] = ours
	for key, secret := range s.secrets {
		if key.Namespace == name {
			s.tell(secret.profile)
		}
	}
}

// tell tells what there is to tell of a ClusterProfile now.
func (s *state) tell(key types.NamespacedName) {
	k := s.known[key]
	if !s.begun || k == nil {
		return
	}
	name := key.String()
	cluster, err := s.read(name, k)
	if err == nil && (cluster.Version != k.version || !maps.Equal(cluster.Properties, k.properties)) {
		s.to.Set(cluster)
		k.version, k.properties = cluster.Version, cluster.Properties
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
