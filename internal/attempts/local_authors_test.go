package attempts_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

var localAuthors = map[string]func(*testing.T, *world){
	"an author of RemoteClusters moves a connection to a server of their own":     movedConnection,
	"an author of RemoteClusters makes one anew at a server of their own":         madeAnew,
	"a writer of a RemoteCluster's status says where its credential was proved":   provedElsewhere,
	"an author of AccessRequests writes input for Hawser":                         requestInput,
	"an author of AccessRequests writes over somebody else's Secret":              requestOverwrites,
	"an author of AccessRequests asks from a namespace that is not allowed":       requestFromElsewhere,
	"an author of AccessRequests asks for what another namespace was granted":     requestOfAnother,
	"an author of AccessRequests makes a Secret that Kubernetes fills or acts on": requestTyped,
	"a writer of an AccessRequest's status has somebody else's Secret deleted":    requestDeletes,
}

// collectTokens has the manager show its tokens, which mean something elsewhere, to a server of the author's.
func collectTokens(t *testing.T, w *world) {
	who, evil := as(t, w.here, "rae", everythingOn("remoteclusters")), fleettest.NewStranger(t)
	mustCreate(t, w.local, accountOf(v1alpha1.Namespace, "strong"))
	mustCreate(t, w.local, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "of-the-system"}, StringData: map[string]string{"kubeconfig": "{}"}})
	ofAlpha := func(s *v1alpha1.RemoteClusterSpec) { s.ClusterID = idOf(t, w.remote) }
	oidc := func(change ...func(*v1alpha1.OIDCAuth)) v1alpha1.Auth {
		auth := v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}}
		for _, f := range change {
			f(auth.OIDC)
		}
		return auth
	}
	gated := func(o *v1alpha1.OIDCAuth) {
		o.Exchange = &v1alpha1.OIDCExchange{URL: evil.URL + "/token", CAData: base64.StdEncoding.EncodeToString(evil.CA())}
	}
	azure := v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromAzure, Azure: &v1alpha1.OIDCAzure{Scope: "https://management.azure.com/.default"}}}
	attempts := []struct {
		name, reason string // no reason: the API refuses it
		auth         v1alpha1.Auth
		change       func(*v1alpha1.RemoteClusterSpec)
	}{
		{"for alphas gate", v1alpha1.ReasonAudienceShared, oidc(), ofAlpha},
		{"for alphas gate by name", v1alpha1.ReasonAudienceShared, oidc(func(o *v1alpha1.OIDCAuth) { o.Audience = w.audience }), nil},
		{"for alphas gate by another gate", v1alpha1.ReasonAudienceShared, oidc(gated), func(s *v1alpha1.RemoteClusterSpec) {
			ofAlpha(s)
			s.Server, s.CAData = w.there.Server, base64.StdEncoding.EncodeToString(w.there.CA())
		}},
		{"for the local cluster", "", oidc(func(o *v1alpha1.OIDCAuth) { o.Audience = w.here.Server }), nil},
		{"for aws as hawser", v1alpha1.ReasonAudienceShared, oidc(func(o *v1alpha1.OIDCAuth) {
			o.Audience, o.ServiceAccount = "sts.amazonaws.com", &v1alpha1.OIDCServiceAccount{TokenFile: "token"}
		}), nil},
		{"for aws", "", oidc(func(o *v1alpha1.OIDCAuth) { o.Audience = "sts.amazonaws.com" }), nil},
		{"for azure", v1alpha1.ReasonInputInvalid, azure, nil},
		{"of a strong account", v1alpha1.ReasonTokenFailed, oidc(func(o *v1alpha1.OIDCAuth) {
			o.Audience, o.ServiceAccount = "hawser:own", &v1alpha1.OIDCServiceAccount{Name: "strong"}
		}), nil},
		{"of the pod itself", v1alpha1.ReasonAudienceShared, oidc(func(o *v1alpha1.OIDCAuth) { // which is valid here
			o.Audience, o.ServiceAccount = w.here.Server, &v1alpha1.OIDCServiceAccount{TokenFile: "token"}
		}), nil},
		{"of the pod for another", v1alpha1.ReasonTokenFailed, oidc(func(o *v1alpha1.OIDCAuth) {
			o.Audience, o.ServiceAccount = "any", &v1alpha1.OIDCServiceAccount{TokenFile: "token"}
		}), nil},
		{"of a file elsewhere", "", oidc(func(o *v1alpha1.OIDCAuth) {
			o.Audience, o.ServiceAccount = "any", &v1alpha1.OIDCServiceAccount{TokenFile: "../serviceaccount/token"}
		}), nil},
		{"by a plugin", v1alpha1.ReasonPluginUnknown, v1alpha1.Auth{Type: v1alpha1.AuthExec, Exec: &v1alpha1.ExecAuth{Provider: "/bin/cat", Parameters: map[string]string{"file": "/etc/passwd"}}}, nil},
		{"itself", "", v1alpha1.Auth{Type: v1alpha1.AuthInCluster}, nil},
		{"by a secret elsewhere", v1alpha1.ReasonInputForbidden, v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{
			SecretRef: v1alpha1.SecretKeyRef{Namespace: metav1.NamespaceSystem, Name: "of-the-system", Key: "kubeconfig"},
		}}, func(s *v1alpha1.RemoteClusterSpec) { s.Server, s.CAData = "", "" }},
	}
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			change := a.change
			if change == nil {
				change = func(*v1alpha1.RemoteClusterSpec) {}
			}
			rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: strings.ReplaceAll(a.name, " ", "-")}}
			err := tie(t, who, rc.Name, evil.URL, evil.CA(), a.auth, change)
			if (a.reason == "") != apierrors.IsInvalid(err) || (a.reason != "" && err != nil) {
				t.Fatalf("the API says %v", err)
			}
			if a.reason != "" {
				is(t, w.local, rc, func() []metav1.Condition { return rc.Status.Conditions }, v1alpha1.Authenticated, metav1.ConditionFalse, a.reason)
				gone(t, who, rc) // two of one audience would be held off by that
			}
			noToken(t, evil)
		})
	}
}

