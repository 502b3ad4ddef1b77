package calico

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// ErrNotServed is the cause where a cluster does not serve a kind, or not in a way that it could be written by.
	ErrNotServed = errors.New("the cluster does not serve it")
	// ErrUnknown is the cause where it is not known what a cluster serves: it was not asked yet, or did not answer.
	ErrUnknown = errors.New("it is not known whether the cluster serves it")
)

// Served is what a cluster serves of the kinds of this package. The zero value knows nothing. It does not change.
type Served struct {
	answers [kinds]answer
}

// answer is what is known of one kind.
type answer struct {
	asked   bool
	version schema.GroupVersion // empty: none
	fault   error               // why it is not known whether there is a better one
}

// ToRead returns the best version of a kind to read it in. Its errors wrap ErrNotServed or ErrUnknown.
func (s Served) ToRead(k Kind) (schema.GroupVersionKind, error) {
	a := s.answers[k]
	switch {
	case !a.version.Empty():
		return a.version.WithKind(k.String()), nil
	case a.fault != nil:
		return schema.GroupVersionKind{}, fmt.Errorf("finding %s: %w: %w", k.name(), ErrUnknown, a.fault)
	case !a.asked:
		return schema.GroupVersionKind{}, fmt.Errorf("finding %s: %w: it was not asked yet", k.name(), ErrUnknown)
	}
	return schema.GroupVersionKind{}, fmt.Errorf("finding %s: %w: %s", k.name(), ErrNotServed, k.remedy())
}

// ToWrite returns the version of a kind to write it in. It is none where Calico serves its storage alone: nothing
// validates what is written there, policies have other names in it, and the same object would appear in a second group
// as soon as its API is installed. Its errors wrap ErrNotServed or ErrUnknown, and say what to do.
func (s Served) ToWrite(k Kind) (schema.GroupVersionKind, error) {
	gvk, err := s.ToRead(k)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	if gvk.GroupVersion() != Storage {
		return gvk, nil
	}
	if fault := s.answers[k].fault; fault != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("finding %s: %w: %w", k.name(), ErrUnknown, fault)
	}
	return schema.GroupVersionKind{}, fmt.Errorf("finding %s: %w: there is %s alone, in which Calico keeps its objects, and which is not for others to write: %s",
		k.name(), ErrNotServed, Storage, k.remedy())
}

// name is that of the kind with its group, as people know it.
func (k Kind) name() string { return k.Plural() + "." + table[k].versions[0].Group }

// remedy says what to do where a kind is not served.
func (k Kind) remedy() string {
	switch k {
	case CIDRGroups:
		return "this needs Cilium with CiliumCIDRGroups (1.13 and later)"
	case ClusterNetworkPolicies:
		return "this needs a network with ClusterNetworkPolicy in version " + policyV1alpha2.Version + " of " + policyV1alpha2.Group
	}
	return "this needs Calico with its API server, or with its CustomResourceDefinitions of " + V3.String()
}
