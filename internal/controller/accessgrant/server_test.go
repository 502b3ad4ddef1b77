package accessgrant

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/guard"
	"github.com/hawser-io/hawser/member"
)

func tokenRequest() *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(600))}}
}

func localSubject(name, namespace string) v1alpha1.GrantSubject {
	return v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: name, Namespace: namespace}}
}

func named(names ...string) *v1alpha1.GrantNamespaces {
	return &v1alpha1.GrantNamespaces{Names: names}
}

func connectionUser(local string) string {
	return "system:serviceaccount:" + v1alpha1.MemberNamespace(local) + ":" + v1alpha1.MemberServiceAccount
}

// TestGrants runs the controller in one cluster; each case has grants of its own.
func TestGrants(t *testing.T) {
	e := enter(t, "alpha", member.ControllerOptions{Gate: true}, nil)
	cases := map[string]func(*entered){
		"one connection mints for its accounts and nobody else does": testMinting,
		"a certificate's user mints only while it is bound here":     testCertificate,
		"a connection that is cut off loses the tokens it minted":    testRevoked,
		"what others change is put right":                            testDrift,
		"what is no longer asked for goes":                           testPrune,
		"namespaces follow their labels":                             testSelector,
		"what somebody else made is left alone":                      testNameTaken,
		"a grant ends by itself":                                     testEnd,
		"a token of a deleted grant dies":                            testDelete,
		"what a grant that is gone has left goes":                    testSweep,
		"what an earlier version made is owned, and not held":        testEarlier,
		"an issuer that is not believed lets nobody in":              testIssuer,
		"the status tells the effective verbs":                       testStatus,
		"nothing is written twice":                                   testQuiet,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(&entered{t, e.cluster, e.admin})
		})
	}
}

func testMinting(e *entered) {
	in, out := e.namespace("in", nil), e.namespace("out", nil)
	g := e.grant("minting", func(s *v1alpha1.AccessGrantSpec) {
		other := localSubject("other", "shop")
		other.LocalCluster.User = "fleet@example.com"
		s.Subjects = []v1alpha1.GrantSubject{localSubject("mine", "shop"), localSubject("mine", "bank"), other}
		s.Namespaces = named(in)
	})
	e.awaitReason(g, v1alpha1.ReasonGranted)
	shop, foreign := grant.AccountName("minting", g.Spec.Subjects[0]), grant.AccountName("minting", g.Spec.Subjects[2])
	mine := e.as(connectionUser("mine"))
	token := e.awaitToken(mine, shop)
	e.awaitToken(mine, grant.AccountName("minting", g.Spec.Subjects[1]))
	e.awaitToken(e.as(connectionUser("other")), foreign)
	e.awaitToken(e.as("fleet@example.com"), foreign)
	for user, account := range map[string]string{
		connectionUser("mine"):                                             foreign,
		connectionUser("other"):                                            shop,
		"fleet@example.com":                                                shop,
		v1alpha1.MemberUser("mine"):                                        shop, // nothing binds a certificate of that name here
		"system:serviceaccount:hawser-from-mine:default":                   shop,
		"system:serviceaccount:" + v1alpha1.GrantsNamespace + ":" + shop:   shop, // a token makes no more of itself
		"system:serviceaccount:hawser:" + member.ControllersServiceAccount: shop,
	} {
		if _, err := e.mint(e.as(user), account); !apierrors.IsForbidden(err) {
			e.Errorf("%s mints for %s: got %v, want a refusal", user, account, err)
		}
	}
	holder := e.with(e.cluster.TokenConfig(token))
	e.await("the token is let in where the grant says", func() bool { return e.may(holder, in) })
	if e.may(holder, out) || e.may(holder, v1alpha1.GrantsNamespace) {
		e.Error("the token is let in elsewhere")
	}
}

