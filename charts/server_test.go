package charts_test

import (
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/charttest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "hub")) }

// notOnDevfleet are kinds of operators that run on no API server here: their objects are checked by the golden files.
var notOnDevfleet = map[string]bool{"monitoring.coreos.com": true, "cert-manager.io": true}

// An API server takes every object as it stands, with the rules of the kinds and without a field that it does not know,
// and every pod in a namespace whose pod security is restricted.
func TestServerAdmitsWhatTheChartRenders(t *testing.T) {
	hub := fleettest.Use(t, "hub")
	hub.Install(t, "hawser/crds/*.yaml")
	api, err := client.New(hub.AdminConfig(), client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	strict := []client.CreateOption{client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)}
	create := func(obj client.Object, options ...client.CreateOption) error {
		if err := api.Create(t.Context(), obj, options...); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating %s %s: %w", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName(), err)
		}
		return nil
	}
	helm := charttest.New(t, nil)
	namespaces := []string{v1alpha1.Namespace, "team-a", "capi-aws"}
	admitted := map[string]charttest.Objects{}
	for _, shape := range shapes {
		objs, err := helm.Render(t, valuesOf(t, shape))
		if err != nil {
			t.Fatal(err)
		}
		admitted[shape] = objs
		for _, obj := range objs {
			if obj.GetKind() == "Namespace" {
				namespaces = append(namespaces, obj.GetName())
			}
		}
	}
	for _, name := range namespaces { // what is in them is only tried out, and so they have to be there
		ns := object("v1", "Namespace", "", name)
		ns.SetLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
		if err := create(ns); err != nil {
			t.Fatal(err)
		}
	}
	for _, account := range []string{"hawser", "hawser-member", "hawser-gate"} { // no pod without its account
		if err := create(object("v1", "ServiceAccount", v1alpha1.Namespace, account)); err != nil {
			t.Fatal(err)
		}
	}
	for shape, objs := range admitted {
		for _, obj := range objs {
			if notOnDevfleet[obj.GroupVersionKind().Group] {
				continue
			}
			if err := create(obj, strict...); err != nil {
				t.Errorf("%s: %v", shape, err)
			}
			if obj.GetKind() != "Deployment" || shape == "everything-local" { // whose init container is a stranger
				continue
			}
			pod := object("v1", "Pod", v1alpha1.Namespace, obj.GetName())
			spec, _, err := unstructured.NestedMap(obj.Object, "spec", "template", "spec")
			if err != nil {
				t.Fatal(err)
			}
			pod.Object["spec"] = spec
			if err := create(pod, strict...); err != nil {
				t.Errorf("%s: %v", shape, err)
			}
		}
	}
	// The guard itself: the same pod without its security context is refused.
	bare := object("v1", "Pod", v1alpha1.Namespace, "bare")
	bare.Object["spec"] = map[string]any{"containers": []any{map[string]any{"name": "hawser", "image": "hawser"}}}
	if err := create(bare, strict...); !apierrors.IsForbidden(err) {
		t.Errorf("a pod without a security context: %v, want it refused", err)
	}
}

// Nothing in a pod can be written but what is meant to be, and nothing runs as root.
func TestContainersAreHardened(t *testing.T) {
	helm := charttest.New(t, nil)
	for shape, deployments := range map[string][]string{"source-local": {"hawser"}, "everything-remote": {"hawser-member", "hawser-gate"}} {
		objs, err := helm.Render(t, valuesOf(t, shape))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range deployments {
			pod := objs.Deployment(t, name).Spec.Template.Spec
			c := pod.Containers[0]
			switch {
			case c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem:
				t.Errorf("%s can write its root", name)
			case c.LivenessProbe == nil || c.ReadinessProbe == nil || c.StartupProbe == nil:
				t.Errorf("%s lacks a probe", name)
			case c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero():
				t.Errorf("%s lacks resources", name)
			case len(pod.TopologySpreadConstraints) == 0:
				t.Errorf("%s is not spread", name)
			}
			for _, kind := range []string{"PodDisruptionBudget", "NetworkPolicy"} {
				if objs.Find(kind, name) == nil {
					t.Errorf("%s has no %s", name, kind)
				}
			}
			for _, v := range pod.Volumes {
				if v.HostPath != nil {
					t.Errorf("%s mounts a path of its node", name)
				}
			}
			if pod.HostNetwork || pod.HostPID || !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: security context %+v", name, pod.SecurityContext)
			}
		}
	}
}

func object(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	obj.SetNamespace(namespace)
	obj.SetName(name)
	return obj
}
