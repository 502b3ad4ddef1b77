package rights_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/cli/rights"
)

// can asks once; RBAC takes a moment to notice what is new.
func (w *world) can(subject, verb, resource, namespace string) (rights.Answer, error) {
	w.t.Helper()
	s, err := rights.ParseSubject(subject)
	if err != nil {
		w.t.Fatal(err)
	}
	action, _, err := w.asked.Action(w.t.Context(), verb, resource, "", namespace)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.asked.Can(w.t.Context(), s, action, time.Now())
}

func (w *world) eventually(subject string, allowed bool, how string) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		answer, err := w.can(subject, "get", "pods", "shop")
		if err != nil {
			return err
		}
		if text := fmt.Sprintf("%+v", answer.Ways); answer.Allowed != allowed || !strings.Contains(text, how) {
			return fmt.Errorf("%s: allowed %t, ways %s; want %t, %q", subject, answer.Allowed, text, allowed, how)
		}
		return nil
	})
}

func TestCanByGrants(t *testing.T) {
	w := newWorld(t)
	roles := w.role("can-readers")
	w.connection("can-a")
	w.connection("can-b")
	trusted, distrusted := w.issuer("can-corp", ""), w.issuer("can-clash", v1alpha1.ReasonPrefixConflict)
	in := grant.World{Namespaces: shop(), Roles: roles, Issuers: map[string]grant.Issuer{
		trusted.Name: grant.IssuerOf(trusted, true), distrusted.Name: grant.IssuerOf(distrusted, true), // as long as it was
	}}
	subjects := []v1alpha1.GrantSubject{
		{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "can-a", Namespace: "shop"}},
		{Issuer: &v1alpha1.GrantIssuer{Name: "can-corp", Subject: "system:serviceaccount:shop:deployer"}},
		{Issuer: &v1alpha1.GrantIssuer{Name: "can-corp", SubjectPattern: "system:serviceaccount:team-*:deployer"}},
		{Issuer: &v1alpha1.GrantIssuer{Name: "can-clash", Subject: "jane"}},
		{User: "joe"}, {Group: "readers"},
	}
	w.grant("can-read", v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"can-readers"}, Namespaces: inShop}, in)
	ended := metav1.NewTime(time.Now().Add(-time.Hour))
	w.grant("can-ended", v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "can-b", Namespace: "shop"}}},
		ClusterRoles: []string{"can-readers"}, Namespaces: inShop, EndsAt: &ended,
	}, in) // and nobody has cleaned up yet

	w.eventually("user:joe", true, `as user "joe"`)
	w.eventually("user:mary", false, `as user "mary"`)
	w.eventually("group:readers", true, `in group "readers"`)
	w.eventually("can-a/shop", true, `by AccessGrant "can-read"`)
	w.eventually("cluster:can-a/shop", true, `by AccessGrant "can-read"`)
	w.eventually("can-a/other", false, "[]")
	w.eventually("can-b/shop", false, "the grant has ended")
	w.eventually("can-corp/system:serviceaccount:shop:deployer", true, "where the API server itself trusts the issuer")
	w.eventually("can-corp/system:serviceaccount:team-a:deployer", false, "there is no gate in that cluster")
	w.gate()
	w.eventually("can-corp/system:serviceaccount:team-a:deployer", true, `by AccessGrant "can-read", through the gate`)
	w.eventually("can-corp/system:serviceaccount:team-a:b:deployer", false, "hawser trust render")
	w.eventually("can-clash/jane", true, `TrustedIssuer "can-clash" is not Ready: PrefixConflict`) // its user is bound all the same
	w.eventually("serviceaccount:shop/default", false, "as service account")

	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: grant.AccountName("can-read", subjects[0])}}
	w.remove(account)
	w.eventually("can-a/shop", false, "its account was not made")
}

func TestCanNeverSaysYesWhereClaimsDecide(t *testing.T) {
	w := newWorld(t)
	roles := w.role("ruled-readers")
	ti := w.issuer("ruled", "")
	ti.Spec.ClaimRules = []v1alpha1.ClaimRule{
		{Expression: "claims['kubernetes.io'].namespace == 'shop'", Message: "only the shop"},
		{Expression: "!claims.sub.endsWith(':evil')", Message: "not evil"},
	}
	if err := w.Update(t.Context(), ti); err != nil {
		t.Fatal(err)
	}
	w.gate()
	w.grant("ruled-read", v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{Issuer: &v1alpha1.GrantIssuer{Name: "ruled", SubjectPattern: "system:serviceaccount:shop:*"}}},
		ClusterRoles: []string{"ruled-readers"}, Namespaces: inShop,
	}, grant.World{Namespaces: shop(), Roles: roles, Issuers: map[string]grant.Issuer{"ruled": grant.IssuerOf(ti, true)}})
	fleettest.Eventually(t, patience, func() error {
		got, err := w.can("ruled/system:serviceaccount:shop:web", "list", "pods", "shop")
		if err == nil && (got.Allowed || !got.Depends) {
			err = fmt.Errorf("it says %+v", got)
		}
		if err == nil && (len(got.Ways) != 2 || fmt.Sprint(got.Ways[1].Rules) != "[claims['kubernetes.io'].namespace == 'shop']") {
			t.Fatalf("it names %+v", got.Ways)
		}
		return err
	})
	w.eventually("ruled/system:serviceaccount:shop:evil", false, "the claim rules of the issuer refuse it: \"!claims.sub.endsWith(':evil')\" does not hold: not evil")
}

