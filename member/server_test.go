package member_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha")) }

// TestMemberSide installs the member side in a real cluster and acts there as the connection.
func TestMemberSide(t *testing.T) {
	admin := fleettest.Use(t, "alpha").AdminConfig()
	tests := []struct {
		name    string
		options member.Options
		act     func(*testing.T, *rest.Config, member.Options) *rest.Config
	}{
		{"service account", member.Options{
			Local: "member-a", Capabilities: allCapabilities, Requires: []v1alpha1.Rule{deployments}, Version: "v0.1.0",
		}, asServiceAccount},
		{"certificate", member.Options{
			Local: "member-b", Capabilities: allCapabilities, Requires: []v1alpha1.Rule{deployments}, Identity: member.RenewedCertificate,
		}, asUser},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			install(t, admin, tt.options)
			connection := tt.act(t, admin, tt.options)
			checkAllowed(t, connection, tt.options)
			checkDenied(t, connection, tt.options)
			checkTeardown(t, admin, connection, tt.options)
		})
	}
}

// TestTokenLifetime sees the admission policy refuse what lives too long, by each namespace's own cap.
func TestTokenLifetime(t *testing.T) {
	ctx := t.Context()
	admin := fleettest.Use(t, "alpha").AdminConfig()
	o := member.Options{Local: "member-cap", MaxTokenLifetime: 2 * time.Hour}
	install(t, admin, o)
	connection := kubernetes.NewForConfigOrDie(asServiceAccount(t, admin, o))
	ns := v1alpha1.MemberNamespace(o.Local)
	mint := func(lifetime time.Duration, bound *authenticationv1.BoundObjectReference) error {
		_, err := connection.CoreV1().ServiceAccounts(ns).CreateToken(ctx, v1alpha1.MemberServiceAccount, tokenRequest(lifetime, bound), metav1.CreateOptions{})
		return err
	}
	// A policy comes into force a moment after it is written.
	var err error
	eventually(t, "a token over the cap is refused", func() bool {
		err = mint(2*time.Hour+time.Second, nil)
		return apierrors.IsInvalid(err)
	})
	if want := "lives at most 7200s"; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ns) {
		t.Errorf("got the message %q, want one with %q and the namespace", err, want)
	}
	if err := mint(2*time.Hour, nil); err != nil {
		t.Errorf("a token as long as the cap: %v", err)
	}
	pod := &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "any"}
	if err := mint(time.Hour, pod); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "bound to no pod") {
		t.Errorf("a token bound to a pod: got %v, want a refusal by the policy", err)
	}

	cl := newClient(t, admin)
	annotate := func(value any) {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, member.MaxTokenLifetimeAnnotation, value)
		if err := cl.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
	}
	annotate("null")
	eventually(t, "the cap is a day without the annotation", func() bool {
		return mint(24*time.Hour, nil) == nil && apierrors.IsInvalid(mint(25*time.Hour, nil))
	})
	annotate(`"a while"`)
	eventually(t, "an annotation that says nothing allows nothing", func() bool {
		return apierrors.IsInvalid(mint(10*time.Minute, nil))
	})
}

// install applies the YAML that a person would, with owners, as hawser join does.
func install(t *testing.T, admin *rest.Config, o member.Options) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, admin)
	objs := member.Objects(o)
	apply(t, cl, objs[:2]) // the namespaces
	var ns corev1.Namespace
	if err := cl.Get(t.Context(), client.ObjectKey{Name: v1alpha1.MemberNamespace(o.Local)}, &ns); err != nil {
		t.Fatal(err)
	}
	member.SetOwner(objs, ns.UID)
	apply(t, cl, objs)
	apply(t, cl, objs) // twice is once
}

