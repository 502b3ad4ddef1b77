package attempts_test

import (
	"encoding/json"
	"fmt"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/member"
)

// thievesThere steal what runs in the cluster that is entered.
var thievesThere = map[string]func(*testing.T, *world){
	"of the controllers' token asks for a certificate":              controllersAsk,
	"of the controllers' token approves the request of a stranger":  controllersApprove,
	"of the controllers' token writes what is granted":              controllersWrite,
	"of the controllers' token mints":                               controllersMint,
	"of the controllers' token binds a role in no grant's name":     controllersUnnamed,
	"of the controllers' token binds a role in Hawser's namespaces": controllersAtHome,
	"of the controllers' token binds a role to the strong":          controllersStrong,
	"of the controllers' token lets others mint for every account":  controllersNameless,
	"of the controllers' token lets the strong mint":                controllersMinter,
	"of the controllers' token binds a ClusterRole among accounts":  controllersClusterRole,
	"of the gate's token mints for an account that no grant made":   gateUngranted,
	"of the gate's token mints what outlives the grant":             gateOutlives,
	"of the gate's token mints elsewhere":                           gateElsewhere,
	"of the gate's token puts a key of their own into an issuer":    gateKeys,
	"of the gate's token makes an account that tokens are given to": gateAccount,
}

func controllersAsk(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.controllers)
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "hawser-stolen"}}
	csr.Spec.SignerName, csr.Spec.Request, csr.Spec.Usages = certificatesv1.KubeAPIServerClientSignerName, []byte("x"), []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}
	must(t, refused(thief.Create(t.Context(), csr), "cannot create resource"))
}

