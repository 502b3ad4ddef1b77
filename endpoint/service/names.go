package service

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// SelectorAnnotation of a local Service selects services of all clusters.
	SelectorAnnotation = "hawser.io/serviceSelector"
	// CalicoSelectorAnnotation means the same.
	CalicoSelectorAnnotation = "federation.tigera.io/serviceSelector"
	// StalenessAnnotation of a Service that selects, or of a ServiceImport, is keep or expire-after=DURATION.
	StalenessAnnotation = "hawser.io/staleness"
	// SourceAnnotation of one slice of a cluster is the Source that the slices are made of, as JSON.
	SourceAnnotation = "hawser.io/source"
	// CalicoClusterLabel is what services of remote clusters have in selectors, besides index.ClusterLabel.
	CalicoClusterLabel = "federation.tigera.io/remoteClusterName"
	// ManagedBy is what endpointslice.kubernetes.io/managed-by says on slices of ours.
	ManagedBy = "federation.hawser.io"
)

// Key names what the slices of one cluster are made for.
type Key struct {
	// Import says that it is for an import, and otherwise for a Service that selects.
	Import          bool
	Namespace, Name string
	// Cluster that the endpoints are of. It is empty where all of them are meant.
	Cluster string
}

// String is for logs and messages.
func (k Key) String() string {
	kind := "Service"
	if k.Import {
		kind = "ServiceImport"
	}
	return fmt.Sprintf("%s %q in namespace %q", kind, k.Name, k.Namespace)
}

// Whole is the key of what the slices of all clusters are made for.
func (k Key) Whole() Key {
	k.Cluster = ""
	return k
}

// Of is the key with a cluster.
func (k Key) Of(cluster string) Key {
	k.Cluster = cluster
	return k
}

// Compare orders keys.
func (k Key) Compare(o Key) int {
	kind := 0
	if k.Import != o.Import {
		kind = -1
		if k.Import {
			kind = 1
		}
	}
	return cmp.Or(kind, strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name), strings.Compare(k.Cluster, o.Cluster))
}

// KeyOf returns what a slice was made for; ok is false where it is not one of ours.
func KeyOf(s *discoveryv1.EndpointSlice) (key Key, ok bool) {
	if s.Labels[discoveryv1.LabelManagedBy] != ManagedBy {
		return Key{}, false
	}
	key = Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName], Cluster: s.Labels[mcs.LabelSourceCluster]}
	if name := s.Labels[mcs.LabelServiceName]; name != "" {
		key.Import, key.Name = true, name
	}
	return key, true
}

// labels are those of the slices of a key.
func (k Key) labels() map[string]string {
	l := map[string]string{
		discoveryv1.LabelManagedBy:   ManagedBy,
		discoveryv1.LabelServiceName: k.Name,
		mcs.LabelSourceCluster:       k.Cluster,
		v1alpha1.ManagedByLabel:      v1alpha1.ManagedBy,
	}
	if k.Import {
		l[mcs.LabelServiceName] = k.Name
		l[discoveryv1.LabelServiceName] = DerivedName(k.Namespace, k.Name)
	}
	return l
}

// DerivedName is the name of the Service that gives an import its address.
func DerivedName(namespace, name string) string {
	return "derived-" + hash("derived", namespace, name)
}

// sliceName is the name of the n-th slice of a key. The hash keeps service "a-b" of cluster "c" apart from
// service "a" of cluster "b-c".
func sliceName(k Key, n int) string {
	kind := "federated"
	if k.Import {
		kind = "imported"
	}
	return fmt.Sprintf("%s-%s-%s-%s", k.Name, k.Cluster, hash(kind, k.Namespace, k.Name, k.Cluster), strconv.FormatInt(int64(n), 36))
}

// number is n of a name that sliceName made; -1 of any other.
func number(k Key, name string) int {
	digits, ok := strings.CutPrefix(name, strings.TrimSuffix(sliceName(k, 0), "0"))
	if !ok {
		return -1
	}
	n, err := strconv.ParseInt(digits, 36, 32)
	if err != nil || sliceName(k, int(n)) != name {
		return -1
	}
	return int(n)
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return hex.EncodeToString(sum[:5])
}
