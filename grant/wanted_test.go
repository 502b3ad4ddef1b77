package grant_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
)

func namespaceOf(name string, labels map[string]string) corev1.Namespace {
	return corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// outline tells objects in lines: what they are, and what counts in them.
func outline(objs []client.Object) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	names := func(subjects []rbacv1.Subject) (all []string) {
		for _, s := range subjects {
			all = append(all, s.Kind+" "+s.Namespace+"/"+s.Name)
		}
		return all
	}
	for _, obj := range objs {
		switch obj := obj.(type) {
		case *corev1.ServiceAccount:
			add("account %s", obj.Name)
		case *rbacv1.Role:
			add("role for %v", obj.Rules[0].ResourceNames)
		case *rbacv1.RoleBinding:
			add("in %s %s to %v", obj.Namespace, obj.RoleRef.Kind, names(obj.Subjects))
		case *rbacv1.ClusterRoleBinding:
			add("everywhere %s to %v", obj.RoleRef.Name, names(obj.Subjects))
		}
	}
	return lines
}

func TestFor(t *testing.T) {
	usable := map[string]grant.Issuer{"b": {Usable: true, Prefix: "b:", Named: true, Origin: "1"}}
	team := map[string]string{"team": "a"}
	gone := namespaceOf("gone", team)
	gone.DeletionTimestamp = &metav1.Time{}
	w := grant.World{
		Issuers: usable,
		Namespaces: []corev1.Namespace{
			namespaceOf("two", team), namespaceOf("one", team), namespaceOf("three", nil), gone,
			namespaceOf("hawser", team), namespaceOf("hawser-grants", team), namespaceOf("hawser-from-a", team), namespaceOf("kube-system", team),
		},
		Roles:       map[string][]rbacv1.PolicyRule{"view": nil, "edit": nil},
		Connections: map[string]grant.Connection{"c": {Certificate: true}},
	}
	account := func(s v1alpha1.GrantSubject) string { return grant.AccountName("shop", s) }
	local, withUser, cert := localSubject("a", "shop", ""), localSubject("a", "bank", "fleet"), localSubject("c", "shop", "")
	subject, pattern := issuerSubject("b", "x"), issuerPattern("b", "x*")
	in := func(n v1alpha1.GrantNamespaces, subjects ...v1alpha1.GrantSubject) *v1alpha1.AccessGrant {
		g := grantOf(subjects...)
		g.Spec.WholeCluster, g.Spec.Namespaces = false, &n
		return g
	}
	ann := v1alpha1.GrantSubject{User: "ann"}
	tests := map[string]struct {
		grant *v1alpha1.AccessGrant
		world func(*grant.World)
		want  []string
		lacks string // what the grant names and is not there
	}{
		"a user and a group need no account": {grantOf(ann, v1alpha1.GrantSubject{Group: "team"}, ann), nil,
			[]string{"everywhere view to [User /ann Group /team]"}, ""},
		"a local cluster gets an account and the right to mint": {grantOf(local), nil, []string{
			"account " + account(local), "role for [" + account(local) + "]", "in hawser-grants Role to [ServiceAccount hawser-from-a/hawser]",
			"everywhere view to [ServiceAccount hawser-grants/" + account(local) + "]"}, ""},
		"two users of one connection mint apart": {grantOf(local, withUser), nil, []string{
			"account " + account(local), "account " + account(withUser),
			"role for [" + account(local) + "]", "in hawser-grants Role to [ServiceAccount hawser-from-a/hawser]",
			"role for [" + account(withUser) + "]", "in hawser-grants Role to [ServiceAccount hawser-from-a/hawser User /fleet]",
			"everywhere view to [ServiceAccount hawser-grants/" + account(local) + " ServiceAccount hawser-grants/" + account(withUser) + "]"}, ""},
		"a certificate's user mints while it is bound": {grantOf(cert), nil, []string{
			"account " + account(cert), "role for [" + account(cert) + "]", "in hawser-grants Role to [ServiceAccount hawser-from-c/hawser User /hawser:from:c]",
			"everywhere view to [ServiceAccount hawser-grants/" + account(cert) + "]"}, ""},
		"naming a certificate's user does not bind it for good": {grantOf(localSubject("a", "shop", "hawser:from:a")), nil, []string{
			"account " + account(local), "role for [" + account(local) + "]", "in hawser-grants Role to [ServiceAccount hawser-from-a/hawser]",
			"everywhere view to [ServiceAccount hawser-grants/" + account(local) + "]"}, ""},
		"a subject is also a user, a pattern is not": {grantOf(subject, pattern), nil, []string{
			"account " + account(subject), "account " + account(pattern),
			"everywhere view to [User /b:x ServiceAccount hawser-grants/" + account(subject) + " ServiceAccount hawser-grants/" + account(pattern) + "]"}, ""},
		"a subject of an issuer that calls its users otherwise is not": {grantOf(subject),
			func(w *grant.World) { w.Issuers = map[string]grant.Issuer{"b": {Usable: true, Prefix: "b:"}} }, []string{
				"account " + account(subject), "everywhere view to [ServiceAccount hawser-grants/" + account(subject) + "]"}, ""},
		"an issuer that is not usable lets nobody in": {grantOf(subject, pattern, ann),
			func(w *grant.World) { w.Issuers = map[string]grant.Issuer{"b": {Prefix: "b:", Named: true}} },
			[]string{"everywhere view to [User /ann]"}, "[b (not ready)]"},
		"an issuer that is not there": {grantOf(subject), func(w *grant.World) { w.Issuers = nil }, nil, "[b]"},
		"an account that is somebody else's gets nothing": {grantOf(local, ann), func(w *grant.World) { w.Taken = map[string]bool{account(local): true} },
			[]string{"everywhere view to [User /ann]"}, ""},
		"namespaces by name": {in(v1alpha1.GrantNamespaces{Names: []string{"two", "one", "none", "gone", "kube-system", "hawser", "hawser-from-a"}}, ann), nil, []string{
			"in kube-system ClusterRole to [User /ann]", "in one ClusterRole to [User /ann]", "in two ClusterRole to [User /ann]"}, "[gone none]"},
		"namespaces by label": {in(v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{MatchLabels: team}}, ann), nil, []string{
			"in one ClusterRole to [User /ann]", "in two ClusterRole to [User /ann]"}, ""},
		"an empty selector selects nothing": {in(v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{}}, ann), nil, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := w
			if tt.world != nil {
				tt.world(&w)
			}
			got, err := grant.For(tt.grant, w)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outline(got.Objects)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			lacks := append(got.IssuersMissing, got.NamespacesMissing...)
			for _, issuer := range got.IssuersUnready {
				lacks = append(lacks, issuer+" (not ready)")
			}
			if len(lacks) > 0 != (tt.lacks != "") || (tt.lacks != "" && fmt.Sprint(lacks) != tt.lacks) {
				t.Errorf("lacks %v, want %s", lacks, tt.lacks)
			}
		})
	}
	t.Run("roles that do not exist are bound all the same, and told", func(t *testing.T) {
		g := grantOf(ann)
		g.Spec.ClusterRoles = []string{"edit", "later"}
		got, err := grant.For(g, w)
		if err != nil || len(got.Objects) != 2 || fmt.Sprint(got.RolesMissing) != "[later]" {
			t.Errorf("got %v, missing %v, %v", outline(got.Objects), got.RolesMissing, err)
		}
	})
}