func apply(t *testing.T, cl client.Client, objs []client.Object) {
	t.Helper()
	text, err := member.YAML(objs)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range bytes.Split(text, []byte("---\n"))[1:] {
		var u unstructured.Unstructured
		if err := yaml.UnmarshalStrict(doc, &u.Object); err != nil {
			t.Fatal(err)
		}
		if err := cl.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(&u), client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership); err != nil {
			t.Fatalf("applying %s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
}

func asServiceAccount(t *testing.T, admin *rest.Config, o member.Options) *rest.Config {
	t.Helper()
	token, err := kubernetes.NewForConfigOrDie(admin).CoreV1().ServiceAccounts(v1alpha1.MemberNamespace(o.Local)).
		CreateToken(t.Context(), v1alpha1.MemberServiceAccount, tokenRequest(time.Hour, nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = token.Status.Token
	return config
}

// asUser is right for roles. What the API server makes of a real certificate is tested with the approver.
func asUser(_ *testing.T, admin *rest.Config, o member.Options) *rest.Config {
	config := rest.CopyConfig(admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: v1alpha1.MemberUser(o.Local)}
	return config
}

func checkAllowed(t *testing.T, connection *rest.Config, o member.Options) {
	t.Helper()
	clientset := kubernetes.NewForConfigOrDie(connection)
	for _, check := range member.Checks(o.Local, o.Capabilities, o.Requires, identity(o)) {
		eventually(t, "allowed: "+member.Describe(check), func() bool { return allowed(t, clientset, check) })
	}
}

func checkDenied(t *testing.T, connection *rest.Config, o member.Options) {
	t.Helper()
	clientset := kubernetes.NewForConfigOrDie(connection)
	const rbac, certificates = rbacv1.GroupName, "certificates.k8s.io"
	ns := v1alpha1.MemberNamespace(o.Local)
	for _, check := range []authorizationv1.ResourceAttributes{
		{Verb: "*", Group: "*", Resource: "*"},
		{Verb: "list", Resource: "secrets"},
		{Verb: "get", Resource: "secrets", Namespace: "kube-system"},
		{Verb: "get", Resource: "secrets", Namespace: ns},
		{Verb: "create", Resource: "secrets", Namespace: ns},
		{Verb: "get", Resource: "secrets", Namespace: v1alpha1.Namespace},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: ns, Name: "default"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: v1alpha1.Namespace, Name: member.ControllersServiceAccount},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "hawser-from-other", Name: v1alpha1.MemberServiceAccount},
		{Verb: "create", Resource: "serviceaccounts", Namespace: ns},
		{Verb: "delete", Resource: "serviceaccounts", Namespace: ns, Name: "default"},
		{Verb: "delete", Resource: "serviceaccounts", Namespace: "kube-system", Name: v1alpha1.MemberServiceAccount},
		{Verb: "delete", Resource: "namespaces", Namespace: v1alpha1.Namespace, Name: v1alpha1.Namespace},
		{Verb: "delete", Resource: "namespaces", Namespace: "hawser-from-other", Name: "hawser-from-other"},
		{Verb: "delete", Resource: "namespaces", Namespace: "kube-system", Name: "kube-system"},
		{Verb: "update", Resource: "namespaces", Namespace: ns, Name: ns},
		{Verb: "patch", Resource: "namespaces", Namespace: ns, Name: ns},
		{Verb: "create", Resource: "namespaces"},
		{Verb: "create", Resource: "pods", Namespace: ns},
		{Verb: "create", Resource: "pods", Subresource: "exec"},
		{Verb: "get", Resource: "pods", Subresource: "log"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy"},
		{Verb: "get", Resource: "configmaps", Namespace: ns},
		{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-system", Name: v1alpha1.MemberControllersLease},
		{Verb: "get", Group: "coordination.k8s.io", Resource: "leases", Namespace: v1alpha1.Namespace, Name: "other"},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: v1alpha1.Namespace, Name: v1alpha1.MemberControllersLease},
		{Verb: "bind", Group: rbac, Resource: "clusterroles"},
		{Verb: "bind", Group: rbac, Resource: "clusterroles", Name: "cluster-admin"},
		{Verb: "escalate", Group: rbac, Resource: "clusterroles", Name: "hawser-connect"},
		{Verb: "escalate", Group: rbac, Resource: "roles", Namespace: ns},
		{Verb: "create", Group: rbac, Resource: "clusterrolebindings"},
		{Verb: "update", Group: rbac, Resource: "clusterrolebindings", Name: ns},
		{Verb: "patch", Group: rbac, Resource: "clusterroles", Name: ns},
		{Verb: "delete", Group: rbac, Resource: "clusterroles", Name: "hawser-connect"},
		{Verb: "delete", Group: rbac, Resource: "clusterrolebindings", Name: "hawser-connect-from-other"},
		{Verb: "delete", Group: rbac, Resource: "clusterrolebindings", Name: "cluster-admin"},
		{Verb: "delete", Group: rbac, Resource: "rolebindings", Namespace: v1alpha1.Namespace, Name: "hawser-member-controllers"},
		{Verb: "impersonate", Resource: "users"},
		{Verb: "impersonate", Resource: "groups", Name: "system:masters"},
		{Verb: "impersonate", Resource: "serviceaccounts", Namespace: ns, Name: "default"},
		{Verb: "list", Group: certificates, Resource: "certificatesigningrequests"},
		{Verb: "get", Group: certificates, Resource: "certificatesigningrequests", Name: "hawser-from-other"},
		{Verb: "update", Group: certificates, Resource: "certificatesigningrequests", Subresource: "approval"},
		{Verb: "approve", Group: certificates, Resource: "signers", Name: "kubernetes.io/kube-apiserver-client"},
		{Verb: "create", Group: "hawser.io", Resource: "accessgrants"},
		{Verb: "patch", Group: "hawser.io", Resource: "accessgrants"},
		{Verb: "patch", Group: "hawser.io", Resource: "accessgrants", Subresource: "status"},
		{Verb: "create", Group: "hawser.io", Resource: "trustedissuers"},
		{Verb: "patch", Group: "hawser.io", Resource: "trustedissuers", Subresource: "status"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: v1alpha1.GrantsNamespace},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: v1alpha1.GrantsNamespace, Name: "g-0123456789abcdef"},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: v1alpha1.Namespace, Name: v1alpha1.GateServiceAccount},
		{Verb: "create", Group: rbac, Resource: "roles", Namespace: v1alpha1.GrantsNamespace},
		{Verb: "delete", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicies", Name: member.TokenLifetimePolicy},
		{Verb: "delete", Group: "admissionregistration.k8s.io", Resource: "validatingadmissionpolicybindings", Name: member.TokenLifetimePolicy},
	} {
		if allowed(t, clientset, check) {
			t.Errorf("allowed, and must not be: %s", member.Describe(check))
		}
	}
	if identity(o) == member.ServiceAccount && allowed(t, clientset, authorizationv1.ResourceAttributes{Verb: "create", Group: certificates, Resource: "certificatesigningrequests"}) {
		t.Error("a connection with tokens may ask for certificates")
	}
}

// checkTeardown removes the connection by its own right, and then looks for anything left of it.
func checkTeardown(t *testing.T, admin, connection *rest.Config, o member.Options) {
	t.Helper()
	self := newClient(t, connection)
	for _, obj := range member.Teardown(o.Local, identity(o)) {
		if err := self.Delete(t.Context(), obj); client.IgnoreNotFound(err) != nil {
			t.Fatalf("deleting %s: %v", ref(obj), err)
		}
	}
	cl := newClient(t, admin)
	for _, obj := range member.Objects(o) {
		exists := func() bool {
			err := cl.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)
			if client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
			return err == nil
		}
		if _, belongs := obj.GetLabels()[v1alpha1.LocalClusterLabel]; belongs {
			eventually(t, "gone: "+ref(obj), func() bool { return !exists() })
		} else if !exists() {
			t.Errorf("%s is shared by all connections, and is gone", ref(obj))
		}
	}
}

func identity(o member.Options) member.Identity {
	if o.Identity == "" {
		return member.ServiceAccount
	}
	return o.Identity
}

func allowed(t *testing.T, connection kubernetes.Interface, check authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &check}}
	review, err := connection.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

func tokenRequest(lifetime time.Duration, bound *authenticationv1.BoundObjectReference) *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: new(int64(lifetime.Seconds())),
		BoundObjectRef:    bound,
	}}
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	cl, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if !condition() {
			return errors.New("not so: " + what)
		}
		return nil
	})
}