func testCertificate(e *entered) {
	g := e.grant("certificates", func(s *v1alpha1.AccessGrantSpec) { s.Subjects = []v1alpha1.GrantSubject{localSubject("cert", "shop")} })
	account, user := grant.AccountName(g.Name, g.Spec.Subjects[0]), e.as(v1alpha1.MemberUser("cert"))
	e.awaitToken(e.as(connectionUser("cert")), account)
	if _, err := e.mint(user, account); !apierrors.IsForbidden(err) {
		e.Fatalf("before: got %v, want a refusal", err)
	}
	for _, by := range []string{v1alpha1.ManagedBy, "Helm"} { // whoever installed the member side
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "hawser-connect-from-cert", Labels: map[string]string{v1alpha1.ManagedByLabel: by, v1alpha1.LocalClusterLabel: "cert"}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-connect"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: v1alpha1.MemberUser("cert")}},
		}
		e.create(binding)
		e.awaitToken(user, account)
		if err := e.admin.Delete(e.Context(), binding); err != nil { // as hawser revoke does
			e.Fatal(err)
		}
		e.await("refused after the revocation", func() bool { _, err := e.mint(user, account); return apierrors.IsForbidden(err) })
	}
}

func testRevoked(e *entered) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace("cut")}}
	connection := func() *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: v1alpha1.MemberServiceAccount}}
	}
	e.create(ns)
	if err := e.admin.Create(e.Context(), connection()); err != nil {
		e.Fatal(err)
	}
	g := e.grant("revoked", func(s *v1alpha1.AccessGrantSpec) { s.Subjects = []v1alpha1.GrantSubject{localSubject("cut", "shop")} })
	e.awaitReason(g, v1alpha1.ReasonGranted)
	account := func() types.UID { return e.uid(grant.AccountName(g.Name, g.Spec.Subjects[0])) }
	e.await("there is an account", func() bool { return account() != "" })
	before := account()
	// As hawser revoke does: the account is made anew, and every token of the old one is dead.
	for _, err := range []error{e.admin.Delete(e.Context(), connection()), e.admin.Create(e.Context(), connection())} {
		if err != nil {
			e.Fatal(err)
		}
	}
	e.await("the account of the grant is another one", func() bool { return account() != "" && account() != before })
}

func testDrift(e *entered) {
	in := e.namespace("drift", nil)
	e.grant("drift", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("d", "shop"), {User: "ann"}}
		s.Namespaces = named(in)
	})
	var want map[string]client.Object
	e.await("four objects", func() bool { want = e.made("drift"); return len(want) == 4 })
	right := func(what string) {
		e.Helper()
		e.await(what+" is put right", func() bool {
			now := e.made("drift")
			for name, obj := range want {
				if now[name] == nil || !grant.ChangesTo([]client.Object{obj}, []client.Object{now[name]}).Empty() {
					return false
				}
			}
			return len(now) == len(want)
		})
	}
	for name, obj := range want {
		if err := e.admin.Delete(e.Context(), obj.DeepCopyObject().(client.Object)); err != nil {
			e.Fatal(err)
		}
		right(name + ", deleted,")
	}
	var binding *rbacv1.RoleBinding
	for _, obj := range e.made("drift") {
		if rb, ok := obj.(*rbacv1.RoleBinding); ok && rb.Namespace == in {
			binding = rb
		}
	}
	e.change(binding, func() { binding.Subjects[1].Name = "eve" })
	right("another subject")
	e.change(binding, func() {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "all"})
	})
	right("one more subject")
	raised := binding.DeepCopy()
	raised.ResourceVersion, raised.UID, raised.RoleRef.Name = "", "", "admin"
	// Deleted and made anew with another role: the controller may be quicker than we are.
	fleettest.Eventually(e, patience, func() error {
		return errors.Join(client.IgnoreNotFound(e.admin.Delete(e.Context(), binding.DeepCopy())), e.admin.Create(e.Context(), raised.DeepCopy()))
	})
	e.await("the role is the grant's again", func() bool {
		now := &rbacv1.RoleBinding{}
		err := e.admin.Get(e.Context(), client.ObjectKeyFromObject(binding), now)
		return err == nil && now.RoleRef.Name == "view" && now.UID != binding.UID
	})
	right("another role")
	role := &rbacv1.Role{}
	for _, obj := range e.made("drift") {
		if r, ok := obj.(*rbacv1.Role); ok {
			role = r
		}
	}
	e.change(role, func() { role.Rules[0].ResourceNames = nil })
	right("a Role for every account")
}

