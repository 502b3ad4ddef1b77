package cli

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/rights"
)

// grantDesk is a desk without a manager: a RemoteCluster alpha, and Hawser's kinds in the cluster alpha.
func grantDesk(t *testing.T) (*desk, *cluster) {
	t.Helper()
	d := &desk{t: t, local: "nobody", here: asAdmin(t, "primary")}
	alpha := asAdmin(t, "alpha")
	fleettest.Use(t, "primary").Install(t, "../../config/crd/hawser.io_remoteclusters.yaml")
	fleettest.Use(t, "alpha").Install(t, "../../config/crd/hawser.io_accessgrants.yaml", "../../config/crd/hawser.io_trustedissuers.yaml")
	id, err := kubeSystemUID(t.Context(), alpha.Client)
	if err != nil {
		t.Fatal(err)
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "granting"}, Spec: v1alpha1.RemoteClusterSpec{
		Server: "https://alpha.example.com", ClusterID: id, Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken},
	}}
	if err := client.IgnoreAlreadyExists(d.here.Client.Create(t.Context(), rc)); err != nil {
		t.Fatal(err)
	}
	deleteAfter(t, d.here.Client, rc)
	return d, alpha
}

func deleteAfter(t *testing.T, c client.Client, obj client.Object) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}

func TestCan(t *testing.T) {
	d, alpha := grantDesk(t)
	namespace := fleettest.Use(t, "alpha").Namespace(t)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "joe"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "joe"}},
	}
	if err := alpha.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) outcome {
		return d.run(append([]string{"can", "granting", "list"}, args...)...)
	}
	fleettest.Eventually(t, patience, func() error {
		if got := ask("pods", "-n", namespace, "--as", "user:joe", "--remote-context", "alpha"); got.Code != exitOK {
			return errors.New(got.Out + got.Err)
		}
		return nil
	})
	yes := ask("po", "-n", namespace, "--as", "user:joe", "--remote-context", "alpha")
	wantText(t, "stdout", yes.Out, "yes\n", `as user "joe": yes: RBAC: allowed by RoleBinding "joe/`)
	no := ask("pods", "--as", "user:joe", "--remote-context", "alpha", "-o", "json")
	var answer rights.Answer
	if err := json.Unmarshal([]byte(no.Out), &answer); err != nil || answer.Allowed || no.Code != exitFailed || answer.Action != "list pods everywhere" {
		t.Errorf("exit code %d, error %v: %+v", no.Code, err, answer)
	}
	nobody := ask("pods", "--as", "primary/shop", "--remote-context", "alpha")
	wantText(t, "stdout", nobody.Out, "no\n")
	wantText(t, "stderr", nobody.Err, "no AccessGrant lets primary/shop in")
	wantText(t, "stderr", ask("widgets", "--as", "user:joe", "--remote-context", "alpha").Err, `Warning: the cluster has no resource "widgets"`)

	wrong := ask("pods", "--as", "user:joe", "--remote-context", "beta")
	wantText(t, "stderr", wrong.Err, `RemoteCluster "granting" is cluster `, "name the right one with --remote-context")
	wantText(t, "stderr", ask("pods", "--as", "joe", "--remote-context", "alpha").Err, `--as: "joe" is no subject`)
	if got := ask("pods", "--as", "user:joe"); got.Code != exitUsage {
		t.Errorf("without a context: exit code %d", got.Code)
	}
}

func TestGrantsExplain(t *testing.T) {
	d, alpha := grantDesk(t)
	namespace := fleettest.Use(t, "alpha").Namespace(t)
	if err := alpha.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Namespace}}); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	g := &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: "explained"}, Spec: v1alpha1.AccessGrantSpec{
		Subjects:     []v1alpha1.GrantSubject{{LocalCluster: &v1alpha1.GrantLocalCluster{Name: "primary", Namespace: "shop"}}},
		ClusterRoles: []string{"view", "none-of-this-name"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{namespace}},
	}}
	if err := alpha.Client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	deleteAfter(t, alpha.Client, g)
	for _, flag := range []string{"--remote-context", "--context"} {
		got := d.run("grants", "explain", "explained", flag, "alpha")
		wantText(t, "stdout", got.Out, `namespace "shop" of local cluster "primary", by AccessRequests of that namespace with grant: explained, as hawser-grants/explained-`,
			"get,list,watch ", "none-of-this-name (missing)", "Where      "+namespace, "Ends       never by itself", "repair: kubectl --context alpha create clusterrole --verb=VERBS --resource=RESOURCES none-of-this-name")
		if got.Code != exitFailed {
			t.Errorf("exit code %d, want 1: something is missing", got.Code)
		}
	}
	check := d.run("check", "granting", "--remote-context", "alpha", "--local-name", "primary")
	wantText(t, "stdout", check.Out, `AccessGrant explained: there is no ClusterRole "none-of-this-name"`, "AccessGrant explained: the member controllers do not run there")
	if got := d.run("check", "--remote-context", "alpha"); got.Code != exitUsage {
		t.Errorf("a context without a cluster: exit code %d", got.Code)
	}
	var e rights.Explanation
	got := d.run("grants", "explain", "explained", "--remote-context", "alpha", "-o", "json")
	if err := json.Unmarshal([]byte(got.Out), &e); err != nil || e.Grant != "explained" || len(e.Findings) == 0 {
		t.Errorf("error %v: %+v", err, e)
	}
	wantText(t, "stderr", d.run("grants", "explain", "nothing", "--remote-context", "alpha").Err, `there is no AccessGrant "nothing"`)
}
