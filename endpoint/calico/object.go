package calico

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is an object of one of the kinds: S is its spec. It reads and writes the JSON of its project.
type Object[S any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec S `json:"spec"`
}

// The objects.
type (
	// NetworkPolicy is Calico's, of a namespace.
	NetworkPolicy = Object[NetworkPolicySpec]
	// NetworkSet is one of a namespace, or a GlobalNetworkSet: both have the same spec.
	NetworkSet = Object[NetworkSetSpec]
	// HostEndpoint is a host's interface, or a host.
	HostEndpoint = Object[HostEndpointSpec]
	// IPPool is a range that Calico assigns addresses from, or knows not to translate.
	IPPool = Object[IPPoolSpec]
	// CIDRGroup is Cilium's.
	CIDRGroup = Object[CIDRGroupSpec]
	// ClusterNetworkPolicy is one of policy.networking.k8s.io.
	ClusterNetworkPolicy = Object[ClusterNetworkPolicySpec]
)

// Write makes an object to be written, of a kind in its best version.
func Write[S any](k Kind, meta metav1.ObjectMeta, spec S) (*unstructured.Unstructured, error) {
	o := Object[S]{TypeMeta: typeMeta(k.GVK()), ObjectMeta: meta, Spec: spec}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&o)
	if err != nil {
		return nil, fmt.Errorf("making %s %q: %w", k, meta.Name, err)
	}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	return &unstructured.Unstructured{Object: content}, nil
}

// Read reads an object in any of its versions, whose specs do not differ as far as they are known here. What it
// does not know it passes over.
func Read[S any](o *unstructured.Unstructured) (*Object[S], error) {
	var read Object[S]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &read); err != nil {
		return nil, fmt.Errorf("reading %s %q: %w", o.GetKind(), o.GetName(), err)
	}
	return &read, nil
}

func typeMeta(gvk schema.GroupVersionKind) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind}
}
