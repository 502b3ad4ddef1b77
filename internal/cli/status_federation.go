package cli

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// FederationStatus is one EndpointSet, or one FederatedNetworkPolicy.
type FederationStatus struct {
	// Namespace of a FederatedNetworkPolicy.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Ready     string `json:"ready"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	// Endpoints and Addresses of all clusters that something was made of.
	Endpoints int64 `json:"endpoints"`
	Addresses int64 `json:"addresses"`
}

func (r *statusReader) sets(ctx context.Context, _ identity) error {
	var list v1alpha1.EndpointSetList
	ok, err := r.list(ctx, "EndpointSet", &list)
	if !ok {
		return err
	}
	r.s.EndpointSets = []FederationStatus{}
	for i := range list.Items {
		o := &list.Items[i]
		r.s.EndpointSets = append(r.s.EndpointSets, r.federated("EndpointSet", o, &o.Status))
	}
	return nil
}

func (r *statusReader) policies(ctx context.Context, _ identity) error {
	var list v1alpha1.FederatedNetworkPolicyList
	ok, err := r.list(ctx, "FederatedNetworkPolicy", &list)
	if !ok {
		return err
	}
	r.s.FederatedNetworkPolicies = []FederationStatus{}
	for i := range list.Items {
		o := &list.Items[i]
		r.s.FederatedNetworkPolicies = append(r.s.FederatedNetworkPolicies, r.federated("FederatedNetworkPolicy", o, &o.Status))
	}
	return nil
}

// federated is what is said of one, with a gap where it is not Ready.
func (r *statusReader) federated(kind string, o client.Object, s *v1alpha1.FederationStatus) FederationStatus {
	ready := readyOf(s.Conditions)
	if ready.Status != metav1.ConditionTrue {
		r.gap(kind, o, ready)
	}
	return FederationStatus{
		Namespace: o.GetNamespace(), Name: o.GetName(), Ready: string(ready.Status), Reason: ready.Reason, Message: ready.Message,
		Endpoints: s.Endpoints, Addresses: s.Addresses,
	}
}

func (d *deps) printFederated(list []FederationStatus, title func(n int) string, all bool) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b FederationStatus) int { return careFirst(a.Ready, b.Ready) })
	var rows [][]cell
	for _, o := range list {
		name := o.Name
		if o.Namespace != "" {
			name = o.Namespace + "/" + o.Name
		}
		row := cells(name, o.Ready, fmt.Sprint(o.Endpoints), fmt.Sprint(o.Addresses), shown(o.Reason))
		row[1].tone = readyTone(o.Ready)
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		d.section(title(len(rows)), all, cells("NAME", "READY", "ENDPOINTS", "ADDRESSES", "REASON"), rows)
	}
}

func setsTitle(n int) string { return count(n, "endpoint set") }

func policiesTitle(n int) string {
	if n == 1 {
		return "1 federated network policy"
	}
	return fmt.Sprintf("%d federated network policies", n)
}