// gone deletes an object and waits for its end.
func gone(t *testing.T, who client.Client, obj client.Object) {
	t.Helper()
	must(t, who.Delete(t.Context(), obj))
	fleettest.Eventually(t, patience, func() error {
		if err := who.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is there (%w)", obj.GetName(), err)
		}
		return nil
	})
}

func noToken(t *testing.T, s *fleettest.Stranger) {
	t.Helper()
	for _, words := range []string{"eyJ", "Bearer", "subject_token"} {
		if bytes.Contains(s.Sent(), []byte(words)) {
			t.Errorf("a server of the author's was sent something with %s", words)
		}
	}
}

// movedConnection changes the address of a connection that works.
func movedConnection(t *testing.T, w *world) {
	who, evil := as(t, w.here, "rob", everythingOn("remoteclusters")), fleettest.NewStranger(t)
	mustCreate(t, w.local, inputSecret("moved", w.credentials.connection))
	auth := v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
	if err := tie(t, w.local, "moved", w.there.Server, w.there.CA(), auth); err != nil {
		t.Fatal(err)
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "moved"}}
	conditions := func() []metav1.Condition { return rc.Status.Conditions }
	is(t, w.local, rc, conditions, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonConnected)
	before := rc.DeepCopy()
	rc.Spec.Server, rc.Spec.CAData = evil.URL, base64.StdEncoding.EncodeToString(evil.CA())
	must(t, who.Patch(t.Context(), rc, client.MergeFrom(before)))
	is(t, w.local, rc, conditions, v1alpha1.Reachable, metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven)
	noToken(t, evil)

	// Nor by a name of one's own and the Secret in which the manager keeps the credential of the other.
	err := tie(t, who, "kept", "", nil, v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Name: "hawser-credential-alpha", Key: "token"}}},
		func(s *v1alpha1.RemoteClusterSpec) { s.CAData = "" })
	if err == nil {
		kept := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
		is(t, w.local, kept, func() []metav1.Condition { return kept.Status.Conditions }, v1alpha1.Authenticated, metav1.ConditionFalse, "")
	}
	noToken(t, evil)
}