func TestCanSaysThatAConnectionMayNotMint(t *testing.T) {
	w := newWorld(t)
	roles := w.role("mint-readers")
	g := w.grant("mint-read", v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "mint-a", Namespace: "shop"}}},
		ClusterRoles: []string{"mint-readers"}, Namespaces: inShop,
	}, grant.World{Namespaces: shop(), Roles: roles})
	w.eventually("mint-a/shop", true, "")
	if err := w.DeleteAllOf(t.Context(), &rbacv1.RoleBinding{}, client.InNamespace(v1alpha1.GrantsNamespace), client.MatchingLabels{v1alpha1.GrantLabel: g.Name}); err != nil {
		t.Fatal(err)
	}
	w.eventually("mint-a/shop", false, `the connection from "mint-a" may not mint tokens`)
}

func TestANameThatIsBothHasToBeSaid(t *testing.T) {
	w := newWorld(t)
	w.issuer("both", "")
	w.grant("both", v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "both", Namespace: "shop"}}},
		ClusterRoles: []string{"view"}, Namespaces: inShop,
	}, grant.World{Namespaces: shop()})
	if _, err := w.can("both/shop", "get", "pods", ""); err == nil || !strings.Contains(err.Error(), "say issuer:both/shop or cluster:both/shop") {
		t.Errorf("error %v", err)
	}
	for _, subject := range []string{"issuer:both/shop", "cluster:both/shop"} {
		if _, err := w.can(subject, "get", "pods", ""); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.can("issuer:nobody/shop", "get", "pods", ""); err == nil || !strings.Contains(err.Error(), `no TrustedIssuer "nobody"`) {
		t.Errorf("error %v", err)
	}
}

func TestCanNeedsTheRightToAsk(t *testing.T) {
	w := newWorld(t)
	cluster := fleettest.Use(t, "remote")
	namespace := cluster.Namespace(t)
	cluster.ServiceAccount(t, namespace, "nobody")
	_, asked := reach(t, cluster.TokenConfig(cluster.Token(t, namespace, "nobody", time.Hour)))
	action, _, err := asked.Action(t.Context(), "get", "pods", "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = asked.Can(t.Context(), rights.Subject{Kind: rights.UserSubject, Name: "joe"}, action, time.Now())
	if err == nil || !strings.Contains(err.Error(), "the right to create subjectaccessreviews") {
		t.Errorf("error %v", err)
	}
	_ = w
}

func TestActions(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name                                   string
		verb, resource, subresource, namespace string
		want, warning, wrong                   string
	}{
		{name: "a type", verb: "list", resource: "pods", namespace: "shop", want: `list pods in namespace "shop"`},
		{name: "a short name", verb: "list", resource: "deploy", want: "list deployments.apps everywhere"},
		{name: "a type with its group", verb: "get", resource: "roles.rbac.authorization.k8s.io", namespace: "shop", want: `get roles.rbac.authorization.k8s.io in namespace "shop"`},
		{name: "an object", verb: "get", resource: "secrets/x", namespace: "shop", want: `get secrets "x" in namespace "shop"`},
		{name: "a subresource", verb: "create", resource: "pods", subresource: "exec", namespace: "shop", want: `create pods/exec in namespace "shop"`},
		{name: "a subresource in the wrong place", verb: "get", resource: "pods/log", namespace: "shop", want: `get pods "log"`, warning: "say --subresource log"},
		{name: "what has no namespace", verb: "get", resource: "nodes", namespace: "shop", want: "get nodes everywhere", warning: "-n is ignored"},
		{name: "a namespace itself", verb: "get", resource: "namespaces/shop", want: `get namespaces "shop"`},
		{name: "a kind that there is not", verb: "get", resource: "widgets.example.com", want: "get widgets.example.com everywhere", warning: `no resource "widgets.example.com"`},
		{name: "our own kind", verb: "create", resource: "accessgrants", want: "create accessgrants.hawser.io everywhere"},
		{name: "everything", verb: "*", resource: "*", want: "* *.* everywhere"},
		{name: "a path", verb: "get", resource: "/healthz", want: "get /healthz"},
		{name: "a path with a namespace", verb: "get", resource: "/healthz", namespace: "shop", wrong: "neither a subresource nor a namespace"},
		{name: "nothing", wrong: "name a verb and a resource"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			action, warnings, err := w.asked.Action(t.Context(), test.verb, test.resource, test.subresource, test.namespace)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := action.String(); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got := strings.Join(warnings, "; "); (test.warning == "") != (got == "") || !strings.Contains(got, test.warning) {
				t.Errorf("warnings %q, want %q", got, test.warning)
			}
		})
	}
}
