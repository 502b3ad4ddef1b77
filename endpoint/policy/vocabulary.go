package policy

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// key is a label that a NetworkPolicy can ask for: of pods, or of their namespaces.
type key struct {
	ofNamespace bool
	label       string
}

// The names under which a namespace has its own name as a label: in Kubernetes, which sees to it, and in Calico.
const (
	metadataName = corev1.LabelMetadataName
	calicoName   = "projectcalico.org/name"
)

// namespaceName is the key that every pod has, with the name of its namespace.
var namespaceName = key{ofNamespace: true, label: metadataName}

// meaning is what a label of an endpoint is, of a pod of the local cluster.
type meaning struct {
	key      key
	constant string // where it is the same for all pods in question
	fixed    bool   // it is that
	cannot   string // why it cannot be asked for
}

// vocabulary says what labels mean. It follows the index in where an endpoint has a label from.
type vocabulary func(label string) meaning

// local is what is the same for all pods of the local cluster.
func (p *Plan) local(label string) (m meaning, ok bool) {
	known := func(value, what string) (meaning, bool) {
		if value == "" {
			return meaning{cannot: "the " + what + " of the local cluster is not known: there is no RemoteCluster for it, or it was not reached yet"}, true
		}
		return meaning{fixed: true, constant: value}, true
	}
	switch {
	case label == index.OrchestratorLabel:
		return meaning{fixed: true, constant: "k8s"}, true
	case label == index.ClusterLabel:
		return known(p.Local.Name, "name")
	case label == index.ClusterIDLabel:
		return known(p.Local.ID, "id")
	case label == selector.ServiceAccountLabel, strings.HasPrefix(label, selector.ServiceAccountPrefix):
		return meaning{cannot: "NetworkPolicy does not select pods by service account"}, true
	}
	return meaning{}, false
}

// ownPods is the vocabulary of the pods that the policy is for.
func (p *Plan) ownPods(label string) meaning {
	if m, ok := p.local(label); ok {
		return m
	}
	inherited, fromNamespace := strings.CutPrefix(label, selector.NamespacePrefix)
	switch {
	case label == selector.NamespaceLabel, fromNamespace && (inherited == calicoName || inherited == metadataName):
		return meaning{fixed: true, constant: p.Namespace}
	case fromNamespace:
		return meaning{cannot: "the pods of a NetworkPolicy are of its namespace, and are not selected by labels of it"}
	}
	return meaning{key: key{label: label}}
}

// localPods is the vocabulary of peers that are pods of the local cluster.
func (p *Plan) localPods(label string) meaning {
	if m, ok := p.local(label); ok {
		return m
	}
	inherited, fromNamespace := strings.CutPrefix(label, selector.NamespacePrefix)
	switch {
	case label == selector.NamespaceLabel, fromNamespace && inherited == calicoName:
		return meaning{key: namespaceName}
	case fromNamespace:
		return meaning{key: key{ofNamespace: true, label: inherited}}
	}
	return meaning{key: key{label: label}}
}

// can says that an object can have the label.
func (k key) can() bool { return len(validation.IsQualifiedName(k.label)) == 0 }

// canBe says that a label can have the value.
func canBe(value string) bool { return len(validation.IsValidLabelValue(value)) == 0 }
