package charttest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Objects are what a chart renders to, in Helm's order.
type Objects []*unstructured.Unstructured

// Render renders the chart for namespace hawser, without its CustomResourceDefinitions unless a flag says otherwise.
// Where Helm refuses, the error is a *Failure.
func (h *Helm) Render(t testing.TB, values string, flags ...string) (Objects, error) {
	t.Helper()
	args := append([]string{"template", "hawser", Chart(t), "--namespace", "hawser", "--values", "-"}, flags...)
	text, err := h.Run(t.Context(), values, args...)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads YAML documents.
func Parse(text string) (Objects, error) {
	var objs Objects
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		obj := &unstructured.Unstructured{}
		switch err := decoder.Decode(&obj.Object); {
		case errors.Is(err, io.EOF):
			return objs, nil
		case err != nil:
			return nil, fmt.Errorf("reading what the chart renders to: %w", err)
		case len(obj.Object) > 0:
			objs = append(objs, obj)
		}
	}
}

// Find returns the object of a kind and name, nil where there is none.
func (o Objects) Find(kind, name string) *unstructured.Unstructured {
	for _, obj := range o {
		if obj.GetKind() == kind && obj.GetName() == name {
			return obj
		}
	}
	return nil
}

// Deployment returns a Deployment by name. It ends the test where there is none.
func (o Objects) Deployment(t testing.TB, name string) *appsv1.Deployment {
	t.Helper()
	obj := o.Find("Deployment", name)
	if obj == nil {
		t.Fatalf("the chart renders no Deployment %s", name)
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, &d, true); err != nil {
		t.Fatalf("Deployment %s: %v", name, err)
	}
	return &d
}

// Args are the arguments that a Deployment starts hawser with.
func (o Objects) Args(t testing.TB, deployment string) []string {
	t.Helper()
	return o.Deployment(t, deployment).Spec.Template.Spec.Containers[0].Args
}