func testPrune(e *entered) {
	one, two := e.namespace("one", nil), e.namespace("two", nil)
	g := e.grant("prune", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("p", "shop"), localSubject("q", "shop")}
		s.ClusterRoles = []string{"view", "edit"}
		s.Namespaces = named(one, two)
	})
	e.await("everything", func() bool { return len(e.made("prune")) == 2+2*2+2*2 })
	gone := grant.AccountName(g.Name, g.Spec.Subjects[1])
	e.change(g, func() {
		g.Spec.Subjects, g.Spec.ClusterRoles, g.Spec.Namespaces = g.Spec.Subjects[:1], []string{"view"}, named(two)
	})
	e.await("less", func() bool { return len(e.made("prune")) == 1+2+1 })
	if _, err := e.mint(e.as(connectionUser("q")), gone); !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		e.Errorf("a subject that is gone: got %v", err)
	}
	e.change(g, func() { g.Spec.Namespaces, g.Spec.WholeCluster = nil, true })
	e.await("a cluster-wide binding instead", func() bool {
		made := e.made("prune")
		return len(made) == 1+2+1 && slices.ContainsFunc(slices.Collect(maps.Values(made)), func(obj client.Object) bool {
			_, ok := obj.(*rbacv1.ClusterRoleBinding)
			return ok
		})
	})
}

func testSelector(e *entered) {
	label := map[string]string{"team": "selector"}
	first, second := e.namespace("first", label), e.namespace("second", nil)
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "hawser-from-selector", Labels: label}}
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-selector", Labels: label}}
	e.create(own, system)
	g := e.grant("selector", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{{Group: "team-selector"}}
		s.Namespaces = &v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{MatchLabels: label}}
	})
	await := func(want ...string) {
		e.Helper()
		slices.Sort(want)
		fleettest.Eventually(e, patience, func() error {
			e.reread(g)
			if diff := cmp.Diff(want, g.Status.Namespaces); diff != "" || len(e.made("selector")) != len(want) {
				return errors.New("namespaces (-want +got):\n" + diff)
			}
			return nil
		})
	}
	await(first)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: second}}
	e.change(ns, func() { ns.Labels["team"] = "selector" })
	await(first, second)
	ns.Name = first
	e.change(ns, func() { delete(ns.Labels, "team") })
	await(second)
}

func testNameTaken(e *entered) {
	in := e.namespace("taken", nil)
	g := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "taken"}, Spec: v1alpha1.AccessGrantSpec{
		Subjects: []v1alpha1.GrantSubject{{User: "ann"}}, ClusterRoles: []string{"view", "edit"}, Namespaces: named(in),
	}}
	wanted, err := grant.For(g, grant.World{Namespaces: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: in}}}})
	if err != nil {
		e.Fatal(err)
	}
	theirs := wanted.Objects[0].(*rbacv1.RoleBinding)
	theirs.Labels, theirs.OwnerReferences, theirs.Subjects[0].Name = nil, nil, "bob"
	e.create(theirs)
	g = e.grant("taken", func(s *v1alpha1.AccessGrantSpec) { *s = g.Spec })
	e.awaitReason(g, v1alpha1.ReasonNameTaken)
	if len(e.made("taken")) != 1 {
		e.Error("the other role is not bound")
	}
	before := theirs.ResourceVersion
	if e.reread(theirs); theirs.ResourceVersion != before {
		e.Error("somebody else's binding was changed")
	}
	if err := e.admin.Delete(e.Context(), theirs.DeepCopy()); err != nil {
		e.Fatal(err)
	}
	e.change(g, func() { g.Labels = map[string]string{"again": "now"} })
	e.awaitReason(g, v1alpha1.ReasonGranted)
}

func testEnd(e *entered) {
	g := e.grant("ends", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("e", "shop")}
		s.EndsAt = &metav1.Time{Time: time.Now().Add(3 * time.Second)}
	})
	e.awaitReason(g, v1alpha1.ReasonGranted)
	if len(e.made("ends")) == 0 {
		e.Error("nothing is made before the end")
	}
	e.awaitReason(g, v1alpha1.ReasonEnded)
	e.await("everything is gone", func() bool { return len(e.made("ends")) == 0 })
	if len(g.Status.Accounts)+len(g.Status.Namespaces)+len(g.Status.Rules) != 0 {
		e.Errorf("the status still tells of %+v", g.Status)
	}
}

