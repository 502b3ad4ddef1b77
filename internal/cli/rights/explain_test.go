package rights_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/cli/rights"
)

func (w *world) explain(name string) rights.Explanation {
	w.t.Helper()
	e, err := w.asked.Explain(w.t.Context(), name, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range e.Findings {
		if f.Repair == "" {
			w.t.Errorf("nothing is said that repairs: %s", f.What)
		}
	}
	return e
}

func TestExplainAGrantThatIsWell(t *testing.T) {
	w := newWorld(t)
	w.controllers()
	w.gate()
	w.connection("well-a")
	ti := w.issuer("well-corp", "")
	in := grant.World{Namespaces: shop(), Roles: w.role("well-readers"), Issuers: map[string]grant.Issuer{ti.Name: grant.IssuerOf(ti, true)}}
	subjects := []v1alpha1.GrantSubject{
		{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "well-a", Namespace: "shop"}},
		{Issuer: &v1alpha1.GrantIssuer{Name: "well-corp", Subject: "jane"}},
		{Issuer: &v1alpha1.GrantIssuer{Name: "well-corp", SubjectPattern: "team-*"}},
		{Group: "readers"},
	}
	w.grant("well", v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"well-readers"}, Namespaces: inShop}, in)
	account := func(i int) string { return "hawser-grants/" + grant.AccountName("well", subjects[i]) }
	want := rights.Explanation{
		Grant: "well", Ready: "True", Reason: v1alpha1.ReasonGranted, MaxLifetime: "1h0m0s",
		Subjects: []rights.Explained{
			{Subject: `namespace "shop" of local cluster "well-a"`, Account: account(0), How: "by AccessRequests of that namespace with grant: well"},
			{Subject: `subject "jane" of issuer "well-corp"`, Account: account(1), How: `by the gate, or as user "well-corp:jane" where the API server itself trusts the issuer`},
			{Subject: `subjects like "team-*" of issuer "well-corp"`, Account: account(2), How: "by the gate"},
			{Subject: `group "readers"`, How: "as this cluster knows it"},
		},
		Roles:      []rights.Role{{Name: "well-readers", Rules: []string{"get,list pods"}}},
		Rules:      []string{"get,list pods"},
		Namespaces: []string{"shop"},
	}
	fleettest.Eventually(t, patience, func() error { // RBAC takes a moment
		if diff := cmp.Diff(want, w.explain("well")); diff != "" {
			return fmt.Errorf("(-want +got)\n%s", diff)
		}
		return nil
	})
}

