package attempts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
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
	"an author of AccessGrants gives away a role that they may not bind":    unboundRole,
	"an author of AccessGrants takes over an account that is not a grant's": takenAccount,
	"an author of TrustedIssuers believes forged tokens of this cluster":    localIssuer,
	"an author of TrustedIssuers believes the keys of this cluster":         localKeys,
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
	must(t, minter(t, w, "mina").Create(t.Context(), ti.DeepCopy()))
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
		for how, write := range map[string]func(before, ti *v1alpha1.TrustedIssuer) error{
			"patch": func(before, ti *v1alpha1.TrustedIssuer) error {
				return who.Patch(t.Context(), ti, client.MergeFrom(before))
			},
			"update": func(_, ti *v1alpha1.TrustedIssuer) error { return who.Update(t.Context(), ti) },
		} {
			err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the gate writes when it was last used
				var ti v1alpha1.TrustedIssuer
				if err := who.Get(t.Context(), key, &ti); err != nil {
					return err
				}
				before := ti.DeepCopy()
				change(&ti.Spec)
				return write(before, &ti)
			})
			if err := refused(err, member.IssuerAuthorsPolicy); err != nil {
				t.Errorf("%s, by %s: %v", what, how, err)
			}
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
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now := ti.DeepCopy()
		if err := who.Get(t.Context(), client.ObjectKey{Name: hub}, now); err != nil {
			return err
		}
		now.Status.Keys = ti.Status.Keys
		return who.Status().Update(t.Context(), now)
	})
	must(t, refused(err, member.IssuerAuthorsPolicy))
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

// unboundRole grants oneself more than one has.
func unboundRole(t *testing.T, w *world) {
	names := []string{"view", "role-2", "role-3", "role-4", "role-5", "role-6", "role-7"}
	who := as(t, w.there, "alice", everythingOn("accessgrants"), rbacv1.PolicyRule{
		APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"}, ResourceNames: names,
	})
	g := w.grantOf("raised", v1alpha1.GrantSubject{User: "alice"})
	for _, roles := range [][]string{{"cluster-admin"}, slices.Concat(names, []string{"cluster-admin"})} { // the last of eight, too
		g.Spec.ClusterRoles = roles
		must(t, refused(who.Create(t.Context(), g.DeepCopy()), member.GrantAuthorsPolicy))
	}
	// Nor afterwards.
	g.Spec.ClusterRoles = []string{"view"}
	must(t, who.Create(t.Context(), g))
	must(t, refused(who.Patch(t.Context(), g.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"clusterRoles":["edit"]}}`))), member.GrantAuthorsPolicy))
}

// takenAccount writes the grant whose account has the name of one that somebody else made there, by rights that the
// policies do not know of: as before they were installed.
func takenAccount(t *testing.T, w *world) {
	who := author(t, w, "adele")
	w.here.ServiceAccount(t, w.shop, "taker")
	g := w.grantOf("taken", w.deployer("taker"))
	account := grant.AccountName(g.Name, w.deployer("taker"))
	config := w.there.AdminConfig()
	config.Impersonate.UserName = "system:serviceaccount:" + v1alpha1.Namespace + ":" + member.ControllersServiceAccount
	mustCreate(t, clientOf(t, config), accountOf(v1alpha1.GrantsNamespace, account))
	must(t, who.Create(t.Context(), g))
	is(t, w.remote, g, func() []metav1.Condition { return g.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	token := w.here.Token(t, w.shop, "taker", 10*time.Minute, w.audience)
	w.stays(t, token)
	w.stays(t, token, "scope", g.Name)
}

// minter may say whose tokens are believed.
func minter(t *testing.T, w *world, name string) client.Client {
	t.Helper()
	return as(t, w.there, name, everythingOn("trustedissuers"), rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}})
}

// localIssuer says of one's own keys that they are those of the cluster that is entered. Its name would then be theirs.
func localIssuer(t *testing.T, w *world) {
	f, who := newForger(t), minter(t, w, "ida")
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Spec: v1alpha1.TrustedIssuerSpec{URL: w.there.Server, Prefix: "local:", JWKS: f.JWKS}}
	mustCreate(t, w.remote, w.grantOf("local", v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: ti.Name, Subject: "somebody"}}))
	must(t, who.Create(t.Context(), ti))
	is(t, w.remote, ti, func() []metav1.Condition { return ti.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonIssuerIsLocal)
	w.stays(t, f.token(t, ti.Spec.URL, "somebody", w.audience))
}

// localKeys believes the cluster that is entered under another name.
func localKeys(t *testing.T, w *world) {
	who := minter(t, w, "isa")
	jwks, err := w.there.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "alias"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://alias.example.com", Prefix: "alias:", JWKS: string(jwks)}}
	subject := "system:serviceaccount:" + w.theirs + ":default"
	mustCreate(t, w.remote, w.grantOf("alias", v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: ti.Name, Subject: subject}}))
	must(t, who.Create(t.Context(), ti))
	is(t, w.remote, ti, func() []metav1.Condition { return ti.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonIssuerIsLocal)
	w.stays(t, w.there.SignToken(t, w.theirs, "default", fleettest.TokenTimes{}, map[string]any{"iss": ti.Spec.URL, "aud": []string{w.audience}}))
}

func entitledStrong(t *testing.T, w *world) {
	who := author(t, w, "agnes")
	as := func(user string) v1alpha1.GrantSubject {
		return v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: w.shop, User: user}}
	}
	for name, subjects := range map[string][]v1alpha1.GrantSubject{
		"users of Kubernetes":  {{User: "system:anonymous"}, {User: "system:serviceaccount:hawser:hawser-gate"}, {User: "system:kube-scheduler"}},
		"groups of Kubernetes": {{Group: "system:authenticated"}, {Group: "system:unauthenticated"}, {Group: "system:serviceaccounts:hawser"}},
		"as a connection":      {as("system:anonymous"), as("system:kube-scheduler")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range subjects {
				if err := who.Create(t.Context(), w.grantOf(unique("strong"), s), client.DryRunAll); !apierrors.IsInvalid(err) {
					t.Errorf("a grant to %+v: %v", s, err)
				}
			}
		})
	}
	t.Run("in Hawser's namespaces", func(t *testing.T) {
		for _, namespace := range []string{v1alpha1.Namespace, v1alpha1.GrantsNamespace, v1alpha1.MemberNamespace(hub)} {
			g := w.grantOf(unique("home"), v1alpha1.GrantSubject{User: "agnes"})
			g.Spec.Namespaces.Names = []string{namespace}
			if err := who.Create(t.Context(), g, client.DryRunAll); !apierrors.IsInvalid(err) {
				t.Errorf("a role in namespace %s: %v", namespace, err)
			}
		}
	})
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
