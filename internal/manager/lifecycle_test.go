package manager_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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

// byJoin makes a cluster as hawser join leaves it: the input Secret is Hawser's, and goes with the RemoteCluster,
// which is held until the manager has told the remote cluster.
func (h *hub) byJoin(name string) {
	h.t.Helper()
	rc := h.get(name)
	var input corev1.Secret
	if err := h.admin.Get(h.t.Context(), types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(name)}, &input); err != nil {
		h.t.Fatal(err)
	}
	input.Labels[v1alpha1.ManagedByLabel] = v1alpha1.ManagedBy
	input.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster", Name: name, UID: rc.UID}}
	if err := h.admin.Update(h.t.Context(), &input); err != nil {
		h.t.Fatal(err)
	}
	h.update(name, func(rc *v1alpha1.RemoteCluster) { rc.Finalizers = []string{v1alpha1.Finalizer} })
}

// hasSecrets waits until the cluster has these Secrets of ours in the local cluster, and no others.
func (h *hub) hasSecrets(name string, want ...string) {
	h.t.Helper()
	// The garbage collector looks for new kinds every thirty seconds, and collects nothing for owners before.
	fleettest.Eventually(h.t, 3*patience, func() error {
		var got []string
		for _, prefix := range []string{"binding", "cluster", "credential"} {
			err := h.admin.Get(h.t.Context(), types.NamespacedName{Namespace: v1alpha1.Namespace, Name: "hawser-" + prefix + "-" + name}, &corev1.Secret{})
			if err == nil {
				got = append(got, prefix)
			} else if !apierrors.IsNotFound(err) {
				return err
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

func TestWhatJoinMadeIsRemovedOnBothSides(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	admin := h.tieByToken("alpha", alpha, alpha.Server)
	h.byJoin("alpha")
	h.ready("alpha")
	h.rotate("alpha")
	if got := h.get("alpha").Finalizers; !slices.Equal(got, []string{v1alpha1.Finalizer}) {
		t.Fatalf("the finalizers are %v", got)
	}
	h.delete("alpha")
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}})
	gone(t, admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(h.local)}})
	gone(t, admin, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(h.local)}})
	h.hasSecrets("alpha")
	if _, err := h.links.Get("alpha"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the connection is still in the fleet: %v", err)
	}
}

// A connection has the right to remove what a Helm release has made for it. It would come back with the next upgrade.
func TestTheRemoteSideOfAReleaseIsLeftToHelm(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	admin := h.tieByToken("alpha", alpha, alpha.Server)
	h.byJoin("alpha")
	h.ready("alpha")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.MemberNamespace(h.local)}}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(ns), ns); err != nil {
		t.Fatal(err)
	}
	ns.Labels[v1alpha1.ManagedByLabel] = "Helm"
	if err := admin.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	h.delete("alpha")
	gone(t, h.admin, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}})
	var binding rbacv1.ClusterRoleBinding
	err := admin.Get(t.Context(), types.NamespacedName{Name: "hawser-connect-from-" + h.local}, &binding)
	if now := admin.Get(t.Context(), client.ObjectKeyFromObject(ns), ns); err != nil || now != nil || ns.DeletionTimestamp != nil {
		t.Errorf("the manager has removed some of it: binding %v, namespace %v", err, now)
	}
}

// What a person or Helm made is held by nobody, with a manager and without, and the input is shown to no other
// server because of that.
func TestWhatOthersMadeIsHeldByNobody(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	for _, name := range []string{"hand", "helm"} {
		admin := h.tieByToken(name, alpha, alpha.Server)
		h.update(name, func(rc *v1alpha1.RemoteCluster) { rc.Finalizers = []string{v1alpha1.Finalizer} }) // as an earlier version did
		if name == "helm" {
			h.update(name, func(rc *v1alpha1.RemoteCluster) { rc.Labels = map[string]string{v1alpha1.ManagedByLabel: "Helm"} })
		}
		h.ready(name)
		h.rotate(name)
		eventually(t, "the finalizer to be taken off", func() error {
			if got := h.get(name).Finalizers; len(got) > 0 {
				return fmt.Errorf("they are %v", got)
			}
			return nil
		})
		h.hasSecrets(name, "binding", "cluster", "credential")
		if name == "hand" {
			h.stop() // nobody runs who could let go
		}
		h.delete(name)
		if err := h.admin.Get(t.Context(), types.NamespacedName{Name: name}, &v1alpha1.RemoteCluster{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: it hangs: %v", name, err)
		}
		h.hasSecrets(name, "binding", "cluster") // no credential: the input, and the server that it may be shown to
		if name == "hand" {
			h.start()
		} else if _, err := h.links.Get(name); err == nil {
			eventually(t, "the connection to end", func() error {
				if _, err := h.links.Get(name); !errors.Is(err, fleet.ErrNotFound) {
					return fmt.Errorf("it is in the fleet: %w", err)
				}
				return nil
			})
		}
		if err := admin.Get(t.Context(), types.NamespacedName{Name: v1alpha1.MemberNamespace(h.local)}, &corev1.Namespace{}); err != nil {
			t.Errorf("%s: the member install, which others made, is gone: %v", name, err)
		}
		stranger := fleettest.NewStranger(t)
		h.tie(name, stranger.URL, stranger.CA(), bearer)
		h.is(name, v1alpha1.Reachable, metav1.ConditionFalse, v1alpha1.ReasonAddressUnproven)
		if heard := string(stranger.Sent()); strings.Contains(heard, "Bearer") {
			t.Errorf("%s: whoever made it anew was shown the input:\n%s", name, heard)
		}
		// The record ends with the input.
		if err := h.admin.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(name)}}); err != nil {
			t.Fatal(err)
		}
		h.hasSecrets(name)
	}
}

// A cluster that is deleted and made again between two looks is another one.
func TestAnotherObjectOfTheSameNameIsAnotherCluster(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	h.rotate("alpha")
	before, err := h.links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	h.delete("alpha")
	h.tie("alpha", alpha.Server, alpha.CA(), bearer)
	h.ready("alpha")
	if after, err := h.links.Get("alpha"); err != nil || after == before {
		t.Errorf("the connection of the old one goes on (%v)", err)
	}
	h.rotate("alpha")
	var kept corev1.Secret
	if err := h.admin.Get(t.Context(), types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.CredentialSecretName("alpha")}, &kept); err != nil {
		t.Fatal(err)
	}
	if owners := kept.OwnerReferences; len(owners) != 1 || owners[0].UID != h.get("alpha").UID {
		t.Errorf("what is kept belongs to %v", owners)
	}
}

func TestTheRemoteIsDeletedBeforeItsRemoteCluster(t *testing.T) {
	h, beta := startHub(t), fleettest.Use(t, "beta")
	h.tieByToken("beta", beta, beta.Server)
	h.byJoin("beta")
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
				mesh[from].byJoin(to)
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
			if e.Reason == v1alpha1.ReasonDuplicateCluster && strings.Contains(e.Message, "the same cluster (") {
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
