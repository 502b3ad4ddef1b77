package member_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

// federation is a cluster with the kinds, the policies, the controllers' rights and the gate's. Nothing runs in it.
type federation struct {
	admin              client.Client
	controllers, gate  client.Client
	author, masterless client.Client // may write grants and bind view; and: may do all that an admin may, under a name of its own
}

func newFederation(t *testing.T) federation {
	t.Helper()
	alpha := fleettest.Use(t, "alpha")
	config := alpha.AdminConfig()
	f := federation{
		admin:       asWho(t, config, ""),
		controllers: asWho(t, config, accountUser(member.ControllersServiceAccount)),
		gate:        asWho(t, config, accountUser(v1alpha1.GateServiceAccount)),
		author:      asWho(t, config, "dora"),
		masterless:  asWho(t, config, "otto"),
	}
	crds, err := crd.YAML(crd.TrustedIssuers, crd.AccessGrants)
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.Apply(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	apply(t, f.admin, member.ControllerObjects(member.ControllerOptions{Gate: true}))
	f.allow(t, "dora", "accessgrants",
		rbacv1.PolicyRule{APIGroups: []string{"hawser.io"}, Resources: []string{"accessgrants"}, Verbs: []string{"create", "update", "patch", "get"}},
		rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"}, ResourceNames: []string{"view"}},
	)
	f.allow(t, "otto", "everything", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	// Policies come into force a moment after they are written; the one with parameters needs the kind, too.
	alpha.AwaitPolicies(t)
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(f.author.Create(t.Context(), grantOf("settle", "cluster-admin"), client.DryRunAll), "needs the verb bind")
	})
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(f.masterless.Create(t.Context(), pod(v1alpha1.GrantsNamespace), client.DryRunAll), "nothing runs")
	})
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(f.controllers.Create(t.Context(), clusterBinding("settle", "x", "view"), client.DryRunAll), "name of a grant")
	})
	return f
}

func accountUser(name string) string {
	return "system:serviceaccount:" + v1alpha1.Namespace + ":" + name
}

func asWho(t *testing.T, config *rest.Config, user string) client.Client {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.Impersonate.UserName = user
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// allow gives a user rights in the whole cluster.
func (f federation) allow(t *testing.T, user, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-" + strings.ReplaceAll(user, ":", "-") + "-" + name}, Rules: rules}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	for _, obj := range []client.Object{role, binding} {
		if err := f.admin.Create(t.Context(), obj); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
}

func grantOf(name string, roles ...string) *v1alpha1.AccessGrant {
	return &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.AccessGrantSpec{
			Subjects:     []v1alpha1.GrantSubject{{User: "ann"}},
			ClusterRoles: roles,
			WholeCluster: true,
		},
	}
}

func pod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "intruder"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
}

// wantForbidden is nil for a refusal of the given words.
func wantForbidden(err error, words string) error {
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), words) {
		return nil
	}
	return &unexpected{err, words}
}

type unexpected struct {
	got   error
	words string
}

func (u *unexpected) Error() string {
	got := "success"
	if u.got != nil {
		got = u.got.Error()
	}
	return "got " + got + ", want a refusal with " + u.words
}

