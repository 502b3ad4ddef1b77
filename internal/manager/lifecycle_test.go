package manager_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/manager"
)

// gone waits until an object is not there any more.
func gone(t *testing.T, c client.Client, obj client.Object) {
	t.Helper()
	eventually(t, fmt.Sprintf("%T %s to be gone", obj, obj.GetName()), func() error {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there (%w)", err)
	})
}

func (h *hub) delete(name string) {
	h.t.Helper()
	if err := h.admin.Delete(h.t.Context(), &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		h.t.Fatal(err)
	}
}

func TestDeletionCleansUpBothSides(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	admin := h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	h.rotate("alpha")
	h.delete("alpha")
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}})
	// The input stays, and with it the server that it may be shown to; no credential does.
	var kept corev1.Secret
	if err := h.admin.Get(t.Context(), types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.CredentialSecretName("alpha")}, &kept); err != nil {
		t.Errorf("the binding of the input is forgotten: %v", err)
	}
	if len(kept.Data[v1alpha1.BearerTokenKey])+len(kept.Data[v1alpha1.TLSKeyKey]) > 0 || !strings.Contains(string(kept.Data["state.json"]), alpha.Server) {
		t.Errorf("it holds %d keys, or not the server", len(kept.Data))
	}
	gone(t, admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(h.local)}})
	gone(t, admin, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(h.local)}})
	if _, err := h.links.Get("alpha"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the connection is still in the fleet: %v", err)
	}
	var input corev1.Secret
	key := types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")}
	if err := h.admin.Get(t.Context(), key, &input); err != nil {
		t.Errorf("the input Secret, which is not ours, is gone too: %v", err)
	}
}

func TestTheRemoteIsDeletedBeforeItsRemoteCluster(t *testing.T) {
	h, beta := startHub(t), fleettest.Use(t, "beta")
	h.tieByToken("beta", beta, beta.Server)
	h.ready("beta")
	beta.Stop(t)
	t.Cleanup(func() { beta.Start(t) })
	h.delete("beta")
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "beta"}})
	h.leftBehind("beta")
}

// leftBehind waits for the event that tells what a deletion could not remove, and by what it is.
func (h *hub) leftBehind(name string) {
	h.t.Helper()
	eventually(h.t, "the event that tells what was left behind", func() error {
		var events corev1.EventList
		if err := h.admin.List(h.t.Context(), &events, client.InNamespace("default")); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Reason == "LeftBehind" && strings.Contains(e.Message, "hawser leave "+name) {
				return nil
			}
		}
		return errors.New("there is none")
	})
}

func TestDisablingClosesTheLinkAndKeepsTheRest(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	over := h.client("alpha")
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true })
	h.is("alpha", v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonDisabled)
	if _, err := over.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{}); !errors.Is(err, connection.ErrClosed) {
		t.Errorf("a request over the disabled link: %v", err)
	}
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = false })
	h.ready("alpha")
	h.works("alpha")
}

func TestAManagerThatIsStoppedInTheMiddleOfARenewal(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	proxy := alpha.Proxy(t)
	h.tieByToken("alpha", alpha, proxy.URL)
	h.ready("alpha")
	proxy.Delay(500 * time.Millisecond)
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		metav1.SetMetaDataAnnotation(&rc.ObjectMeta, v1alpha1.RenewAnnotation, time.Now().Add(time.Second).Format(time.RFC3339Nano))
	})
	h.stop()
	proxy.Delay(0)
	h.start()
	h.worksAgain("alpha")
	h.rotate("alpha")
	h.works("alpha")
}

func TestAMeshInWhichOneDirectionIsRemoved(t *testing.T) {
	names := []string{"primary", "alpha", "beta"}
	run := hubs.Add(1)
	mesh := map[string]*hub{}
	for _, name := range names {
		mesh[name] = startHubIn(t, name, fmt.Sprintf("mesh-%d-%s", run, name))
	}
	for _, from := range names {
		for _, to := range names {
			if from != to {
				c := fleettest.Use(t, to)
				mesh[from].tieByToken(to, c, c.Server)
			}
		}
	}
	for _, from := range names {
		for _, to := range names {
			if from != to {
				mesh[from].ready(to)
			}
		}
	}
	mesh["alpha"].delete("beta")
	gone(t, mesh["alpha"].admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "beta"}})
	gone(t, mesh["beta"].admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(mesh["alpha"].local)}})
	mesh["beta"].ready("alpha")
	mesh["beta"].works("alpha")
	mesh["beta"].rotate("alpha")
	mesh["primary"].works("beta")
}

