package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

func TestTrustRender(t *testing.T) {
	alpha := asAdmin(t, "alpha")
	fleettest.Use(t, "alpha").Install(t, "../../config/crd/hawser.io_trustedissuers.yaml")
	system, err := alpha.Kube.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) outcome {
		var out, stderr bytes.Buffer
		d := &deps{in: strings.NewReader(""), out: &out, err: &stderr, connect: func(_, _ string) (*cluster, error) { return alpha, nil }}
		code := d.run(t.Context(), append([]string{"hawser", "trust", "render"}, args...))
		return outcome{out.String(), stderr.String(), code}
	}
	add := func(name string, status metav1.ConditionStatus) {
		t.Helper()
		ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}}
		ti.Spec = v1alpha1.TrustedIssuerSpec{URL: "https://" + name + ".example.com", Prefix: name + ":"}
		if err := alpha.Client.Create(t.Context(), ti); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = alpha.Client.Delete(context.Background(), ti) })
		before := ti.DeepCopy()
		ti.Status.ObservedGeneration = ti.Generation
		ti.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: status, Reason: "Said", Message: "so", LastTransitionTime: metav1.Now()}}
		if err := alpha.Client.Status().Patch(t.Context(), ti, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}

	add("render-good", metav1.ConditionTrue)
	got := run()
	if got.Code != exitOK || got.Err != "" {
		t.Errorf("exit code %d, stderr %s", got.Code, got.Err)
	}
	wantText(t, "the configuration", got.Out, "apiVersion: apiserver.config.k8s.io/v1\n", "url: https://render-good.example.com", v1alpha1.DefaultAudience(string(system.UID)), "render-good:")

	add("render-bad", metav1.ConditionFalse)
	got = run("--config-version", "v1beta1")
	if got.Code != exitFailed || strings.Contains(got.Out, "render-bad") {
		t.Errorf("exit code %d, and:\n%s", got.Code, got.Out)
	}
	wantText(t, "the configuration", got.Out, "apiVersion: apiserver.config.k8s.io/v1beta1\n", "url: https://render-good.example.com")
	wantText(t, "stderr", got.Err, `TrustedIssuer "render-bad" is left out: it is not Ready: Said: so`)

	if got = run("--config-version", "v2"); got.Code != exitUsage || got.Out != "" {
		t.Errorf("with a version that there is not: exit code %d, and %s", got.Code, got.Out)
	}
}