// must fails the test with what is wrong, if anything is.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestNobodyGrantsMoreThanTheyHave writes grants as somebody who may write them and bind one role.
func TestNobodyGrantsMoreThanTheyHave(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	f.allow(t, "dora", "names", rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"},
		ResourceNames: []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6"},
	})
	if err := f.author.Create(ctx, grantOf("own", "view")); err != nil {
		t.Fatalf("a role that the author may bind: %v", err)
	}
	if err := f.author.Create(ctx, grantOf("seven", "r0", "r1", "r2", "r3", "r4", "r5", "r6"), client.DryRunAll); err != nil {
		t.Errorf("seven of them: %v", err)
	}
	for i := range 8 {
		roles := []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "view"}
		roles[i] = "cluster-admin"
		must(t, wantForbidden(f.author.Create(ctx, grantOf("raised", roles...), client.DryRunAll), "to grant ClusterRole cluster-admin, dora needs the verb bind"))
	}
	change := func(who client.Client, change func(*v1alpha1.AccessGrant)) error {
		var g v1alpha1.AccessGrant
		if err := who.Get(ctx, client.ObjectKey{Name: "own"}, &g); err != nil {
			t.Fatal(err)
		}
		before := g.DeepCopy()
		change(&g)
		return who.Patch(ctx, &g, client.MergeFrom(before))
	}
	must(t, wantForbidden(change(f.author, func(g *v1alpha1.AccessGrant) { g.Spec.ClusterRoles = []string{"edit"} }), "to grant ClusterRole edit"))
	must(t, change(f.author, func(g *v1alpha1.AccessGrant) { g.Labels = map[string]string{"team": "a"} }))

	t.Run("somebody else's grant is changed only by who may bind its roles", func(t *testing.T) {
		if err := f.admin.Create(ctx, grantOf("admins", "cluster-admin")); err != nil {
			t.Fatal(err)
		}
		var g v1alpha1.AccessGrant
		if err := f.author.Get(ctx, client.ObjectKey{Name: "admins"}, &g); err != nil {
			t.Fatal(err)
		}
		if err := f.author.Patch(ctx, &g, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"a"}}}`))); err != nil {
			t.Errorf("a label: %v", err)
		}
		g.Spec.Subjects = []v1alpha1.GrantSubject{{User: "dora"}}
		must(t, wantForbidden(f.author.Update(ctx, &g), "to grant ClusterRole cluster-admin"))
	})
	t.Run("the verb bind in one namespace is not enough", func(t *testing.T) {
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "binds-edit"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"}, ResourceNames: []string{"edit"}}},
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: role.ObjectMeta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "dora"}},
		}
		for _, obj := range []client.Object{role, binding} {
			if err := f.admin.Create(ctx, obj); err != nil {
				t.Fatal(err)
			}
		}
		g := grantOf("local", "edit")
		g.Spec.WholeCluster, g.Spec.Namespaces = false, &v1alpha1.GrantNamespaces{Names: []string{"default"}}
		must(t, wantForbidden(f.author.Create(ctx, g, client.DryRunAll), "in the whole cluster"))
	})
	t.Run("the member controllers write none", func(t *testing.T) {
		must(t, change(f.controllers, func(g *v1alpha1.AccessGrant) { g.Finalizers = []string{v1alpha1.GrantFinalizer} }))
		must(t, wantForbidden(change(f.controllers, func(g *v1alpha1.AccessGrant) { g.Spec.Subjects[0].User = "eve" }), "write none"))
		if err := f.controllers.Create(ctx, grantOf("theirs", "view"), client.DryRunAll); !apierrors.IsForbidden(err) {
			t.Errorf("creating one: got %v, want a refusal", err)
		}
		must(t, change(f.controllers, func(g *v1alpha1.AccessGrant) { g.Finalizers = nil }))
	})
}

// TestTokensOfGrants mints as the gate.
func TestTokensOfGrants(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	const named, unnamed, ofNobody = "tok-0123456789abcdef", "tok-fedcba9876543210", "tok-x"
	for _, name := range []string{named, unnamed, ofNobody} {
		if err := f.controllers.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	g := grantOf("tok", "view")
	g.Finalizers = []string{"example.com/keep"}
	g.Spec.MaxLifetime = &metav1.Duration{Duration: 20 * time.Minute}
	if err := f.admin.Create(ctx, g); err != nil {
		t.Fatal(err)
	}
	accounts := `{"status":{"accounts":[{"name":"` + named + `","subject":"somebody"}]}}`
	if err := f.controllers.Status().Patch(ctx, g, client.RawPatch("application/merge-patch+json", []byte(accounts))); err != nil {
		t.Fatal(err)
	}
	mint := func(who client.Client, namespace, name string, lifetime time.Duration, bound *authenticationv1.BoundObjectReference) error {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		return who.SubResource("token").Create(ctx, account, tokenRequest(lifetime, bound))
	}
	const there = v1alpha1.GrantsNamespace
	fleettest.Eventually(t, 30*time.Second, func() error { // until the API server knows this grant among all
		err := mint(f.gate, there, named, 20*time.Minute+time.Second, nil)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "lives at most 1200s") {
			return fmt.Errorf("a token that outlives its grant's: got %w", err)
		}
		return nil
	})
	must(t, mint(f.gate, there, named, 20*time.Minute, nil))
	pod := &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "any"}
	if err := mint(f.gate, there, named, 10*time.Minute, pod); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "bound to no pod") {
		t.Errorf("a token bound to a pod: got %v", err)
	}
	must(t, wantForbidden(mint(f.gate, there, unnamed, 10*time.Minute, nil), "does not name this account"))
	must(t, wantForbidden(mint(f.gate, there, ofNobody, 10*time.Minute, nil), "only for the accounts that grants make"))
	must(t, wantForbidden(mint(f.masterless, there, "default", 10*time.Minute, nil), "only for the accounts that grants make"))
	for _, elsewhere := range []string{v1alpha1.Namespace, metav1.NamespaceDefault, metav1.NamespaceSystem} {
		must(t, wantForbidden(mint(f.gate, elsewhere, "default", 10*time.Minute, nil), "cannot create resource"))
	}
	must(t, wantForbidden(mint(f.gate, v1alpha1.Namespace, member.ControllersServiceAccount, 10*time.Minute, nil), "cannot create resource"))
	must(t, wantForbidden(mint(f.controllers, there, named, 10*time.Minute, nil), "cannot create resource"))

	if err := f.admin.Delete(ctx, g); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(mint(f.gate, there, named, 10*time.Minute, nil), "not any more")
	})
	if err := f.admin.Patch(ctx, g, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
}

// TestNamespaceOfAccounts tries, with every right there is, to become an account of a grant unseen.
func TestNamespaceOfAccounts(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	where := metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "intruder"}
	must(t, wantForbidden(f.masterless.Create(ctx, &corev1.ServiceAccount{ObjectMeta: where}, client.DryRunAll), "made by the member controllers alone"))
	must(t, wantForbidden(f.masterless.Create(ctx, pod(where.Namespace), client.DryRunAll), "nothing runs"))
	secret := &corev1.Secret{ObjectMeta: where, Type: corev1.SecretTypeServiceAccountToken}
	secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
	must(t, wantForbidden(f.masterless.Create(ctx, secret, client.DryRunAll), "lie in no Secret"))
	must(t, f.masterless.Create(ctx, &corev1.Secret{ObjectMeta: where}, client.DryRunAll))
}

// TestGateWritesNoKeys writes the status of an issuer as the gate.
func TestGateWritesNoKeys(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "gated"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://gated.example.com", Prefix: "gated:"}}
	if err := f.admin.Create(ctx, ti); err != nil {
		t.Fatal(err)
	}
	patch := func(who client.Client, text string) error {
		return who.Status().Patch(ctx, &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "gated"}}, client.RawPatch("application/merge-patch+json", []byte(text)))
	}
	keys := `{"thumbprint":"t","algorithm":"ES256","jwk":"{}","firstSeen":"2026-01-01T00:00:00Z","lastSeen":"2026-01-01T00:00:00Z"}`
	ready := `{"type":"Ready","status":"True","reason":"Trusted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}`
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(patch(f.gate, `{"status":{"keys":[`+keys+`]}}`), "does not write status.keys")
	})
	for range 2 { // on an empty status, and then on a full one
		must(t, patch(f.gate, `{"status":{"lastUse":"2026-01-02T00:00:00Z","lastFailure":{"time":"2026-01-02T00:00:00Z","reason":"UnknownKey"}}}`))
		for text, words := range map[string]string{
			`{"status":{"keys":[` + strings.Replace(keys, `"t"`, `"u"`, 1) + `]}}`:                 "status.keys",
			`{"status":{"conditions":[` + strings.Replace(ready, "Trusted", "Believed", 1) + `]}}`: "status.conditions",
			`{"status":{"audiences":["mine"]}}`:                                                    "status.audiences",
			`{"status":{"fetchedAt":"2026-01-03T00:00:00Z"}}`:                                      "status.fetchedAt",
			`{"status":{"observedGeneration":7}}`:                                                  "status.observedGeneration",
		} {
			must(t, wantForbidden(patch(f.gate, text), words))
		}
		must(t, patch(f.controllers, `{"status":{"observedGeneration":1,"audiences":["hawser:x"],"fetchedAt":"2026-01-01T00:00:00Z","keys":[`+keys+`],"conditions":[`+ready+`]}}`))
	}
	must(t, wantForbidden(patch(f.gate, `{"status":{"keys":null}}`), "status.keys"))
	err := f.gate.Patch(ctx, ti, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"prefix":"other:"}}`)))
	must(t, wantForbidden(err, "cannot patch resource"))
}

// TestNobodyBelievesWhoCouldNotMint writes TrustedIssuers and their status as somebody who may write them, with and without
// the right to mint tokens of granted accounts.
func TestNobodyBelievesWhoCouldNotMint(t *testing.T) {
	ctx := t.Context()
	f := newFederation(t)
	issuers := rbacv1.PolicyRule{APIGroups: []string{"hawser.io"}, Resources: []string{"trustedissuers", "trustedissuers/status"}, Verbs: []string{"create", "get", "update", "patch"}}
	f.allow(t, "ines", "issuers", issuers)
	f.allow(t, "mina", "issuers", issuers)
	mint := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "mina"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: mint.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: mint.Name},
		Subjects:   []rbacv1.Subject{subject(rbacv1.UserKind, "", "mina")},
	}
	for _, obj := range []client.Object{mint, binding} {
		if err := f.admin.Create(ctx, obj); err != nil {
			t.Fatal(err)
		}
	}
	config := fleettest.Use(t, "alpha").AdminConfig()
	without, with := asWho(t, config, "ines"), asWho(t, config, "mina")
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "believed"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://believed.example.com", Prefix: "believed:"}}
	const words = "to say whose tokens are believed, ines needs the right to create serviceaccounts/token in namespace hawser-grants"
	fleettest.Eventually(t, 30*time.Second, func() error { return wantForbidden(without.Create(ctx, ti.DeepCopy(), client.DryRunAll), words) })
	fleettest.Eventually(t, 30*time.Second, func() error { return with.Create(ctx, ti.DeepCopy()) })

	patch := func(text string) client.Patch { return client.RawPatch("application/merge-patch+json", []byte(text)) }
	spec, label, status := patch(`{"spec":{"pinnedKeys":null,"claimRules":[{"expression":"true"}]}}`), patch(`{"metadata":{"labels":{"team":"a"}}}`), patch(`{"status":{"audiences":["mine"]}}`)
	must(t, wantForbidden(without.Patch(ctx, ti.DeepCopy(), spec), words))
	must(t, without.Patch(ctx, ti.DeepCopy(), label))
	must(t, with.Patch(ctx, ti.DeepCopy(), spec))
	must(t, wantForbidden(without.Status().Patch(ctx, ti.DeepCopy(), status), words))
	must(t, with.Status().Patch(ctx, ti.DeepCopy(), status))
	must(t, f.controllers.Status().Patch(ctx, ti.DeepCopy(), patch(`{"status":{"audiences":["hawser:x"]}}`)))
	must(t, f.gate.Status().Patch(ctx, ti.DeepCopy(), patch(`{"status":{"lastUse":"2026-01-02T00:00:00Z"}}`)))

	// The controllers' own right is that to the status: the policy holds them, too, whatever RBAC comes to say.
	f.allow(t, accountUser(member.ControllersServiceAccount), "issuers", issuers)
	fleettest.Eventually(t, 30*time.Second, func() error {
		return wantForbidden(f.controllers.Patch(ctx, ti.DeepCopy(), patch(`{"spec":{"claimRules":null}}`)), "needs the right to create serviceaccounts/token")
	})
}