// provedElsewhere writes where a credential was proved, which a manager that starts anew reads for auth.type oidc.
func provedElsewhere(t *testing.T, w *world) {
	who := as(t, w.here, "stan", everythingOn("remoteclusters/status"))
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	evil := fleettest.NewStranger(t)
	patch := fmt.Sprintf(`{"status":{"clusterID":"another","endpoint":{"server":%q}}}`, evil.URL)
	must(t, who.Status().Patch(t.Context(), rc.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))))
	must(t, refused(who.Patch(t.Context(), rc.DeepCopy(), client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"server":%q}}`, evil.URL))), "cannot patch resource"))
	before := []byte(fmt.Sprintf(`{"spec":{"server":%q},"status":{"clusterID":"another"}}`, evil.URL)) // a status is no way to a spec
	_ = who.Status().Patch(t.Context(), rc.DeepCopy(), client.RawPatch("application/merge-patch+json", before))
	if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(rc), rc); err != nil || rc.Spec.Server != w.there.Server {
		t.Errorf("the server is %s (%v)", rc.Spec.Server, err)
	}
	if evil.Connections() > 0 {
		t.Error("the manager went there")
	}
}

// kim may write requests in the namespace that was granted something, and those of others' grants.
func requestInput(t *testing.T, w *world) {
	who := as(t, w.here, "kim", everythingOn("accessrequests"))
	home := w.grantOf("home", v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: v1alpha1.Namespace}})
	mustCreate(t, w.remote, home) // so that nothing else is in the way
	is(t, w.remote, home, func() []metav1.Condition { return home.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, "")
	for _, secret := range []string{v1alpha1.InputSecretName("alpha"), v1alpha1.InputSecretName("new"), "hawser-credential-alpha"} {
		ar := requestFor(v1alpha1.Namespace, unique("input"), "home")
		ar.Spec.Output.SecretName = secret
		ar.Spec.Output.Format = v1alpha1.OutputTemplate
		ar.Spec.Output.Template = &v1alpha1.OutputTemplateSpec{Labels: map[string]string{"team": "a"}, Data: map[string]string{v1alpha1.BearerTokenKey: "mine"}}
		must(t, who.Create(t.Context(), ar))
		is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotAllowed)
		var s corev1.Secret
		if err := w.local.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: secret}, &s); client.IgnoreNotFound(err) != nil || string(s.Data[v1alpha1.BearerTokenKey]) == "mine" {
			t.Errorf("Secret %s is written (%v)", secret, err)
		}
	}
}

func requestTyped(t *testing.T, w *world) {
	who := as(t, w.here, "kay", everythingOn("accessrequests"))
	for _, kind := range []corev1.SecretType{corev1.SecretTypeServiceAccountToken, corev1.SecretTypeBootstrapToken, corev1.SecretTypeDockerConfigJson} {
		ar := requestFor(w.shop, unique("typed"), "shop")
		ar.Spec.Output.Format, ar.Spec.Output.Template = v1alpha1.OutputTemplate, &v1alpha1.OutputTemplateSpec{Type: string(kind), Data: map[string]string{"a": "b"}}
		if err := who.Create(t.Context(), ar); !apierrors.IsInvalid(err) {
			t.Errorf("a Secret of type %s: %v", kind, err)
		}
	}
	ar := requestFor(w.shop, unique("labelled"), "shop")
	ar.Spec.Output.Format, ar.Spec.Output.Template = v1alpha1.OutputTemplate, &v1alpha1.OutputTemplateSpec{
		Labels: map[string]string{v1alpha1.CredentialsLabel: "true", v1alpha1.RequestLabel: "shop", v1alpha1.ManagedByLabel: "somebody"}, Data: map[string]string{"a": "b"},
	}
	if err := who.Create(t.Context(), ar); err != nil {
		return // refused at once
	}
	fleettest.Eventually(t, patience, func() error {
		if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(ar), ar); err != nil || len(ar.Status.Conditions) > 0 && ar.Status.Conditions[0].Status != metav1.ConditionUnknown {
			return err
		}
		return errors.New("the request was not looked at")
	})
	var s corev1.Secret
	if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(ar), &s); err == nil && (s.Labels[v1alpha1.CredentialsLabel] != "" || s.Labels[v1alpha1.RequestLabel] != ar.Name || s.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy) {
		t.Errorf("it carries the labels %v", s.Labels)
	}
}

// requestOverwrites names Secrets that somebody else wrote, and one that is another request's.
func requestOverwrites(t *testing.T, w *world) {
	who := as(t, w.here, "kara", everythingOn("accessrequests"))
	mustCreate(t, w.local, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: "api-key"}, StringData: map[string]string{"key": "x"}})
	for _, target := range []string{"api-key", "shop"} {
		key := client.ObjectKey{Namespace: w.shop, Name: target}
		var before, after corev1.Secret
		must(t, w.local.Get(t.Context(), key, &before))
		ar := requestFor(w.shop, unique("overwrites"), "shop")
		ar.Spec.Output.SecretName = target
		must(t, who.Create(t.Context(), ar))
		is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonSecretNotOurs)
		must(t, w.local.Get(t.Context(), key, &after))
		// Its own request may have renewed what it wrote.
		if before.UID != after.UID || before.Labels[v1alpha1.RequestLabel] != after.Labels[v1alpha1.RequestLabel] || target == "api-key" && before.ResourceVersion != after.ResourceVersion {
			t.Errorf("Secret %s was written: it was %v, and is %v", target, before.ObjectMeta, after.ObjectMeta)
		}
	}
}

// requestFromElsewhere asks from a namespace that the remote cluster grants something, and the local one does not allow.
func requestFromElsewhere(t *testing.T, w *world) {
	who, elsewhere := as(t, w.here, "kurd", everythingOn("accessrequests")), w.here.Namespace(t)
	w.servedIn(t, elsewhere)
	g := w.grantOf("elsewhere", v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: hub, Namespace: elsewhere}})
	mustCreate(t, w.remote, g)
	is(t, w.remote, g, func() []metav1.Condition { return g.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, "")
	w.getsNothing(t, who, requestFor(elsewhere, "elsewhere", "elsewhere"), v1alpha1.ReasonNamespaceNotAllowed)
}

// requestOfAnother asks from a namespace that is allowed for a grant that names another one.
func requestOfAnother(t *testing.T, w *world) {
	who := as(t, w.here, "kai", everythingOn("accessrequests"))
	w.servedIn(t, w.other)
	w.getsNothing(t, who, requestFor(w.other, "of-another", "shop"), v1alpha1.ReasonNotGranted)
}

func (w *world) getsNothing(t *testing.T, who client.Client, ar *v1alpha1.AccessRequest, reason string) {
	t.Helper()
	must(t, who.Create(t.Context(), ar))
	is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, reason)
	if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(ar), &corev1.Secret{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret is there (%v)", err)
	}
}

// requestDeletes says in the status of a request that somebody else's Secret is what was written for it.
func requestDeletes(t *testing.T, w *world) {
	who := as(t, w.here, "kit", everythingOn("accessrequests", "accessrequests/status"))
	mustCreate(t, w.local, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: "db-password"}, StringData: map[string]string{"password": "x"}})
	for _, target := range []string{"db-password", "shop"} { // shop is the output of another request
		ar := requestFor(w.shop, unique("deletes"), "shop")
		must(t, who.Create(t.Context(), ar))
		is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
		patch := fmt.Sprintf(`{"status":{"secretName":%q}}`, target)
		must(t, who.Status().Patch(t.Context(), ar, client.RawPatch("application/merge-patch+json", []byte(patch))))
		// Where an output is written under another name, what the status names is the old one.
		must(t, who.Patch(t.Context(), ar, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"output":{"secretName":%q}}}`, unique("moved")))))
		is(t, w.local, ar, func() []metav1.Condition { return ar.Status.Conditions }, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
		must(t, who.Status().Patch(t.Context(), ar, client.RawPatch("application/merge-patch+json", []byte(patch))))
		gone(t, who, ar)
		if err := w.local.Get(t.Context(), client.ObjectKey{Namespace: w.shop, Name: target}, &corev1.Secret{}); err != nil {
			t.Errorf("Secret %s: %v", target, err)
		}
	}
}

// madeAnew deletes a RemoteCluster, whose input Secret a person wrote and which therefore stays, and makes it
// anew for a server of the author's.
func madeAnew(t *testing.T, w *world) {
	who, evil := as(t, w.here, "rex", everythingOn("remoteclusters")), fleettest.NewStranger(t)
	w.there.ServiceAccount(t, w.theirs, "theirs")
	token := w.there.Token(t, w.theirs, "theirs", time.Hour)
	mustCreate(t, w.local, inputSecret("again", token))
	auth := v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
	if err := tie(t, w.local, "again", w.there.Server, w.there.CA(), auth); err != nil {
		t.Fatal(err)
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "again"}}
	conditions := func() []metav1.Condition { return rc.Status.Conditions }
	is(t, w.local, rc, conditions, v1alpha1.Authenticated, metav1.ConditionTrue, "")
	must(t, who.Delete(t.Context(), rc))
	fleettest.Eventually(t, patience, func() error { return tie(t, who, "again", evil.URL, evil.CA(), auth) })
	rc = &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "again"}}
	is(t, w.local, rc, conditions, v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonAddressUnproven)
	if bytes.Contains(evil.Sent(), []byte(token)) {
		t.Error("their server was shown the token")
	}
}