func testDelete(e *entered) {
	in := e.namespace("deleted", nil)
	g := e.grant("deleted", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects, s.Namespaces = []v1alpha1.GrantSubject{localSubject("x", "shop")}, named(in)
	})
	holder := e.with(e.cluster.TokenConfig(e.awaitToken(e.as(connectionUser("x")), grant.AccountName(g.Name, g.Spec.Subjects[0]))))
	e.await("the token is let in", func() bool { return e.may(holder, in) })
	begin := time.Now()
	if err := e.admin.Delete(e.Context(), g); err != nil {
		e.Fatal(err)
	}
	e.await("the token is refused", func() bool { return !e.may(holder, in) })
	e.await("the grant is gone", func() bool {
		return apierrors.IsNotFound(e.admin.Get(e.Context(), client.ObjectKeyFromObject(g), g)) && len(e.made("deleted")) == 0
	})
	if took := time.Since(begin); took > 15*time.Second {
		e.Errorf("that took %s, and 15 s are promised", took)
	}
}

// testEarlier is about grants that were held by a finalizer, and objects that nothing owned.
func testEarlier(e *entered) {
	in := e.namespace("earlier", nil)
	g := e.grant("earlier", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects, s.Namespaces = []v1alpha1.GrantSubject{localSubject("x", "shop"), {User: "ann"}}, named(in)
	})
	e.awaitReason(g, v1alpha1.ReasonGranted)
	account := grant.AccountName(g.Name, g.Spec.Subjects[0])
	before := e.uid(account)
	for _, obj := range e.made(g.Name) {
		e.change(obj, func() { obj.SetOwnerReferences(nil) })
	}
	e.change(g, func() {
		g.Finalizers = []string{v1alpha1.GrantFinalizer}
		metav1.SetMetaDataAnnotation(&g.ObjectMeta, "x", "y")
	})
	e.await("the grant is held by nothing", func() bool { e.reread(g); return len(g.Finalizers) == 0 })
	e.await("the grant owns what was made of it", func() bool {
		made := e.made(g.Name)
		for _, obj := range made {
			if owners := obj.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != g.UID || owners[0].BlockOwnerDeletion != nil {
				return false
			}
		}
		return len(made) == 4
	})
	if e.uid(account) != before {
		e.Error("the account was made anew, and with it every token is dead")
	}
}

// TestAGrantIsTakenBackWhereNoControllerRuns leaves it to the garbage collector.
func TestAGrantIsTakenBackWhereNoControllerRuns(t *testing.T) {
	const name = "uncontrolled"
	var e *entered
	var holder client.Client
	var in string
	t.Run("as long as one runs", func(sub *testing.T) {
		run := enter(sub, "alpha", member.ControllerOptions{}, nil)
		e = &entered{t, run.cluster, run.admin} // lives on
		in = e.namespace("uncontrolled", nil)
		g := e.grant(name, func(s *v1alpha1.AccessGrantSpec) {
			s.Subjects, s.Namespaces = []v1alpha1.GrantSubject{localSubject("x", "shop"), {User: "ann"}}, named(in)
		})
		holder = e.with(e.cluster.TokenConfig(e.awaitToken(e.as(connectionUser("x")), grant.AccountName(g.Name, g.Spec.Subjects[0]))))
		e.await("the token is let in", func() bool { return e.may(holder, in) })
		e.await("the user is let in", func() bool { return e.may(e.as("ann"), in) })
	})
	if err := e.admin.Delete(t.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	e.await("nothing of it is left", func() bool { return len(e.made(name)) == 0 })
	e.await("the user is refused", func() bool { return !e.may(e.as("ann"), in) })
	e.await("the token is refused", func() bool { return !e.may(holder, in) })
}

func testSweep(e *entered) {
	orphan := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "swept-0123456789abcdef",
		Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.GrantLabel: "swept"}}}
	if err := e.as("system:serviceaccount:hawser:"+member.ControllersServiceAccount).Create(e.Context(), orphan); err != nil {
		e.Fatal(err)
	}
	e.await("the orphan is gone", func() bool { return len(e.made("swept")) == 0 })
}

