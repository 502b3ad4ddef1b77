package attempts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/member"
)

var remoteAuthors = map[string]func(*testing.T, *world){
	"an author of TrustedIssuers believes an issuer of their own":           ownIssuer,
	"an author of TrustedIssuers changes one that is believed":              changedIssuer,
	"a writer of a TrustedIssuer's status puts a key of their own there":    ownKey,
	"a writer of an AccessGrant's status names an account":                  ownAccount,
	"an author of AccessGrants entitles an account of Hawser or Kubernetes": entitledStrong,
	"an author of AccessGrants mints for the accounts of another grant":     mintOfAnother,
}

// forger has a key, and says with it what it likes.
type forger struct {
	key  *ecdsa.PrivateKey
	JWKS string
	jwk  jose.JSONWebKey
}

func newForger(t *testing.T) forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key.Public(), KeyID: "forged", Algorithm: "ES256", Use: "sig"}
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	return forger{key, string(text), jwk}
}

func (f forger) token(t *testing.T, issuer, subject, audience string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: f.key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "forged"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: issuer, Subject: subject, Audience: jwt.Audience{audience}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// stays fails if the gate takes a token.
func (w *world) stays(t *testing.T, token string, more ...string) {
	t.Helper()
	if code, body := w.exchange(t, token, more...); code != http.StatusBadRequest {
		t.Errorf("the gate answered %d %.40s", code, body)
	}
}

// ownIssuer claims the name that a grant gives to an issuer which is not there yet, or not any more.
func ownIssuer(t *testing.T, w *world) {
	f, who := newForger(t), as(t, w.there, "ines", everythingOn("trustedissuers"))
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "later"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://later.example.com", Prefix: "later:", JWKS: f.JWKS}}
	g := w.grantOf("later", v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: "later", Subject: "somebody"}})
	mustCreate(t, w.remote, g)
	must(t, refused(who.Create(t.Context(), ti.DeepCopy()), "needs the right to create serviceaccounts/token in namespace hawser-grants"))
	w.stays(t, f.token(t, ti.Spec.URL, "somebody", w.audience))

	// The right in another namespace, or for one account, is not the right.
	partly := as(t, w.there, "ina", everythingOn("trustedissuers"), rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: []string{w.shopAccount},
	})
	must(t, refused(partly.Create(t.Context(), ti.DeepCopy()), member.IssuerAuthorsPolicy))
	// Who has it may, and then it works: the attempt is one.
	minter := as(t, w.there, "mina", everythingOn("trustedissuers"), rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}})
	must(t, minter.Create(t.Context(), ti.DeepCopy()))
	w.mustExchange(t, f.token(t, ti.Spec.URL, "somebody", w.audience))
}

