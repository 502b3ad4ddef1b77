package charts_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/internal/charttest"
)

var update = flag.Bool("update", false, "write testdata anew")

// shapes are the values in testdata, each with what it renders to beside it.
var shapes = []string{"source-local", "source-member", "source-member-eks", "every-auth-type", "everything-local", "everything-remote"}

func valuesOf(t *testing.T, shape string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", shape+".values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestShapes(t *testing.T) {
	helm := charttest.New(t, nil)
	for _, shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			objs, err := helm.Render(t, valuesOf(t, shape))
			if err != nil {
				t.Fatal(err)
			}
			path, got := filepath.Join("testdata", shape+".golden.yaml"), golden(t, objs)
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("objects (-%s +now), write it anew with go test ./charts -update:\n%s", path, diff)
			}
		})
	}
}

// golden is what a shape renders to: rights and policies by name alone, since other tests hold them to the tables that
// they are made from, and everything else in full, without the labels that all objects have.
func golden(t *testing.T, objs charttest.Objects) []byte {
	t.Helper()
	var names []string
	var out bytes.Buffer
	for _, obj := range objs {
		if elsewhere(obj.GroupVersionKind().Group) {
			names = append(names, strings.TrimSpace(obj.GetKind()+" "+obj.GetNamespace()+" "+obj.GetName()))
			continue
		}
		labels := obj.GetLabels()
		for _, key := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of", "app.kubernetes.io/version", "helm.sh/chart"} {
			delete(labels, key)
		}
		obj.SetLabels(labels)
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	slices.Sort(names)
	return append([]byte("# "+strings.Join(names, "\n# ")+"\n"), out.Bytes()...)
}

// elsewhere tells the groups whose objects are made from the tables of package member and internal/rbac.
func elsewhere(group string) bool {
	return group == "rbac.authorization.k8s.io" || group == "admissionregistration.k8s.io"
}
