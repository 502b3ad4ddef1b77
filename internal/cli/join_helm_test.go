package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/charttest"
)

// memberRelease installs the member side for a local cluster as the owner of alpha does, by Helm.
func (d *desk) memberRelease(local, values string) {
	d.t.Helper()
	helm := charttest.New(d.t, fleettest.Use(d.t, "alpha").Kubeconfig(d.t))
	values = fmt.Sprintf("member: {enabled: true, localClusters: [%s]%s}", local, values)
	// Earlier tests leave what all connections share. The kinds would be news to later ones.
	_, err := helm.Run(d.t.Context(), values, "install", "hawser", charttest.Chart(d.t), "--namespace", "hawser", "--create-namespace", "--take-ownership", "--force-conflicts", "--skip-crds", "--values", "-")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := helm.Run(ctx, "", "uninstall", "hawser", "--namespace", "hawser"); err != nil {
			d.t.Error(err)
		}
	})
}

// bound says who keeps the binding by which the connection reads what it always does.
func (d *desk) bound() string {
	d.t.Helper()
	var b rbacv1.ClusterRoleBinding
	err := asAdmin(d.t, "alpha").Client.Get(d.t.Context(), client.ObjectKey{Name: "hawser-connect-from-" + d.local}, &b)
	if client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	}
	return b.Labels[v1alpha1.ManagedByLabel]
}

func TestAMemberInstallOfHelmIsUsedAndLeftToHelm(t *testing.T) {
	d := newDesk(t)
	d.memberRelease(d.local, "")
	joined := d.must("join", "alpha", "--remote-context", "alpha")
	plan := d.must("join", "alpha", "--remote-context", "alpha", "--dry-run")
	wantText(t, "the plan", plan.Out, "Of a Helm release there, and used as it is: ", `ServiceAccount "hawser"`)
	if strings.Contains(plan.Out, "kind: ServiceAccount\n") || strings.Contains(plan.Out, "kind: ClusterRole\n") {
		t.Error("the plan would write what is of Helm")
	}
	wantText(t, "join", joined.Out, "In the remote cluster: nothing to change", "what is of a Helm release there is used as it is", `cluster "alpha" is Ready`)

	lacking := d.run("join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints")
	wantText(t, "a join for more", lacking.Err, `the member install is of Helm release "hawser" in namespace "hawser", which lacks `, d.local+" in member.localClusters, member.identity=serviceAccount, endpoints in member.capabilities")
	longer := d.run("join", "alpha", "--remote-context", "alpha", "--lifetime", "48h")
	wantText(t, "a join for longer", longer.Err, "which lacks tokens that live for 48h0m0s: it allows 24h0m0s", "member.maxTokenLifetime=48h0m0s")
	var b rbacv1.ClusterRoleBinding
	err := asAdmin(t, "alpha").Client.Get(t.Context(), client.ObjectKey{Name: "hawser-endpoints-from-" + d.local}, &b)
	if !apierrors.IsNotFound(err) || lacking.Code != exitFailed || longer.Code != exitFailed {
		t.Errorf("codes %d and %d, and half of what was refused is there (%v)", lacking.Code, longer.Code, err)
	}

	left := d.run("leave", "alpha")
	wantText(t, "leave", left.Err, `they are of Helm release "hawser" in namespace "hawser" there`)
	if err := d.memberNamespace("alpha"); err != nil || d.bound() != "Helm" || left.Code != exitFailed {
		t.Errorf("code %d; the namespace: %v, the binding is kept by %q", left.Code, err, d.bound())
	}
	left = d.run("leave", "alpha", "--remote-context", "alpha")
	wantText(t, "leave by a person's right", left.Err, `stays: Namespace "hawser-from-`+d.local+`"`, "helm uninstall hawser --namespace hawser --kube-context alpha")
	if err := d.memberNamespace("alpha"); err != nil || d.bound() != "Helm" || left.Code != exitFailed {
		t.Errorf("code %d; the namespace: %v, the binding is kept by %q", left.Code, err, d.bound())
	}
}

func TestRevokeCutsAMemberInstallOfHelm(t *testing.T) {
	d := newDesk(t)
	d.memberRelease(d.local, ", identity: certificate")
	d.must("join", "alpha", "--remote-context", "alpha", "--auth", "mtls", "--renew", "watch")
	got := d.must("revoke", "alpha", "--remote-context", "alpha")
	wantText(t, "revoke", got.Out, `deleted  ClusterRoleBinding "hawser-connect-from-`+d.local+`"`, `cluster "alpha" refuses the credential, `)
	wantText(t, "revoke", got.Err, `whose next upgrade gives them back: take "`+d.local+`" out of member.localClusters`)
	if who := d.bound(); who != "" {
		t.Errorf("it is still bound by %q", who)
	}
}

func TestWhatConnectionsShareMayBeOfHelm(t *testing.T) {
	d := newDesk(t)
	d.memberRelease("somebody", "")
	got := d.must("join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints")
	wantText(t, "join", got.Out, `created  ClusterRoleBinding "hawser-connect-from-`+d.local+`"`, "what is of a Helm release there is used as it is")
	if strings.Contains(got.Out, `ed  ClusterRole "hawser-connect"`) {
		t.Error("what is of Helm was changed")
	}
	d.must("leave", "alpha", "--remote-context", "alpha")
	var role rbacv1.ClusterRole
	if err := asAdmin(t, "alpha").Client.Get(t.Context(), client.ObjectKey{Name: "hawser-connect"}, &role); err != nil || role.Labels[v1alpha1.ManagedByLabel] != "Helm" {
		t.Errorf("what is of Helm is not any more: %v, %v", role.Labels, err)
	}
}

func TestAnInputSecretOfHelmIsRefusedBeforeAnythingIsMadeThere(t *testing.T) {
	d := newDesk(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha"), Labels: map[string]string{v1alpha1.ManagedByLabel: "Helm"},
	}}
	if err := d.here.Client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.here.Client.Delete(context.Background(), secret) })
	got := d.run("join", "alpha", "--remote-context", "alpha")
	wantText(t, "join", got.Err, "is of a release of the chart", "kubectl --context alpha -n hawser-from-"+d.local+" create token hawser", "multiCluster.clusters.alpha.bearerToken")
	if err := d.memberNamespace("alpha"); !apierrors.IsNotFound(err) || got.Code != exitFailed {
		t.Errorf("code %d, and the member side was installed (%v)", got.Code, err)
	}
}