func testIssuer(e *entered) {
	issuer := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://theirs.example.com", Prefix: "theirs:"}}
	g := e.grant("federated", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{
			{Issuer: &v1alpha1.GrantIssuer{Name: "theirs", Subject: "system:serviceaccount:shop:web"}},
			{Issuer: &v1alpha1.GrantIssuer{Name: "theirs", SubjectPattern: "system:serviceaccount:team-*:web"}},
			{User: "ann"},
		}
	})
	e.awaitReason(g, v1alpha1.ReasonIssuerUnready)
	gate, account := e.as("system:serviceaccount:hawser:"+v1alpha1.GateServiceAccount), grant.AccountName(g.Name, g.Spec.Subjects[0])
	if _, err := e.mint(gate, account); err == nil {
		e.Fatal("a token for a subject of an issuer that is not there")
	}
	say := func(status metav1.ConditionStatus, reason string) {
		e.Helper()
		e.reread(issuer)
		before := issuer.DeepCopy()
		issuer.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: status, Reason: reason, LastTransitionTime: metav1.Now()}}
		if err := e.admin.Status().Patch(e.Context(), issuer, client.MergeFrom(before)); err != nil {
			e.Fatal(err)
		}
	}
	says := func(text string) func() bool {
		return func() bool {
			e.reread(g)
			c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.Ready)
			return c != nil && strings.Contains(c.Message, text)
		}
	}
	e.await("the issuer is said to be missing", says(`there is no TrustedIssuer of the name "theirs"`))
	e.create(issuer)
	e.await("the issuer is said to be there and not Ready", says(`TrustedIssuer "theirs" is not Ready: kubectl describe trustedissuers`))
	say(metav1.ConditionTrue, v1alpha1.ReasonTrusted)
	e.awaitReason(g, v1alpha1.ReasonGranted)
	token := e.awaitToken(gate, account)
	holder, direct := e.with(e.cluster.TokenConfig(token)), e.as("theirs:system:serviceaccount:shop:web")
	e.await("both ways lead in", func() bool { return e.may(holder, "default") && e.may(direct, "default") })

	uid := func() types.UID { return e.uid(account) }
	first := uid()
	say(metav1.ConditionFalse, v1alpha1.ReasonNoKeys)
	e.await("neither way leads in", func() bool { return !e.may(holder, "default") && !e.may(direct, "default") && uid() == "" })
	if !e.may(e.as("ann"), "default") {
		e.Error("the other subject of the grant is cut off, too")
	}
	say(metav1.ConditionTrue, v1alpha1.ReasonTrusted)
	e.await("the users are back, the old account is not", func() bool { return e.may(direct, "default") && uid() != "" && uid() != first })
	second := uid()
	e.change(issuer, func() { issuer.Spec.URL = "https://elsewhere.example.com" })
	e.await("the issuer that has the name now gets an account of its own", func() bool { return uid() != "" && uid() != second })
}

func testStatus(e *entered) {
	in := e.namespace("status", nil)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reads-pods"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"list", "get"}},
	}}
	g := e.grant("status", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("s", "shop")}
		s.ClusterRoles, s.Namespaces = []string{"reads-pods"}, named(in, "not-yet")
	})
	e.awaitReason(g, v1alpha1.ReasonRolesMissing)
	e.create(role)
	e.awaitReason(g, v1alpha1.ReasonGranted)
	want := v1alpha1.AccessGrantStatus{
		Conditions: []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGranted, ObservedGeneration: 1,
			Message: `in namespace "` + in + `"; not there yet: "not-yet"`, LastTransitionTime: ready(g).LastTransitionTime}},
		ObservedGeneration: 1,
		Accounts:           []v1alpha1.GrantAccount{{Name: grant.AccountName("status", g.Spec.Subjects[0]), Subject: `namespace "shop" of local cluster "s"`}},
		Namespaces:         []string{in},
		Rules:              []string{"get,list pods,services"},
	}
	if diff := cmp.Diff(want, g.Status); diff != "" {
		e.Errorf("status (-want +got):\n%s", diff)
	}
	e.change(role, func() { role.Rules[0].Verbs = []string{"get"} })
	e.await("the new verbs are shown", func() bool { e.reread(g); return slices.Equal(g.Status.Rules, []string{"get pods,services"}) })
	if err := e.admin.Delete(e.Context(), role); err != nil {
		e.Fatal(err)
	}
	e.awaitReason(g, v1alpha1.ReasonRolesMissing)
}