func TestTwoNamesForOneClusterAreWarnedOf(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	h.tieByToken("alias", alpha, alpha.Server)
	h.ready("alias")
	eventually(t, "the warning", func() error {
		var events corev1.EventList
		if err := h.admin.List(t.Context(), &events, client.InNamespace("default")); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Reason == v1alpha1.ReasonDuplicateCluster && strings.Contains(e.Message, "same cluster") {
				return nil
			}
		}
		return errors.New("there is none")
	})
	// To give one name up leaves the other, and the member install that they share.
	h.delete("alias")
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alias"}})
	h.rotate("alpha")
	h.works("alpha")
}

func base64of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func clusterID(t *testing.T, c *fleettest.Cluster) string {
	t.Helper()
	var ns corev1.Namespace
	if err := adminOf(t, c).Get(t.Context(), types.NamespacedName{Name: "kube-system"}, &ns); err != nil {
		t.Fatal(err)
	}
	return string(ns.UID)
}

// grantSecret is what the condition InputForbidden prints, as objects.
func grantSecret(t *testing.T, admin client.Client, namespace, name string) {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hawser-read-" + name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}, ResourceNames: []string{name}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.Namespace, Name: "hawser"}},
	}
	if err := errors.Join(admin.Create(t.Context(), role), admin.Create(t.Context(), binding)); err != nil {
		t.Fatal(err)
	}
}

type counter struct{ n atomic.Int64 }

func (c *counter) add()       { c.n.Add(1) }
func (c *counter) get() int64 { return c.n.Load() }

func TestTheLocalClusterIsInItsFleetUnlessItOnlyManages(t *testing.T) {
	h := startHub(t)
	h.stop()
	h.inFleet = true
	h.start()
	eventually(t, "the RemoteCluster of the local cluster", func() error {
		return h.admin.Get(t.Context(), types.NamespacedName{Name: h.local}, &v1alpha1.RemoteCluster{})
	})
	h.ready(h.local)
	h.works(h.local)
	if rc := h.get(h.local); rc.Spec.Auth.Type != v1alpha1.AuthInCluster || rc.Status.Credential.Subject != "system:serviceaccount:hawser:hawser" {
		t.Errorf("auth %s as %s", rc.Spec.Auth.Type, rc.Status.Credential.Subject)
	}
	var secrets corev1.SecretList
	if err := h.admin.List(t.Context(), &secrets, client.InNamespace(v1alpha1.Namespace)); err != nil || len(secrets.Items) > 0 {
		t.Errorf("%d Secrets are stored for it (%v)", len(secrets.Items), err)
	}
	var said corev1.ConfigMap
	if err := h.admin.Get(t.Context(), types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.ManagerConfigMap}, &said); err != nil {
		t.Fatal(err)
	}
	if said.Data[v1alpha1.ClusterNameKey] != h.local || said.Data[v1alpha1.DefaultClusterKey] != h.local {
		t.Errorf("the manager says %v", said.Data)
	}

	h.stop()
	h.inFleet = false
	h.start()
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: h.local}})
}

func TestAManagerRefusesToStartOnContradictions(t *testing.T) {
	cases := map[string]manager.Options{
		"no name":                             {},
		"a name that is no DNS label":         {ClusterName: "has.dots"},
		"itself as default, and not in fleet": {ClusterName: "hub", DefaultCluster: "hub", ManagementOnly: true},
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			if err := manager.Run(t.Context(), o); err == nil {
				t.Error("it started")
			}
		})
	}
}

func TestAManagerRefusesTheClustersOfAnotherName(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	h.stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := manager.Run(ctx, manager.Options{ClusterName: "renamed", ManagementOnly: true, Config: h.config, Log: logged, MetricsAddr: "0", ProbeAddr: "0"})
	if err == nil || !strings.Contains(err.Error(), "start with --cluster-name "+h.local) {
		t.Errorf("it started under another name, or did not say what to do: %v", err)
	}
}
