package member_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

func TestChecks(t *testing.T) {
	describe := func(caps []v1alpha1.Capability, requires []v1alpha1.Rule, id member.Identity) []string {
		var lines []string
		for _, check := range member.Checks("primary", caps, requires, id) {
			lines = append(lines, member.Describe(check))
		}
		return lines
	}
	teardown := []string{
		`delete namespaces "hawser-from-primary"`,
		`delete rolebindings.rbac.authorization.k8s.io "hawser-connect-from-primary"`,
		`delete clusterrolebindings.rbac.authorization.k8s.io "hawser-connect-from-primary"`,
		`delete clusterrolebindings.rbac.authorization.k8s.io "hawser-endpoints-from-primary"`,
		`delete clusterrolebindings.rbac.authorization.k8s.io "hawser-requires-from-primary"`,
		`delete clusterrolebindings.rbac.authorization.k8s.io "hawser-from-primary"`,
		`delete clusterroles.rbac.authorization.k8s.io "hawser-requires-from-primary"`,
	}
	connect := []string{
		`get namespaces "kube-system"`,
		`get clusterproperties.about.k8s.io "cluster.clusterset.k8s.io"`,
		`get clusterproperties.about.k8s.io "clusterset.k8s.io"`,
		`get leases.coordination.k8s.io "hawser-member-controllers" in namespace "hawser"`,
		`get namespaces "hawser-from-primary"`,
	}
	tests := []struct {
		name     string
		caps     []v1alpha1.Capability
		requires []v1alpha1.Rule
		id       member.Identity
		want     []string
	}{
		{"a service account renews its tokens", nil, nil, member.ServiceAccount, slices.Concat(connect, []string{
			`delete serviceaccounts "hawser" in namespace "hawser-from-primary"`,
			`create serviceaccounts/token "hawser" in namespace "hawser-from-primary"`,
		}, teardown)},
		{"a certificate that somebody else renews", nil, nil, member.Certificate, slices.Concat(connect, teardown)},
		{"a certificate that renews itself", nil, nil, member.RenewedCertificate, slices.Concat(connect, []string{
			`create certificatesigningrequests.certificates.k8s.io`,
			`get certificatesigningrequests.certificates.k8s.io "hawser-from-primary"`,
			`delete certificatesigningrequests.certificates.k8s.io "hawser-from-primary"`,
		}, teardown)},
		{"a foreign identity, with rules of one's own", allCapabilities[:1], []v1alpha1.Rule{deployments, deployments}, member.Foreign, []string{
			`get namespaces "kube-system"`,
			`get deployments.apps`,
			`patch deployments.apps`,
			`get deployments.apps/status`,
			`patch deployments.apps/status`,
		}},
		{"endpoints", allCapabilities, nil, member.Foreign, []string{
			`get namespaces "kube-system"`,
			`list namespaces`, `watch namespaces`,
			`list nodes`, `watch nodes`,
			`list pods`, `watch pods`,
			`list serviceaccounts`, `watch serviceaccounts`,
			`list services`, `watch services`,
			`list endpointslices.discovery.k8s.io`, `watch endpointslices.discovery.k8s.io`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, describe(tt.caps, tt.requires, tt.id)); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChecksNameTheNamespaceThatARequestCarries(t *testing.T) {
	want := authorizationv1.ResourceAttributes{Namespace: "kube-system", Verb: "get", Resource: "namespaces", Name: "kube-system"}
	if diff := cmp.Diff(want, member.Checks("primary", nil, nil, member.Foreign)[0]); diff != "" {
		t.Errorf("first check (-want +got):\n%s", diff)
	}
}