func testQuiet(e *entered) {
	in := e.namespace("quiet", nil)
	g := e.grant("quiet", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("q", "shop"), {User: "ann"}}
		s.Namespaces = named(in)
	})
	e.awaitReason(g, v1alpha1.ReasonGranted)
	e.await("everything", func() bool { return len(e.made("quiet")) == 4 })
	e.reread(g)
	versions := func() map[string]string {
		all := map[string]string{}
		for name, obj := range e.made("quiet") {
			all[name] = obj.GetResourceVersion()
		}
		return all
	}
	before, rights := versions(), g.ResourceVersion
	// A change of the namespace makes the controller look again; a second grant shows that it has.
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: in}}
	e.change(ns, func() { ns.Labels["quiet"] = "yes" })
	e.awaitReason(e.grant("quiet-too", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects, s.Namespaces = []v1alpha1.GrantSubject{{User: "ann"}}, &v1alpha1.GrantNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"quiet": "yes"}}}
	}), v1alpha1.ReasonGranted)
	e.reread(g)
	if diff := cmp.Diff(before, versions()); diff != "" || rights != g.ResourceVersion {
		e.Errorf("written again (-before +after):\n%s", diff)
	}
}

// TestWithoutThePolicyNothingIsGiven installs all but what keeps authors within their rights, and narrow
// rights to bind.
func TestWithoutThePolicyNothingIsGiven(t *testing.T) {
	t.Parallel()
	policies := map[string]client.Object{}
	e := enter(t, "beta", member.ControllerOptions{GrantableRoles: []string{"view"}}, func(obj client.Object) bool {
		if obj.GetName() != member.GrantAuthorsPolicy {
			return false
		}
		policies[obj.GetObjectKind().GroupVersionKind().Kind] = obj
		return true
	})
	policy := policies["ValidatingAdmissionPolicy"].(*admissionv1.ValidatingAdmissionPolicy)
	binding := policies["ValidatingAdmissionPolicyBinding"].(*admissionv1.ValidatingAdmissionPolicyBinding)
	g := e.grant("unbounded", func(s *v1alpha1.AccessGrantSpec) {
		s.Subjects = []v1alpha1.GrantSubject{localSubject("u", "shop"), {User: "ann"}}
	})
	e.awaitReason(g, v1alpha1.ReasonAuthorsUnbounded)
	if made := e.made("unbounded"); len(made) != 0 {
		t.Errorf("given away: %v", slices.Collect(maps.Keys(made)))
	}
	look := func() error {
		g := guard.Policy{Name: member.GrantAuthorsPolicy, Live: e.as("system:serviceaccount:hawser:" + member.ControllersServiceAccount), Clock: clock.RealClock{}}
		return g.Missing(t.Context())
	}
	weakened := policy.DeepCopy()
	weakened.Spec.Validations = weakened.Spec.Validations[:3]
	e.create(weakened)
	if look() == nil {
		t.Error("a policy without its binding counts as one in force")
	}
	e.create(binding)
	if look() == nil {
		t.Error("a policy that asks for three roles only counts as Hawser's")
	}
	e.change(weakened, func() { weakened.Spec.Validations = policy.Spec.Validations })
	if err := look(); err != nil {
		t.Errorf("the policy is in force: %v", err)
	}
	e.change(binding, func() { binding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit} })
	if look() == nil {
		t.Error("a policy that only warns counts as one in force")
	}
	e.change(binding, func() { binding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Deny} })
	e.change(g, func() { g.Labels = map[string]string{"look": "again"} })
	e.awaitReason(g, v1alpha1.ReasonGranted)

	// Whoever wrote the grant, the controllers bind only what they were let.
	e.change(g, func() { g.Spec.ClusterRoles = []string{"view", "cluster-admin"} })
	e.awaitReason(g, v1alpha1.ReasonRefused)
	for name, obj := range e.made("unbounded") {
		if b, ok := obj.(*rbacv1.ClusterRoleBinding); ok && b.RoleRef.Name == "cluster-admin" {
			t.Errorf("%s binds cluster-admin", name)
		}
	}
}