func TestExplainNamesEachFault(t *testing.T) {
	w := newWorld(t)
	w.controllers()
	roles := w.role("fault-readers")
	if err := w.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "fault-empty"}}); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	w.issuer("fault-clash", v1alpha1.ReasonIssuerConflict)
	w.connection("fault-other")
	ended := metav1.NewTime(time.Now().Add(-time.Hour))
	local := func(name, user string) []v1alpha1.GrantSubject {
		return []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: name, Namespace: "shop", User: user}}}
	}
	issuer := func(name, pattern string) []v1alpha1.GrantSubject {
		return []v1alpha1.GrantSubject{{Issuer: &v1alpha1.GrantIssuer{Name: name, SubjectPattern: pattern}}}
	}
	user := []v1alpha1.GrantSubject{{User: "joe"}}
	tests := []struct {
		name         string
		spec         v1alpha1.AccessGrantSpec
		spoil        func(g *v1alpha1.AccessGrant)
		what, repair string
	}{
		{name: "a role that is missing", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-none"}, Namespaces: inShop},
			what: `there is no ClusterRole "fault-none"`, repair: "kubectl create clusterrole --verb=VERBS --resource=RESOURCES fault-none,"},
		{name: "a role whose name is a command", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"x'; reboot #"}, Namespaces: inShop},
			what: "there is no ClusterRole", repair: `--resource=RESOURCES 'x'\''; reboot #',`},
		{name: "a role whose name is a flag", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"--token=x"}, Namespaces: inShop},
			what: "there is no ClusterRole", repair: "-- '--token=x'"},
		{name: "a role that allows nothing", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-empty"}, Namespaces: inShop},
			what: `ClusterRole "fault-empty" allows nothing`, repair: "kubectl edit clusterrole fault-empty"},
		{name: "a namespace that is missing", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-readers"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{"fault-none"}}},
			what: `there is no namespace "fault-none"`, repair: "kubectl create namespace fault-none"},
		{name: "a selector that matches nothing", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-readers"},
			Namespaces: &v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "none"}}}},
			what: "matches no namespace (team=none)", repair: "kubectl label namespace NAME team=none"},
		{name: "a connection that is not installed", spec: v1alpha1.AccessGrantSpec{Subjects: local("fault-a", ""), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			what: `no connection from "fault-a" is installed here`, repair: "hawser join NAME --context THAT --remote-context THIS"},
		{name: "a connection that may not mint", spec: v1alpha1.AccessGrantSpec{Subjects: local("fault-other", ""), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			spoil: w.unbind, what: `the connection from "fault-other" may not mint tokens`, repair: "hawser clusters -o wide"},
		{name: "an issuer that is missing", spec: v1alpha1.AccessGrantSpec{Subjects: issuer("fault-none", "a*"), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			what: `there is no TrustedIssuer "fault-none"`, repair: "docs/trust.md"},
		{name: "an issuer that is not trusted", spec: v1alpha1.AccessGrantSpec{Subjects: issuer("fault-clash", "a*"), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			what: `TrustedIssuer "fault-clash" is not Ready: IssuerConflict`, repair: "kubectl describe trustedissuer fault-clash"},
		{name: "a pattern without a gate", spec: v1alpha1.AccessGrantSpec{Subjects: issuer("fault-clash", "a*"), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			what: "there is no gate here", repair: "hawser gate"},
		{name: "an end that has come", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-readers"}, Namespaces: inShop, EndsAt: &ended},
			what: "the grant ended at", repair: `{"spec":{"endsAt":"`},
		{name: "what was not made", spec: v1alpha1.AccessGrantSpec{Subjects: local("fault-other", ""), ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			spoil: w.unbind, what: "2 of kind RoleBinding were not made", repair: "the log of the member controllers"},
		{name: "a name that is taken", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			spoil: w.unready, what: "it is not Ready: NameTaken", repair: "kubectl describe accessgrant"},
		{name: "a spec that nobody has seen yet", spec: v1alpha1.AccessGrantSpec{Subjects: user, ClusterRoles: []string{"fault-readers"}, Namespaces: inShop},
			spoil: w.change, what: "have not seen its newest spec yet", repair: "the log of the member controllers"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &world{t, w.Client, w.asked}
			g := w.grant(fmt.Sprintf("fault-%d", i), test.spec, grant.World{Namespaces: shop(), Roles: roles})
			if test.spoil != nil {
				test.spoil(g)
			}
			fleettest.Eventually(t, patience, func() error {
				for _, f := range w.explain(g.Name).Findings {
					if strings.Contains(f.What, test.what) && strings.Contains(f.Repair, test.repair) {
						return nil
					}
				}
				return fmt.Errorf("no finding %q with the repair %q: %+v", test.what, test.repair, w.explain(g.Name).Findings)
			})
		})
	}
}

func (w *world) unbind(g *v1alpha1.AccessGrant) {
	w.t.Helper()
	for _, namespace := range []string{v1alpha1.GrantsNamespace, "shop"} {
		if err := w.DeleteAllOf(w.t.Context(), &rbacv1.RoleBinding{}, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.GrantLabel: g.Name}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) unready(g *v1alpha1.AccessGrant) {
	w.t.Helper()
	g.Status.Conditions[0].Status, g.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonNameTaken
	if err := w.Status().Update(w.t.Context(), g); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) change(g *v1alpha1.AccessGrant) {
	w.t.Helper()
	g.Spec.MaxLifetime = &metav1.Duration{Duration: 2 * time.Hour}
	if err := w.Update(w.t.Context(), g); err != nil {
		w.t.Fatal(err)
	}
}

func TestExplainSaysThatNothingActsOnGrants(t *testing.T) {
	w := newWorld(t)
	w.grant("alone", v1alpha1.AccessGrantSpec{Subjects: []v1alpha1.GrantSubject{{User: "joe"}}, ClusterRoles: []string{"view"}, WholeCluster: true}, grant.World{})
	e := w.explain("alone")
	if len(e.Findings) != 1 || !strings.Contains(e.Findings[0].What, "the member controllers do not run there (they have never run)") || !e.WholeCluster || len(e.Rules) == 0 {
		t.Errorf("%+v", e)
	}
	seen := time.Now().Add(-12 * time.Minute)
	w.create(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.MemberControllersLease},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("test"), RenewTime: &metav1.MicroTime{Time: seen}},
	})
	e = w.explain("alone")
	if len(e.Findings) != 1 || !strings.Contains(e.Findings[0].What, "they last renewed their Lease at "+seen.UTC().Format(time.RFC3339)+", 12m") ||
		!strings.Contains(e.Findings[0].What, "what its status says (Granted) is of then") || !strings.Contains(e.Findings[0].Repair, "kubectl -n hawser get pods") {
		t.Errorf("of a Lease that nobody renews any more: %+v", e.Findings)
	}
	if _, err := w.asked.Explain(t.Context(), "nowhere", time.Now()); err == nil || !strings.Contains(err.Error(), `there is no AccessGrant "nowhere"`) {
		t.Errorf("error %v", err)
	}
}

func TestExplainNamesWhatMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	w.controllers()
	w.grant("hidden", v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "hidden-a", Namespace: "shop"}}, {Issuer: &v1alpha1.GrantIssuer{Name: "hidden", Subject: "x"}}},
		ClusterRoles: []string{"hidden"}, Namespaces: inShop,
	}, grant.World{Namespaces: shop()})
	cluster := fleettest.Use(t, "remote")
	namespace := cluster.Namespace(t)
	cluster.ServiceAccount(t, namespace, "reader")
	w.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "hidden-reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"hawser.io"}, Resources: []string{"accessgrants"}, Verbs: []string{"get"}},
	}})
	w.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "hidden-reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hidden-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "reader"}},
	})
	_, asked := reach(t, cluster.TokenConfig(cluster.Token(t, namespace, "reader", time.Hour)))
	want := []string{
		`ClusterRole "hidden"`, `TrustedIssuer "hidden"`, `namespace "shop"`, "the Lease of the member controllers",
		"whether connections may mint tokens (it takes the right to create subjectaccessreviews)",
		"objects of kind ServiceAccount", "objects of kind Role", "objects of kind RoleBinding", "objects of kind ClusterRoleBinding",
	}
	fleettest.Eventually(t, patience, func() error {
		e, err := asked.Explain(t.Context(), "hidden", time.Now())
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, e.Unknown); diff != "" {
			return fmt.Errorf("unknown (-want +got)\n%s", diff)
		}
		if len(e.Findings) > 0 {
			return errors.New("it found fault with what it did not see: " + e.Findings[0].What)
		}
		return nil
	})
}