// controllersWrite writes a grant, and changes one: only the second is theirs by their role, for the finalizer.
func controllersWrite(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.controllers)
	must(t, refused(thief.Create(t.Context(), w.grantOf("by-the-controllers", v1alpha1.GrantSubject{User: "eve"})), "cannot create resource"))
	must(t, refused(thief.Create(t.Context(), &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "by-the-controllers"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://eve.example.com", Prefix: "eve:"},
	}), "cannot create resource"))
	own := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "entry"}}
	must(t, refused(thief.Patch(t.Context(), own, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"maxLifetime":"24h"}}`))), member.GrantAuthorsPolicy))
}

func controllersMint(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.controllers)
	for _, account := range []string{w.shopAccount, w.entryOne} {
		must(t, refused(mintAs(t, thief, v1alpha1.GrantsNamespace, account, authenticationv1.TokenRequestSpec{}), "cannot create resource"))
	}
	must(t, refused(mintAs(t, thief, v1alpha1.Namespace, v1alpha1.GateServiceAccount, authenticationv1.TokenRequestSpec{}), "cannot create resource"))
}

// bindingOf looks like what the controllers make of a grant: changed, it is what a thief would.
func bindingOf(w *world, change func(*rbacv1.RoleBinding)) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.theirs, Name: unique(member.GrantPrefix + "entry-x"),
			Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.GrantLabel: "entry"},
		},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "eve"}},
	}
	change(b)
	return b
}

// refusedByPolicy tries it without leaving it behind.
func (w *world) refusedByPolicy(t *testing.T, what string, obj client.Object) {
	t.Helper()
	if err := refused(tokenOf(t, w.there, w.credentials.controllers).Create(t.Context(), obj, client.DryRunAll), member.ControllersPolicy); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func controllersUnnamed(t *testing.T, w *world) {
	w.refusedByPolicy(t, "without labels", bindingOf(w, func(b *rbacv1.RoleBinding) { b.Labels = nil }))
	w.refusedByPolicy(t, "under another name", bindingOf(w, func(b *rbacv1.RoleBinding) { b.Name = "eve" }))
	foreign := bindingOf(w, func(b *rbacv1.RoleBinding) { b.Name, b.Labels = "theirs", nil })
	mustCreate(t, w.remote, foreign)
	must(t, refused(tokenOf(t, w.there, w.credentials.controllers).Delete(t.Context(), foreign), member.ControllersPolicy))
}

func controllersAtHome(t *testing.T, w *world) {
	for _, namespace := range []string{v1alpha1.Namespace, v1alpha1.MemberNamespace(hub)} {
		w.refusedByPolicy(t, "in "+namespace, bindingOf(w, func(b *rbacv1.RoleBinding) { b.Namespace = namespace }))
	}
}

// strong are those who are somebody already.
var strong = []rbacv1.Subject{
	{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:anonymous"},
	{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"},
	{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.Namespace, Name: member.ControllersServiceAccount},
	{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: "default"},
}

func controllersStrong(t *testing.T, w *world) {
	for _, s := range strong {
		w.refusedByPolicy(t, "to "+s.Name, bindingOf(w, func(b *rbacv1.RoleBinding) { b.Subjects = []rbacv1.Subject{s} }))
	}
}

// controllersNameless makes the Role by which the connection would mint for all accounts, or for another grant's.
func controllersNameless(t *testing.T, w *world) {
	for what, names := range map[string][]string{"all": nil, "another grant's": {w.shopAccount}} {
		role := &rbacv1.Role{ObjectMeta: bindingOf(w, func(b *rbacv1.RoleBinding) { b.Namespace = v1alpha1.GrantsNamespace }).ObjectMeta}
		role.Rules = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: names}}
		w.refusedByPolicy(t, what, role)
	}
}

func controllersMinter(t *testing.T, w *world) {
	for _, s := range strong {
		w.refusedByPolicy(t, "to "+s.Name, bindingOf(w, func(b *rbacv1.RoleBinding) {
			b.Namespace, b.RoleRef.Kind, b.RoleRef.Name, b.Subjects = v1alpha1.GrantsNamespace, "Role", b.Name, []rbacv1.Subject{s}
		}))
	}
}

func controllersClusterRole(t *testing.T, w *world) {
	to := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.MemberNamespace(hub), Name: v1alpha1.MemberServiceAccount}}
	w.refusedByPolicy(t, "admin", bindingOf(w, func(b *rbacv1.RoleBinding) {
		b.Namespace, b.RoleRef.Name, b.Subjects = v1alpha1.GrantsNamespace, b.Name, to
	}))
	w.refusedByPolicy(t, "the gate's Role", bindingOf(w, func(b *rbacv1.RoleBinding) {
		b.Namespace, b.RoleRef.Kind, b.RoleRef.Name, b.Subjects = v1alpha1.GrantsNamespace, "Role", member.GateRole, to
	}))
}

// gateUngranted mints for accounts that lie where the gate may mint, and that no grant speaks of.
func gateUngranted(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.gate)
	must(t, mintAs(t, thief, v1alpha1.GrantsNamespace, w.entryOne, authenticationv1.TokenRequestSpec{})) // which is what it is for
	must(t, refused(mintAs(t, thief, v1alpha1.GrantsNamespace, "default", authenticationv1.TokenRequestSpec{}), member.GrantAccountsPolicy))
	account := grant.AccountName("entry", w.deployer("never-granted"))
	config := w.there.AdminConfig()
	config.Impersonate.UserName = "system:serviceaccount:" + v1alpha1.Namespace + ":" + member.ControllersServiceAccount
	mustCreate(t, clientOf(t, config), accountOf(v1alpha1.GrantsNamespace, account)) // as if the controllers had left it behind
	must(t, refused(mintAs(t, thief, v1alpha1.GrantsNamespace, account, authenticationv1.TokenRequestSpec{}), member.GrantTokensPolicy))
}

func gateOutlives(t *testing.T, w *world) {
	outlive(t, tokenOf(t, w.there, w.credentials.gate), v1alpha1.GrantsNamespace, w.entryOne)
}

func gateElsewhere(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.gate)
	for _, target := range [][2]string{
		{v1alpha1.Namespace, member.ControllersServiceAccount}, {v1alpha1.Namespace, v1alpha1.GateServiceAccount},
		{v1alpha1.MemberNamespace(hub), v1alpha1.MemberServiceAccount}, {w.theirs, "default"}, {metav1.NamespaceSystem, "default"},
	} {
		must(t, refused(mintAs(t, thief, target[0], target[1], authenticationv1.TokenRequestSpec{}), "cannot create resource"))
	}
}

func gateKeys(t *testing.T, w *world) {
	thief, f := tokenOf(t, w.there, w.credentials.gate), newForger(t)
	jwk, err := json.Marshal(f.jwk)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf(`{"thumbprint":"forged","keyID":"forged","algorithm":"ES256","jwk":%q,"firstSeen":"2026-01-01T00:00:00Z","lastSeen":"2026-01-01T00:00:00Z"}`, jwk)
	for what, status := range map[string]string{
		"keys":               `{"keys":[` + key + `]}`,
		"audiences":          `{"audiences":["for-many"]}`,
		"conditions":         `{"conditions":[]}`,
		"observedGeneration": `{"observedGeneration":7}`,
	} {
		ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: hub}}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":`+status+`}`))
		if err := refused(thief.Status().Patch(t.Context(), ti, patch, client.DryRunAll), member.GatePolicy); err != nil {
			t.Errorf("status.%s: %v", what, err)
		}
	}
}

// gateAccount makes accounts and tokens that do not end where the gate mints.
func gateAccount(t *testing.T, w *world) {
	thief := tokenOf(t, w.there, w.credentials.gate)
	must(t, refused(thief.Create(t.Context(), accountOf(v1alpha1.GrantsNamespace, "eve-0123456789abcdef")), "cannot create resource"))
	// Nor has anybody who may make accounts everywhere one there.
	who := as(t, w.there, "earl", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts", "secrets", "pods"}, Verbs: []string{"create", "update"}})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "endless", Annotations: map[string]string{corev1.ServiceAccountNameKey: w.entryOne}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: "as-entry"}}
	pod.Spec.ServiceAccountName, pod.Spec.Containers = w.entryOne, []corev1.Container{{Name: "c", Image: "i"}}
	for _, obj := range []client.Object{accountOf(v1alpha1.GrantsNamespace, grant.AccountName("entry", w.deployer("earl"))), secret, pod} {
		if err := refused(who.Create(t.Context(), obj, client.DryRunAll), member.GrantAccountsPolicy); err != nil {
			t.Errorf("%T: %v", obj, err)
		}
	}
}
