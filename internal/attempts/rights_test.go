package attempts_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// everyRight reads each credential's rights from the API server, all verbs on all objects, and holds them to what they are
// meant to be. What everybody has is left out. The manager's are those with federated endpoints.
func everyRight(t *testing.T, w *world) {
	w.here.ServiceAccount(t, w.shop, "nobody")
	w.there.ServiceAccount(t, w.theirs, "nobody")
	here, there := w.here.TokenConfig(w.here.Token(t, w.shop, "nobody", time.Hour)), w.there.TokenConfig(w.there.Token(t, w.theirs, "nobody", time.Hour))
	everywhere := []string{
		metav1.NamespaceDefault, metav1.NamespaceSystem, v1alpha1.Namespace, v1alpha1.GrantsNamespace, v1alpha1.MemberNamespace(hub), v1alpha1.MemberNamespace(edge), w.theirs, w.shop,
	}
	for name, c := range map[string]struct{ thief, everybody *rest.Config }{
		"manager":     {w.here.TokenConfig(w.credentials.manager), here},
		"connection":  {w.there.TokenConfig(w.credentials.connection), there},
		"certificate": {w.certificateConfig(), there},
		"gate":        {w.there.TokenConfig(w.credentials.gate), there},
		"controllers": {w.there.TokenConfig(w.credentials.controllers), there},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for i, namespace := range everywhere {
				lines := rightsIn(t, c.thief, namespace)
				common := rightsIn(t, c.everybody, namespace)
				if i > 0 {
					common = append(common, rightsIn(t, c.thief, everywhere[0])...)
				}
				for _, line := range lines {
					if !slices.Contains(common, line) {
						got = append(got, w.nameOf(namespace, i == 0)+": "+line)
					}
				}
			}
			slices.Sort(got)
			for i := range got {
				got[i] = strings.NewReplacer(w.shopAccount, "<account of grant shop>").Replace(got[i])
			}
			if diff := cmp.Diff(rights[name], got); diff != "" {
				t.Errorf("the rights of the %s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func (w *world) nameOf(namespace string, first bool) string {
	switch {
	case first:
		return "everywhere"
	case namespace == w.shop:
		return "shop"
	case namespace == w.theirs:
		return "theirs"
	}
	return namespace
}

func rightsIn(t *testing.T, config *rest.Config, namespace string) []string {
	t.Helper()
	review, err := kubernetes.NewForConfigOrDie(config).AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	if err != nil || review.Status.EvaluationError != "" {
		t.Fatalf("reading the rights: %v %s", err, review.Status.EvaluationError)
	}
	var lines []string
	for _, r := range review.Status.ResourceRules {
		for _, resource := range r.Resources {
			line := fmt.Sprintf("%s %s/%s", strings.Join(slices.Sorted(slices.Values(r.Verbs)), ","), strings.Join(r.APIGroups, ","), resource)
			if len(r.ResourceNames) > 0 {
				line += fmt.Sprint(r.ResourceNames)
			}
			lines = append(lines, line)
		}
	}
	for _, r := range review.Status.NonResourceRules {
		lines = append(lines, fmt.Sprintf("%s %v", strings.Join(r.Verbs, ","), r.NonResourceURLs))
	}
	return lines
}

// rights are what a thief of each credential has, verb by verb. What of it leads further is held in by policies, which are
// attempted elsewhere: minting, binding, approving, the status of a TrustedIssuer, and what endpoints become.
var rights = map[string][]string{
	"manager": {
		"everywhere: create,delete,get,list,update,watch /configmaps",
		"everywhere: create,delete,get,list,update,watch cilium.io/ciliumcidrgroups",
		"everywhere: create,delete,get,list,update,watch networking.k8s.io/networkpolicies",
		"everywhere: create,delete,get,list,update,watch policy.networking.k8s.io/clusternetworkpolicies",
		"everywhere: create,delete,get,list,update,watch projectcalico.org/networkpolicies",
		"everywhere: create,delete,get,list,update,watch projectcalico.org/tier.networkpolicies[default.*]",
		"everywhere: create,delete,get,update discovery.k8s.io/endpointslices",
		"everywhere: create,delete,get,update projectcalico.org/globalnetworksets",
		"everywhere: create,delete,get,update projectcalico.org/networksets",
		"everywhere: create,delete,list,patch,watch hawser.io/remoteclusters",
		"everywhere: create,delete,list,update,watch multicluster.x-k8s.io/serviceimports",
		"everywhere: create,delete,update /services",
		"everywhere: create,patch events.k8s.io/events",
		"everywhere: get /namespaces",
		"everywhere: get admissionregistration.k8s.io/validatingadmissionpolicies[hawser-federation-authors hawser-federation-manager]",
		"everywhere: get admissionregistration.k8s.io/validatingadmissionpolicybindings[hawser-federation-authors hawser-federation-manager]",
		"everywhere: get projectcalico.org/tiers[default]",
		"everywhere: list,patch,watch hawser.io/accessrequests",
		"everywhere: list,patch,watch hawser.io/awsidentities",
		"everywhere: list,watch /namespaces",
		"everywhere: list,watch /nodes",
		"everywhere: list,watch /pods",
		"everywhere: list,watch /serviceaccounts",
		"everywhere: list,watch /services",
		"everywhere: list,watch crd.projectcalico.org/globalnetworksets",
		"everywhere: list,watch crd.projectcalico.org/hostendpoints",
		"everywhere: list,watch crd.projectcalico.org/networksets",
		"everywhere: list,watch discovery.k8s.io/endpointslices",
		"everywhere: list,watch hawser.io/eksinventories",
		"everywhere: list,watch hawser.io/endpointsets",
		"everywhere: list,watch hawser.io/federatednetworkpolicies",
		"everywhere: list,watch multicluster.x-k8s.io/serviceexports",
		"everywhere: list,watch projectcalico.org/globalnetworksets",
		"everywhere: list,watch projectcalico.org/hostendpoints",
		"everywhere: list,watch projectcalico.org/networksets",
		"everywhere: patch /services/status",
		"everywhere: patch hawser.io/accessrequests/status",
		"everywhere: patch hawser.io/awsidentities/status",
		"everywhere: patch hawser.io/eksinventories/status",
		"everywhere: patch hawser.io/endpointsets/status",
		"everywhere: patch hawser.io/federatednetworkpolicies/status",
		"everywhere: patch hawser.io/remoteclusters/status",
		"everywhere: patch multicluster.x-k8s.io/serviceexports/status",
		"everywhere: patch multicluster.x-k8s.io/serviceimports/status",
		"hawser: create /configmaps",
		"hawser: create /events",
		"hawser: create /serviceaccounts/token[hawser]",
		"hawser: create coordination.k8s.io/leases",
		"hawser: create,delete,get,list,update,watch /secrets",
		"hawser: get,update /configmaps[hawser-manager]",
		"hawser: get,update coordination.k8s.io/leases[hawser-manager]",
		"shop: create,delete,get multicluster.x-k8s.io/clusterprofiles",
		"shop: create,delete,get,update /secrets",
		"shop: update multicluster.x-k8s.io/clusterprofiles/status",
	},
	"connection": { // to delete is to leave
		"everywhere: delete rbac.authorization.k8s.io/clusterrolebindings[hawser-connect-from-hub hawser-endpoints-from-hub hawser-requires-from-hub hawser-from-hub]",
		"everywhere: delete rbac.authorization.k8s.io/clusterroles[hawser-requires-from-hub]",
		"everywhere: delete rbac.authorization.k8s.io/rolebindings[hawser-connect-from-hub]",
		"everywhere: get /namespaces[kube-system]",
		"everywhere: get about.k8s.io/clusterproperties[cluster.clusterset.k8s.io clusterset.k8s.io]",
		"hawser-from-hub: create /serviceaccounts/token[hawser]",
		"hawser-from-hub: delete /namespaces[hawser-from-hub]",
		"hawser-from-hub: delete /serviceaccounts[hawser]",
		"hawser-from-hub: get /namespaces[hawser-from-hub]",
		"hawser-grants: create /serviceaccounts/token[<account of grant shop>]",
		"hawser: get coordination.k8s.io/leases[hawser-member-controllers]",
	},
	"certificate": {
		"everywhere: create certificates.k8s.io/certificatesigningrequests",
		"everywhere: delete rbac.authorization.k8s.io/clusterrolebindings[hawser-connect-from-edge hawser-endpoints-from-edge hawser-requires-from-edge hawser-from-edge]",
		"everywhere: delete rbac.authorization.k8s.io/clusterroles[hawser-requires-from-edge]",
		"everywhere: delete rbac.authorization.k8s.io/rolebindings[hawser-connect-from-edge]",
		"everywhere: delete,get certificates.k8s.io/certificatesigningrequests[hawser-from-edge]",
		"everywhere: get /namespaces[kube-system]",
		"everywhere: get about.k8s.io/clusterproperties[cluster.clusterset.k8s.io clusterset.k8s.io]",
		"hawser-from-edge: delete /namespaces[hawser-from-edge]",
		"hawser-from-edge: get /namespaces[hawser-from-edge]",
		"hawser: get coordination.k8s.io/leases[hawser-member-controllers]",
	},
	"gate": {
		"everywhere: get /namespaces[kube-system]",
		"everywhere: list,watch hawser.io/accessgrants",
		"everywhere: list,watch hawser.io/trustedissuers",
		"everywhere: patch hawser.io/trustedissuers/status",
		"hawser-grants: create /serviceaccounts/token",
	},
	"controllers": {
		"everywhere: approve certificates.k8s.io/signers[kubernetes.io/kube-apiserver-client]",
		"everywhere: bind rbac.authorization.k8s.io/clusterroles",
		"everywhere: create,delete,get,list,update,watch rbac.authorization.k8s.io/clusterrolebindings",
		"everywhere: create,delete,get,list,update,watch rbac.authorization.k8s.io/rolebindings",
		"everywhere: create,patch events.k8s.io/events",
		"everywhere: get [/.well-known/openid-configuration /openid/v1/jwks]",
		"everywhere: get admissionregistration.k8s.io/validatingadmissionpolicies[hawser-grant-authors hawser-issuer-authors]",
		"everywhere: get admissionregistration.k8s.io/validatingadmissionpolicybindings[hawser-grant-authors hawser-issuer-authors]",
		"everywhere: get,list,patch,watch hawser.io/accessgrants",
		"everywhere: get,list,watch /namespaces",
		"everywhere: list,watch /serviceaccounts[hawser]",
		"everywhere: list,watch certificates.k8s.io/certificatesigningrequests",
		"everywhere: list,watch hawser.io/trustedissuers",
		"everywhere: list,watch rbac.authorization.k8s.io/clusterroles",
		"everywhere: patch hawser.io/accessgrants/status",
		"everywhere: patch hawser.io/trustedissuers/status",
		"everywhere: update certificates.k8s.io/certificatesigningrequests/approval",
		"hawser-grants: bind,create,delete,escalate,get,list,update,watch rbac.authorization.k8s.io/roles",
		"hawser-grants: create,delete,get,list,update,watch /serviceaccounts",
		"hawser: create /events",
		"hawser: create /serviceaccounts/token[hawser-member]",
		"hawser: create coordination.k8s.io/leases",
		"hawser: get,update coordination.k8s.io/leases[hawser-member-controllers]",
	},
}
