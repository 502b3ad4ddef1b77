package manager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/controller/accessgrant"
	"github.com/hawser-io/hawser/member"
)

// grants runs the controller of AccessGrants in a remote cluster, under the rights that its admin installs.
func grants(t *testing.T, c *fleettest.Cluster) client.Client {
	t.Helper()
	admin := adminOf(t, c)
	crds, err := crd.YAML(crd.TrustedIssuers, crd.AccessGrants)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), crds); err != nil {
		t.Fatal(err)
	}
	for _, obj := range member.ControllerObjects(member.ControllerOptions{}) {
		apply(t, admin, obj)
	}
	c.AwaitPolicies(t)
	config := c.TokenConfig(remember(c.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour)))
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: accessgrant.Cache()}, Logger: logged})
	if err != nil {
		t.Fatal(err)
	}
	if err := accessgrant.SetupWithManager(t.Context(), mgr, accessgrant.Options{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the member controllers", mgr.Start)
	return admin
}

// TestANamespaceGetsWhatTheOtherClusterGrants goes the whole way: a grant over there, a request here, and a
// kubeconfig that may do what was granted, for as long as it was granted, and nothing else.
func TestANamespaceGetsWhatTheOtherClusterGrants(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	far := grants(t, alpha)
	shop, theirs := h.cluster.Namespace(t), alpha.Namespace(t)
	h.tieByToken("alpha", alpha, alpha.Server)
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{Names: []string{shop}}
	})
	h.ready("alpha")
	if err := h.admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "hawser-requests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requests"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.Namespace, Name: "hawser"}},
	}); err != nil {
		t.Fatal(err)
	}
	ag := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "deploy-" + h.local}}
	ag.Spec.Subjects = []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: h.local, Namespace: shop}}}
	ag.Spec.ClusterRoles, ag.Spec.Namespaces = []string{"edit"}, &v1alpha1.GrantNamespaces{Names: []string{theirs}}
	ag.Spec.MaxLifetime = &metav1.Duration{Duration: 25 * time.Minute}
	if err := far.Create(t.Context(), ag); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Delete(context.Background(), ag) })
	// The policy that caps tokens reads grants from a cache of the API server's.
	account := grant.AccountName(ag.Name, ag.Spec.Subjects[0])
	eventually(t, "tokens of the grant to be capped", func() error {
		_, err := alpha.Client().CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "lives at most") {
			return fmt.Errorf("one for an hour: %w", err)
		}
		return nil
	})

	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "deploy"}}
	ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = "alpha", ag.Name, v1alpha1.OutputKubeconfig
	if err := h.admin.Create(t.Context(), ar); err != nil {
		t.Fatal(err)
	}
	h.written(ar)
	// The request asks for an hour, which is the default; the grant has the last word.
	if left := time.Until(ar.Status.ExpiresAt.Time); left > 26*time.Minute || left < 20*time.Minute {
		t.Errorf("the token lives %s, and the grant allows 25m", left)
	}
	var secret corev1.Secret
	if err := h.admin.Get(t.Context(), client.ObjectKey{Namespace: shop, Name: ar.Status.SecretName}, &secret); err != nil {
		t.Fatal(err)
	}
	remember(string(secret.Data["token"]))
	config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["kubeconfig"])
	if err != nil {
		t.Fatal(err)
	}
	clients := kubernetes.NewForConfigOrDie(config)
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made"}}
	if _, err := clients.CoreV1().ConfigMaps(theirs).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Errorf("what is granted does not work: %v", err)
	}
	for _, namespace := range []string{"default", v1alpha1.GrantsNamespace, v1alpha1.MemberNamespace(h.local)} {
		if _, err := clients.CoreV1().ConfigMaps(namespace).Create(t.Context(), made, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("what is not granted, in namespace %s: %v", namespace, err)
		}
	}

	// A namespace that is not named gets nothing of the same grant.
	other := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "deploy"}, Spec: ar.Spec}
	if err := h.admin.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.admin.Delete(context.Background(), other) })
	if message := h.notWritten(other, v1alpha1.ReasonNamespaceNotAllowed); !strings.Contains(message, `"default"`) {
		t.Errorf("it says %q", message)
	}

	if err := far.Delete(t.Context(), ag); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	eventually(t, "the token to be dead", func() error {
		if _, err := clients.CoreV1().ConfigMaps(theirs).List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("it works, or: %w", err)
		}
		return nil
	})
	if took := time.Since(deleted); took > 15*time.Second {
		t.Errorf("the access ended %s after the grant", took)
	}

	// Deleting the request takes away what is left.
	if err := h.admin.Delete(t.Context(), ar); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the output to be gone", func() error {
		if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(&secret), &secret); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there, or: %w", err)
		}
		return nil
	})
}

// written waits until a request is served, and reads it.
func (h *hub) written(ar *v1alpha1.AccessRequest) {
	h.t.Helper()
	h.requestIs(ar, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

func (h *hub) notWritten(ar *v1alpha1.AccessRequest, reason string) string {
	h.t.Helper()
	return h.requestIs(ar, metav1.ConditionFalse, reason)
}

func (h *hub) requestIs(ar *v1alpha1.AccessRequest, status metav1.ConditionStatus, reason string) (message string) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("AccessRequest %s to be %s", ar.Name, reason), func() error {
		if err := h.admin.Get(h.t.Context(), client.ObjectKeyFromObject(ar), ar); err != nil {
			return err
		}
		texts.Store(fmt.Sprintf("%+v %+v", ar.ObjectMeta, ar.Status), "an AccessRequest")
		c := meta.FindStatusCondition(ar.Status.Conditions, v1alpha1.Ready)
		if c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("it is %+v", c)
		}
		message = c.Message
		return nil
	})
	return message
}
