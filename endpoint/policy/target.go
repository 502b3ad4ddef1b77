package policy

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// Target is a plan made for what a network enforces.
type Target interface {
	// Base returns the objects that belong to no cluster.
	Base() []client.Object
	// Render says what the objects of one cluster are. It is the Render of a publish.Item whose Selectors are those of
	// the plan.
	Render(r publish.Request) (publish.Rendered, error)
}

// For makes a plan into what its policy asks for. Its errors are Problems; what comes with one leaves out the rules
// that cannot be expressed, and is nil where the policy's own pods cannot be selected.
func (p *Plan) For(spec *v1alpha1.FederatedNetworkPolicySpec) (Target, error) {
	switch spec.Target {
	case "", v1alpha1.TargetNetworkPolicy:
		return target(p.NetworkPolicies())
	case v1alpha1.TargetCalico:
		return target(p.Calico())
	case v1alpha1.TargetClusterNetworkPolicy:
		var priority int32
		if spec.ClusterNetworkPolicy != nil {
			priority = spec.ClusterNetworkPolicy.Priority
		}
		return target(p.ClusterNetworkPolicies(priority))
	}
	var problems Problems
	problems.add("spec.target", fmt.Errorf("it is %q, which is not known", spec.Target))
	return nil, problems
}

// target makes no target of a nil of some type.
func target[T interface {
	comparable
	Target
}](made T, err error) (Target, error) {
	var none T
	if made == none {
		return nil, err
	}
	return made, err
}
