package importer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/hawser-io/hawser/internal/cli/importer"
)

// FuzzImport holds every source to what no input may change: it ends, names are labels and unique, no Secret and no
// line of its own making comes out, and what is printed is YAML of as many objects as there are.
func FuzzImport(f *testing.F) {
	for file, source := range inputs {
		text, err := os.ReadFile(filepath.Join("testdata", file+".in.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source, replacements(f).into.Replace(string(text)))
		for part := range strings.SplitSeq(string(text), "\n---\n") {
			f.Add(source, replacements(f).into.Replace(part))
		}
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		documents, err := importer.Read([]byte(text))
		if err != nil {
			return
		}
		for _, withSecrets := range []bool{false, true} {
			result, err := importer.Import(source, documents, importer.Options{Namespace: "hawser", Local: "primary", WithSecrets: withSecrets, Now: now})
			if err != nil {
				return
			}
			check(t, result, withSecrets)
		}
	})
}

func check(t *testing.T, result importer.Result, withSecrets bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, item := range result.Items {
		kind, name := item.Object.GetObjectKind().GroupVersionKind().Kind, item.Object.GetName()
		if seen[kind+name] {
			t.Errorf("there are two of kind %s and name %q", kind, name)
		}
		seen[kind+name] = true
		if kind == "Secret" && !withSecrets {
			t.Error("a Secret was printed")
		}
		if kind != "Secret" && (len(validation.IsDNS1123Label(name)) > 0 || len(name) > 50) {
			t.Errorf("%q is no name", name)
		}
	}
	text, err := result.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := result.JSON(); err != nil {
		t.Fatal(err)
	}
	again, err := importer.Read(text)
	if err != nil {
		t.Fatalf("what was printed is no YAML: %v\n%s", err, text)
	}
	if len(again) != len(result.Items) {
		t.Errorf("%d objects were made and %d printed:\n%s", len(result.Items), len(again), text)
	}
	for _, note := range result.All() {
		if line := note.String(); strings.ContainsAny(line, "\n\r\x1b") || !bytes.Contains(text, []byte("# "+line+"\n")) {
			t.Errorf("the note %q is not one line of the output", line)
		}
	}
}
