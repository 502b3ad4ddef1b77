package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
)

// What a target refuses is no rule that matches: whoever asks is told.
func TestWhatATargetRefusesIsAGap(t *testing.T) {
	db, bad := "app == 'db'", "app = 'db'"
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Clusters: v1alpha1.ClusterScope{All: true}, Target: v1alpha1.TargetClusterNetworkPolicy, ClusterNetworkPolicy: &v1alpha1.ClusterNetworkPolicyTarget{},
		Ingress: []v1alpha1.FederatedRule{
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: &db}},
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: &bad}},
		},
	}}
	p.Spec.Egress, p.Spec.Types = []v1alpha1.FederatedRule{{Action: "Allow"}, {Action: "Allow"}}, []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}
	read, gaps := readPolicy(p, policy.Local{Name: "primary"})
	if read.Plan == nil {
		t.Fatalf("it is not read: %+v", gaps)
	}
	var said []string
	for _, g := range gaps {
		message := strings.Split(g.Message, ": ")
		said = append(said, g.Reason+" "+message[0]+": "+message[len(message)-1])
	}
	if diff := cmp.Diff([]string{
		"SpecInvalid spec.ingress[1].source.selector (inbound rule 2): the rule allows nothing",
		"SpecInvalid spec.types: the rules of that direction allow nothing", "SpecInvalid spec.types: the rules of that direction allow nothing", // which becomes one
		"NotExpressible spec.ingress[0].source.selector (inbound rule 1): the rule allows nothing",
	}, said); diff != "" {
		t.Error(diff)
	}
	refused := func(all []query.Refused) (said []string) {
		for _, r := range all {
			said = append(said, fmt.Sprint(r.Direction, " ", r.Rule, " ", r.Field, " ", r.Reason))
		}
		return said
	}
	if diff := cmp.Diff([]string{
		"Ingress 1 spec.ingress[0].source.selector NotExpressible", "Ingress 2 spec.ingress[1].source.selector SpecInvalid", "Egress 1 spec.types SpecInvalid", "Egress 2 spec.types SpecInvalid",
	}, refused(read.Refused)); diff != "" {
		t.Error(diff)
	}

	// Where the target cannot select the policy's own pods, no rule allows anything.
	p.Spec.Selector, p.Spec.Target, p.Spec.Egress, p.Spec.Types = "app contains 'w'", v1alpha1.TargetNetworkPolicy, nil, nil
	p.Spec.Ingress = []v1alpha1.FederatedRule{{Action: "Allow"}, {Action: "Allow"}}
	read, gaps = readPolicy(p, policy.Local{Name: "primary"})
	if len(gaps) != 1 || !strings.HasPrefix(gaps[0].Message, "spec.selector: ") || !strings.HasSuffix(gaps[0].Message, ": nothing is allowed") {
		t.Errorf("of its own selector it says %+v", gaps)
	}
	if diff := cmp.Diff([]string{"Ingress 1 spec.selector NotExpressible", "Ingress 2 spec.selector NotExpressible"}, refused(read.Refused)); diff != "" {
		t.Error(diff)
	}
}

// Matches count rules from 1, and fields from 0.
func TestARuleHasOneNumber(t *testing.T) {
	for field, want := range map[string]string{
		"spec.ingress[4]":                      "spec.ingress[4] (inbound rule 5)",
		"spec.egress[12].destination.ports[0]": "spec.egress[12].destination.ports[0] (outbound rule 13)",
		"spec.selector":                        "spec.selector",
	} {
		if got := numbered(field); got != want {
			t.Errorf("%s: %s", field, got)
		}
	}
	refused := query.Match{Direction: v1alpha1.PolicyTypeEgress, Rule: 13, Side: "destination", Refused: true}
	if got, want := ruleMatch(refused, false), "outbound rule 13 destination match; any address; refused, and allows nothing"; got != want {
		t.Error(got)
	}
}