func TestNamesOfTwoGrantsNeverMeet(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "a-b", "b", "a-0123456789abcdef"} {
		g := grantOf(localSubject("c", "shop", ""), localSubject("c", "shop", "u"), localSubject("d", "shop", ""))
		g.Name, g.Spec.ClusterRoles = name, []string{"view", "edit"}
		wanted, err := grant.For(g, grant.World{})
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range wanted.Objects {
			key := fmt.Sprintf("%T %s/%s", obj, obj.GetNamespace(), obj.GetName())
			if other, ok := seen[key]; ok {
				t.Errorf("%s is of %q and of %q", key, other, name)
			}
			seen[key] = name
			if !grant.Ours(obj, name) {
				t.Errorf("%s does not carry the labels of %q", key, name)
			}
		}
	}
}

func TestChangesTo(t *testing.T) {
	g := grantOf(localSubject("a", "shop", ""), issuerSubject("b", "x"), v1alpha1.GrantSubject{User: "ann"})
	world := grant.World{
		Issuers:     map[string]grant.Issuer{"b": {Usable: true, Prefix: "b:", Origin: "1"}},
		Connections: map[string]grant.Connection{"a": {Origin: "1"}},
	}
	objects := func() []client.Object {
		wanted, err := grant.For(g, world)
		if err != nil {
			t.Fatal(err)
		}
		return wanted.Objects // 2 accounts, Role, RoleBinding, ClusterRoleBinding
	}
	tests := map[string]struct {
		there func([]client.Object) []client.Object
		want  string // deleted, updated, created
	}{
		"nothing is there":        {func([]client.Object) []client.Object { return nil }, "0 0 5"},
		"everything is as wanted": {func(o []client.Object) []client.Object { return o }, "0 0 0"},
		"labels of others, and their order of subjects": {func(o []client.Object) []client.Object {
			b := o[4].(*rbacv1.ClusterRoleBinding)
			b.Labels["team"] = "x"
			b.Subjects[0], b.Subjects[1] = b.Subjects[1], b.Subjects[0]
			return o
		}, "0 0 0"},
		"one more subject": {func(o []client.Object) []client.Object {
			b := o[4].(*rbacv1.ClusterRoleBinding)
			b.Subjects = append(b.Subjects, b.Subjects[0])
			return o
		}, "0 1 0"},
		"another subject": {func(o []client.Object) []client.Object { o[3].(*rbacv1.RoleBinding).Subjects[0].Name = "eve"; return o }, "0 1 0"},
		"another role": {func(o []client.Object) []client.Object {
			o[4].(*rbacv1.ClusterRoleBinding).RoleRef.Name = "admin"
			return o
		}, "1 0 1"},
		"another Role": {func(o []client.Object) []client.Object {
			o[3].(*rbacv1.RoleBinding).RoleRef.Kind = "ClusterRole"
			return o
		}, "1 0 1"},
		"other rules": {func(o []client.Object) []client.Object { o[2].(*rbacv1.Role).Rules[0].ResourceNames = nil; return o }, "0 1 0"},
		"an account that pods get tokens of": {func(o []client.Object) []client.Object {
			o[0].(*corev1.ServiceAccount).AutomountServiceAccountToken = nil
			return o
		}, "0 1 0"},
		"an account of another issuer": {func(o []client.Object) []client.Object { o[1].SetAnnotations(nil); return o }, "1 0 1"},
		"something that is no longer asked for": {func(o []client.Object) []client.Object {
			x := o[0].DeepCopyObject().(client.Object)
			x.SetName("x")
			return append(o, x)
		}, "1 0 0"},
		"something that is already being deleted": {func(o []client.Object) []client.Object { o[0].SetDeletionTimestamp(&metav1.Time{}); return o }, "0 0 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := grant.ChangesTo(objects(), tt.there(objects()))
			if got := fmt.Sprint(len(c.Delete), len(c.Update), len(c.Create)); got != tt.want || c.Empty() != (got == "0 0 0") {
				t.Errorf("deletes, updates and creates %s, want %s", got, tt.want)
			}
			for _, obj := range c.Update {
				if again := grant.ChangesTo(objects(), append(objects(), obj)); len(again.Update) > 0 {
					t.Errorf("what was put right is still wrong: %v", outline(again.Update))
				}
			}
		})
	}
	t.Run("rights go before accounts", func(t *testing.T) {
		c := grant.ChangesTo(nil, objects())
		if _, binding := c.Delete[0].(*rbacv1.ClusterRoleBinding); !binding || len(c.Delete) != 5 {
			t.Errorf("deleted in the order %v", outline(c.Delete))
		}
	})
	t.Run("a connection that was cut off and joined again does not take over its account", func(t *testing.T) {
		there := objects()
		world.Connections = map[string]grant.Connection{"a": {Origin: "2"}}
		if c := grant.ChangesTo(objects(), there); len(c.Delete) != 1 || len(c.Create) != 1 {
			t.Errorf("deletes %v", outline(c.Delete))
		}
	})
	t.Run("a new grant of the same name does not take over its accounts", func(t *testing.T) {
		there := objects()
		g.UID = "g-2"
		if c := grant.ChangesTo(objects(), there); len(c.Delete) != 2 || len(c.Create) != 2 {
			t.Errorf("deletes %v", outline(c.Delete))
		}
	})
}

func TestRules(t *testing.T) {
	roles := map[string][]rbacv1.PolicyRule{
		"a": {
			{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"list", "get"}},
			{APIGroups: []string{"apps"}, Resources: []string{"deployments", "deployments/scale"}, Verbs: []string{"get"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"settings"}, Verbs: []string{"*", "get"}},
			{NonResourceURLs: []string{"/healthz"}, Verbs: []string{"get"}},
		},
		"b": {{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"delete"}}},
		"c": {{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}},
	}
	g := grantOf()
	g.Spec.ClusterRoles = []string{"a", "b", "none"}
	want := []string{"* configmaps[settings]", "delete,get,list services", "get /healthz,deployments.apps,deployments.apps/scale", "get,list pods"}
	if diff := cmp.Diff(want, grant.Rules(g, roles)); diff != "" {
		t.Errorf("whole cluster (-want +got):\n%s", diff)
	}
	g.Spec.WholeCluster = false
	want[2] = "get deployments.apps,deployments.apps/scale"
	if diff := cmp.Diff(want, grant.Rules(g, roles)); diff != "" {
		t.Errorf("in namespaces (-want +got):\n%s", diff)
	}
}