func changedIssuer(t *testing.T, w *world) {
	f, who := newForger(t), as(t, w.there, "ivan", everythingOn("trustedissuers"))
	key := client.ObjectKey{Name: hub}
	for what, change := range map[string]func(*v1alpha1.TrustedIssuerSpec){
		"its keys": func(s *v1alpha1.TrustedIssuerSpec) { s.JWKS = f.JWKS },
		"its address": func(s *v1alpha1.TrustedIssuerSpec) {
			s.JWKS, s.DiscoveryURL = "", "https://mirror.example.com/discovery"
		},
		"its audiences": func(s *v1alpha1.TrustedIssuerSpec) { s.Audiences = []string{"for-many"} },
		"its prefix":    func(s *v1alpha1.TrustedIssuerSpec) { s.Prefix = "other:" },
		"its rules":     func(s *v1alpha1.TrustedIssuerSpec) { s.ClaimRules = []v1alpha1.ClaimRule{{Expression: "true"}} },
		"its names": func(s *v1alpha1.TrustedIssuerSpec) {
			s.Username = "'system:serviceaccount:" + w.shop + ":deployer'"
		},
	} {
		var ti v1alpha1.TrustedIssuer
		if err := who.Get(t.Context(), key, &ti); err != nil {
			t.Fatal(err)
		}
		before := ti.DeepCopy()
		change(&ti.Spec)
		if err := refused(who.Patch(t.Context(), ti.DeepCopy(), client.MergeFrom(before)), member.IssuerAuthorsPolicy); err != nil {
			t.Errorf("%s, by patch: %v", what, err)
		}
		if err := refused(who.Update(t.Context(), &ti), member.IssuerAuthorsPolicy); err != nil {
			t.Errorf("%s, by update: %v", what, err)
		}
	}
	w.stays(t, f.token(t, w.here.Server, w.deployer("deployer").Issuer.Subject, w.audience))
	label := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: hub}}
	must(t, who.Patch(t.Context(), label, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"team":"a"}}}`))))
}

func ownKey(t *testing.T, w *world) {
	f, who := newForger(t), as(t, w.there, "kurt", everythingOn("trustedissuers/status"), rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"trustedissuers"}, Verbs: []string{"get"},
	})
	var ti v1alpha1.TrustedIssuer
	if err := who.Get(t.Context(), client.ObjectKey{Name: hub}, &ti); err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(f.jwk)
	if err != nil {
		t.Fatal(err)
	}
	before := ti.DeepCopy()
	ti.Status.Keys = append(ti.Status.Keys, v1alpha1.IssuerKey{Thumbprint: "forged", KeyID: "forged", Algorithm: "ES256", JWK: string(jwk), FirstSeen: metav1.Now(), LastSeen: metav1.Now()})
	must(t, refused(who.Status().Patch(t.Context(), ti.DeepCopy(), client.MergeFrom(before)), member.IssuerAuthorsPolicy))
	must(t, refused(who.Status().Update(t.Context(), &ti), member.IssuerAuthorsPolicy))
	w.stays(t, f.token(t, ti.Spec.URL, w.deployer("deployer").Issuer.Subject, w.audience))
}

// ownAccount writes what the gate and the policy of tokens read: which accounts a grant has made.
func ownAccount(t *testing.T, w *world) {
	who := as(t, w.there, "gina", everythingOn("accessgrants/status"))
	w.here.ServiceAccount(t, w.shop, "stranger")
	token := w.here.Token(t, w.shop, "stranger", 10*time.Minute, w.audience)
	account := grant.AccountName("entry", w.deployer("stranger"))
	patch := fmt.Sprintf(`{"status":{"accounts":[{"name":%q,"subject":"stranger"},{"name":%q,"subject":"one of another grant"}]}}`, account, w.shopAccount)
	must(t, who.Status().Patch(t.Context(), &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "entry"}}, client.RawPatch("application/merge-patch+json", []byte(patch))))
	w.stays(t, token)
	w.stays(t, token, "scope", "entry")
	fleettest.Eventually(t, patience, func() error { // and the controllers put it right
		var g v1alpha1.AccessGrant
		if err := w.remote.Get(t.Context(), client.ObjectKey{Name: "entry"}, &g); err != nil {
			return err
		}
		if a := g.Status.Accounts; len(a) != 1 || a[0].Name != w.entryOne {
			return fmt.Errorf("status.accounts is %v", a)
		}
		return nil
	})
	w.stays(t, token, "scope", "entry")
}

// author may write grants of the role view.
func author(t *testing.T, w *world, name string) client.Client {
	t.Helper()
	return as(t, w.there, name, everythingOn("accessgrants"), rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"}, ResourceNames: []string{"view"},
	})
}

func entitledStrong(t *testing.T, w *world) {
	who := author(t, w, "agnes")
	for _, s := range []v1alpha1.GrantSubject{
		{User: "system:anonymous"}, {Group: "system:authenticated"}, {Group: "system:unauthenticated"}, {User: "system:serviceaccount:hawser:hawser-gate"},
		{User: "system:kube-scheduler"}, {Group: "system:serviceaccounts:hawser"},
	} {
		g := w.grantOf(unique("strong"), s)
		if err := who.Create(t.Context(), g); err != nil {
			continue // refused at once
		}
		is(t, w.remote, g, func() []metav1.Condition { return g.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonRefused)
		var made rbacv1.RoleBindingList
		if err := w.remote.List(t.Context(), &made, client.InNamespace(w.theirs), client.MatchingLabels{v1alpha1.GrantLabel: g.Name}); err != nil || len(made.Items) > 0 {
			t.Errorf("%+v is bound by %v (%v)", s, made.Items, err)
		}
	}
	for _, namespace := range []string{v1alpha1.Namespace, v1alpha1.GrantsNamespace, v1alpha1.MemberNamespace(hub)} {
		g := w.grantOf(unique("home"), v1alpha1.GrantSubject{User: "agnes"})
		g.Spec.Namespaces.Names = []string{namespace}
		if err := who.Create(t.Context(), g); !apierrors.IsInvalid(err) {
			t.Errorf("a role in namespace %s: %v", namespace, err)
		}
	}
}

// mintOfAnother names oneself as the user of a connection: that mints for the accounts of one's own grants, and for no others.
func mintOfAnother(t *testing.T, w *world) {
	who := author(t, w, "aaron")
	g := w.grantOf("aarons", v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: w.shop, User: "aaron"}})
	must(t, who.Create(t.Context(), g))
	is(t, w.remote, g, func() []metav1.Condition { return g.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonGranted)
	mint := func(account string) error {
		return who.SubResource("token").Create(t.Context(), accountOf(v1alpha1.GrantsNamespace, account), &authenticationv1.TokenRequest{})
	}
	fleettest.Eventually(t, patience, func() error { return mint(g.Status.Accounts[0].Name) })
	for _, account := range []string{w.shopAccount, w.entryOne, "default"} {
		must(t, refused(mint(account), "cannot create resource"))
	}
	// Nor by a name that looks like one of another grant's accounts.
	twin := w.grantOf(w.shopAccount, g.Spec.Subjects[0])
	if err := who.Create(t.Context(), twin); err == nil {
		is(t, w.remote, twin, func() []metav1.Condition { return twin.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonGranted)
		must(t, refused(mint(w.shopAccount), "cannot create resource"))
	}
}

func accountOf(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
