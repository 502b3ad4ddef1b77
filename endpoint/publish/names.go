package publish

import (
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// What our objects carry, besides v1alpha1.ManagedByLabel.
const (
	// SetLabel or PolicyLabel names the item that an object is made for; PolicyNamespaceLabel is its namespace.
	SetLabel             = "hawser.io/endpoint-set"
	PolicyLabel          = "hawser.io/federated-policy"
	PolicyNamespaceLabel = "hawser.io/federated-policy-namespace"
	// ClusterLabel names the cluster that it is made of. What is made of none has no such label.
	ClusterLabel = "hawser.io/cluster"
	// HashAnnotation holds a hash of what we wrote. What has another content was edited by somebody.
	HashAnnotation = "hawser.io/content-hash"
	// StoredAnnotation holds a hash of what the API server made of what we wrote, where that is something else.
	StoredAnnotation = "hawser.io/stored-hash"
	// LabelsAnnotation lists the labels that we wrote besides those above.
	LabelsAnnotation = "hawser.io/labels"
	// ClusterIDAnnotation is the ID of the cluster that an object was made of: another one may get its name.
	ClusterIDAnnotation = "hawser.io/cluster-id"
	// WithinAnnotation says where the addresses may be that an object was made of: the bounds of the cluster then.
	WithinAnnotation = "hawser.io/within"
	// PiecesAnnotation is among how many objects the addresses are divided.
	PiecesAnnotation = "hawser.io/pieces"
	// StaleSinceAnnotation says since when the cluster is not heard of, where it matters: policy Expire.
	StaleSinceAnnotation = "hawser.io/stale-since"
	// ExpiredAnnotation is "true" where the addresses were taken away because of that.
	ExpiredAnnotation = "hawser.io/expired"
	// SelectorAnnotation holds, in canonical form, the selector that the object was made by: an EndpointSet's, or that of
	// the pods that a FederatedNetworkPolicy is for. It is the one that could be used last.
	SelectorAnnotation = "hawser.io/selector"
)

// The lengths that names may have.
const (
	MaxName  = 253 // of most objects
	MaxLabel = 63  // of a label's value, and of objects that become names in DNS
)

// Name is that of a piece of what is made of a cluster: <base>-<cluster>, and then <base>-<cluster>.2, .3 and so on,
// as no cluster has a dot in its name and many end in -2. What is of no cluster is <base>. One that is longer than
// longest is cut, and ends in a hash of all of it.
func Name(longest int, base, cluster string, piece int) string {
	name := base
	if cluster != "" {
		name += "-" + cluster
	}
	if room := longest - len(suffix(MaxPieces)); len(name) > room {
		sum := sha256.Sum256([]byte(base + "/" + cluster))
		hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
		name = strings.TrimRight(name[:room-len(hash)-1], "-.") + "-" + hash
	}
	return name + suffix(piece)
}

func suffix(piece int) string {
	if piece <= 1 {
		return ""
	}
	return "." + strconv.Itoa(piece)
}

// whole is the name without the number of the piece.
func whole(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at < 0 || strings.Trim(name[at+1:], "0123456789") != "" {
		return name
	}
	return name[:at]
}

// labelsOf are those that objects of an item have.
func labelsOf(k Key, cluster string) map[string]string {
	all := map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}
	switch k.Kind {
	case EndpointSet:
		all[SetLabel] = k.Name
	case FederatedNetworkPolicy:
		all[PolicyLabel], all[PolicyNamespaceLabel] = k.Name, k.Namespace
	}
	if cluster != "" {
		all[ClusterLabel] = cluster
	}
	return all
}

// keyOf reads what labelsOf has written.
func keyOf(all map[string]string) (k Key, cluster string, ok bool) {
	cluster = all[ClusterLabel]
	if name := all[SetLabel]; name != "" {
		return Key{Kind: EndpointSet, Name: name}, cluster, true
	}
	if name := all[PolicyLabel]; name != "" {
		return Key{Kind: FederatedNetworkPolicy, Namespace: all[PolicyNamespaceLabel], Name: name}, cluster, true
	}
	return Key{}, "", false
}

// Meta is the metadata of a piece of what is made for an item of a cluster, of so many pieces; the cluster is empty
// where it is of none. labels are those that the item asks for; ours have precedence.
func Meta(k Key, cluster, namespace, base string, piece, pieces int, labels map[string]string) metav1.ObjectMeta {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labelsOf(k, cluster))
	meta := metav1.ObjectMeta{Namespace: namespace, Name: Name(MaxName, base, cluster, piece), Labels: all}
	if pieces > 1 {
		meta.Annotations = map[string]string{PiecesAnnotation: strconv.Itoa(pieces)}
	}
	return meta
}
