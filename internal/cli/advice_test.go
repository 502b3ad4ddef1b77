package cli

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

// Whoever is at a desk with several contexts can run what is printed as it stands.
func TestPrintedCommandsReachTheSameClusters(t *testing.T) {
	disabled := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}, Spec: v1alpha1.RemoteClusterSpec{Disabled: true}}
	for name, tt := range map[string]struct {
		objects []client.Object
		args    []string
		want    string
	}{
		"an error":                {nil, []string{"rotate", "alpha", "--context", "hub"}, "hawser join --context hub alpha --remote-context CONTEXT makes it"},
		"a command of kubectl":    {[]client.Object{disabled}, []string{"rotate", "alpha", "--context", "hub"}, "kubectl --context hub patch remotecluster alpha"},
		"a hint":                  {nil, []string{"clusters", "--kubeconfig", "/tmp/hub.yaml"}, "hawser join --kubeconfig /tmp/hub.yaml NAME --remote-context CONTEXT"},
		"a wrong call stays":      {nil, []string{"leave", "--context", "hub"}, "See `hawser leave --help`"},
		"no flag changes nothing": {nil, []string{"rotate", "alpha"}, "hawser join alpha --remote-context CONTEXT makes it"},
	} {
		got := runWith(t, tt.objects, append([]string{"hawser"}, tt.args...)...)
		wantText(t, name, got.Err, tt.want)
	}
}

// A token that is rubbish is told of once, by check and by status, while the link goes on, and the repair repairs.
func TestARefusedInputIsFoundAndRepaired(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	d.must("join", "alpha", "--remote-context", "alpha")
	d.must("rotate", "alpha") // so that another is kept
	input := d.secret(v1alpha1.InputSecretName("alpha"))
	input.Data[v1alpha1.BearerTokenKey] = []byte("rubbish")
	if err := d.here.Client.Update(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return conditionOf(d.get("alpha"), v1alpha1.CredentialFresh).Reason == v1alpha1.ReasonInputRefused
	})
	report, code := d.examine("alpha")
	refused := find(report, "credential", doctor.Error)
	if code != exitFailed || refused == nil || report.Count(doctor.Error) != 1 {
		t.Fatalf("exit code %d: %+v", code, report)
	}
	wantText(t, "the finding", refused.Message, `what is in Secret "hawser-cluster-alpha" is of no use`)
	wantText(t, "the repair", refused.Repair, "hawser join alpha --remote-context CONTEXT")
	if find(report, "expiry", doctor.OK) == nil || find(report, "expiry", doctor.Warning) != nil {
		t.Errorf("the credential in use is not what is judged: %+v", report)
	}
	if got := d.run("status"); got.Code != exitFailed {
		t.Errorf("status: exit code %d", got.Code)
	}
	d.must("join", "alpha", "--remote-context", "alpha")
	if report, code := d.examine("alpha"); code != exitOK || report.Count(doctor.Warning) > 0 {
		t.Errorf("after the repair, exit code %d: %+v", code, report)
	}
}

// What Helm holds is mended, and ended, by its release, whatever command is asked.
func TestCommandsSayHowAReleaseIsMended(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	d.must("join", "alpha", "--remote-context", "alpha")
	rc, input := d.get("alpha"), d.secret(v1alpha1.InputSecretName("alpha"))
	rc.Finalizers = nil
	for _, obj := range []client.Object{rc, input} {
		obj.SetLabels(map[string]string{v1alpha1.ManagedByLabel: advice.Helm, v1alpha1.CredentialsLabel: "true"})
		obj.SetAnnotations(map[string]string{advice.ReleaseNameAnnotation: "fleet"})
		if err := d.here.Client.Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // leave lets it be, since Helm made it
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")}}
		_ = d.here.Client.Delete(context.Background(), secret)
	})
	const upgrade = "helm upgrade fleet CHART --namespace hawser --reset-then-reuse-values --set-file multiCluster.clusters.alpha.bearerToken=token"
	mint := "create token hawser --duration 24h > token"

	plan := d.must("join", "alpha", "--remote-context", "alpha", "--dry-run")
	wantText(t, "the plan", plan.Out, `# Secret "hawser-cluster-alpha" in namespace "hawser" stays as it is`, `RemoteCluster "alpha" is of Helm release "fleet", whose next upgrade sets back`)
	revoked := d.must("revoke", "alpha", "--remote-context", "alpha")
	wantText(t, "revoke", revoked.Out, `It is of Helm release "fleet"`, "kubectl --context alpha -n hawser-from-"+d.local+" "+mint, upgrade, "take multiCluster.clusters.alpha out of the values")
	eventually(t, func() bool {
		return conditionOf(d.get("alpha"), v1alpha1.Authenticated).Status == metav1.ConditionFalse
	})
	wantText(t, "the condition", conditionOf(d.get("alpha"), v1alpha1.Authenticated).Message, mint, upgrade)
	report, _ := d.examine("alpha")
	if f := find(report, "identity", doctor.Error); f == nil {
		t.Errorf("check finds %+v", report)
	} else {
		wantText(t, "the repair", f.Repair, mint, upgrade)
	}
	left := d.run("leave", "alpha", "--remote-context", "alpha")
	wantText(t, "leave", left.Err, `RemoteCluster "alpha" was of Helm release "fleet", whose next upgrade brings it back unless multiCluster.clusters.alpha is taken out of its values`)
	if left.Code != exitFailed {
		t.Errorf("exit code %d, want %d", left.Code, exitFailed)
	}
}
