package fleettest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hawser-io/hawser/fleettest"
)

// kindOf defines a kind of its own for a test, in two versions of which one is served.
func kindOf(group string) string {
	return strings.ReplaceAll(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Cluster
  names: {kind: Widget, plural: widgets}
  versions:
  - {name: v1, served: true, storage: true, schema: &any {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v2, served: false, storage: false, schema: *any}
`, "GROUP", group)
}

func widget(group, name, color string) string {
	return "---\n# a comment alone\n---\napiVersion: " + group + "/v1\nkind: Widget\nmetadata: {name: " + name + "}\nspec: {color: " + color + "}\n"
}

func TestApplyWaitsForKindsAndChangesObjects(t *testing.T) {
	c := fleettest.Use(t, "primary")
	widgets := dynamic.NewForConfigOrDie(c.AdminConfig()).Resource(schema.GroupVersionResource{Group: "apply.example.com", Version: "v1", Resource: "widgets"})
	for _, color := range []string{"red", "blue"} {
		if err := c.Apply(t.Context(), []byte(kindOf("apply.example.com")+widget("apply.example.com", "a", color))); err != nil {
			t.Fatal(err)
		}
		got, err := widgets.Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil || got.Object["spec"].(map[string]any)["color"] != color {
			t.Errorf("read %v, error %v; want color %s", got, err, color)
		}
	}
}

func TestInstallAppliesFilesAndLeavesNewKindsServed(t *testing.T) {
	c, dir := fleettest.Use(t, "primary"), t.TempDir()
	for name, text := range map[string]string{"1-kind.yaml": kindOf("install.example.com"), "2-object.yaml": widget("install.example.com", "a", "red"), "other.yaml": kindOf("other.example.com")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Install(t, filepath.Join(dir, "?-*.yaml"), filepath.Join(dir, "other.yaml"))
	for _, group := range []string{"install.example.com", "other.example.com"} {
		if _, err := c.Client().Discovery().RESTClient().Get().AbsPath("/apis/" + group + "/v1/widgets").DoRaw(t.Context()); err != nil {
			t.Errorf("a kind is not served: %v", err)
		}
	}
}

func TestApplySaysWhatItCouldNotApply(t *testing.T) {
	c := fleettest.Use(t, "primary")
	for text, want := range map[string]string{
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: Upper}\n": `applying Namespace "Upper": `,
		"apiVersion: none.example.com/v1\nkind: None\n":              "applying None",
		"a: b: c\n": "reading YAML: ",
	} {
		if err := c.Apply(t.Context(), []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err := c.ApplyFiles(t.Context(), filepath.Join(t.TempDir(), "*.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v of a pattern that no file matches", err)
	}
}
