package importer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/importer"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

var update = flag.Bool("update", false, "write testdata anew")

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// inputs are the sources, and the files in testdata that are read as each.
var inputs = map[string]string{
	"mirrord": "mirrord", "mirrord-configmap": "mirrord", "admiralty": "admiralty", "calico": "calico", "argocd": "argocd", "kubeconfig": "kubeconfig",
}

// jwt is a token that nobody signed.
func jwt(subject string, ends time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." +
		part(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, subject, ends.Add(-time.Hour).Unix(), ends.Unix())) + "." + part([]byte("signature"))
}

// props stand in testdata for what must not lie there.
type props struct{ into, outOf *strings.Replacer }

// secretProps are those that must not be printed unless asked for.
var secretProps = []string{"@SECRET@", "@TOKEN@", "@ENDED@", "@KEY64@", "@CERT64@"}

var made *props

func replacements(tb testing.TB) *props {
	tb.Helper()
	if made != nil {
		return made
	}
	ca := fleettest.ForeignCA(tb)
	cert, key := ca.ClientCert(tb, "somebody", nil, now.Add(-time.Hour), now.Add(24*time.Hour))
	encode := base64.StdEncoding.EncodeToString
	token, ended := jwt("system:serviceaccount:argocd:manager", now.Add(time.Hour)), jwt("system:serviceaccount:shop:cd", now.Add(-time.Hour))
	into := []string{
		"@CA64@", encode(ca.PEM()), "@CERT64@", encode(cert), "@KEY64@", encode(key),
		"@TOKEN@", token, "@ENDED@", ended, "@SECRET@", "hunter2hunter2",
	}
	outOf := []string{"BASE64(@TOKEN@)", encode([]byte(token)), "BASE64(@ENDED@)", encode([]byte(ended))}
	outOf = append(outOf, into...)
	for i := 0; i < len(outOf); i += 2 {
		outOf[i], outOf[i+1] = outOf[i+1], outOf[i]
	}
	made = &props{strings.NewReplacer(into...), strings.NewReplacer(outOf...)}
	return made
}

func read(tb testing.TB, file string) []importer.Document {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".in.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	documents, err := importer.Read([]byte(replacements(tb).into.Replace(string(text))))
	if err != nil {
		tb.Fatal(err)
	}
	return documents
}

func imported(tb testing.TB, file string, withSecrets bool) importer.Result {
	tb.Helper()
	result, err := importer.Import(inputs[file], read(tb, file), importer.Options{Namespace: "hawser", Local: "primary", WithSecrets: withSecrets, Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

func TestImport(t *testing.T) {
	for file := range inputs {
		for _, withSecrets := range []bool{false, true} {
			golden := file + ".yaml"
			if withSecrets {
				golden = file + "-with-secrets.yaml"
			}
			t.Run(golden, func(t *testing.T) {
				text, err := imported(t, file, withSecrets).YAML()
				if err != nil {
					t.Fatal(err)
				}
				got := replacements(t).outOf.Replace(string(text))
				path := filepath.Join("testdata", golden)
				if *update {
					if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("(-want +got), write it anew with go test ./internal/cli/importer -update:\n%s", diff)
				}
			})
		}
	}
}

func TestNoCredentialIsPrintedUnlessAsked(t *testing.T) {
	for file := range inputs {
		t.Run(file, func(t *testing.T) {
			result := imported(t, file, false)
			text, err := result.YAML()
			if err != nil {
				t.Fatal(err)
			}
			list, err := result.JSON()
			if err != nil {
				t.Fatal(err)
			}
			notes := fmt.Sprint(imported(t, file, true).All())
			for _, prop := range secretProps {
				secret := replacements(t).into.Replace(prop)
				for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
					if bytes.Contains(text, []byte(form)) || bytes.Contains(list, []byte(form)) {
						t.Errorf("%s was printed", prop)
					}
					if strings.Contains(notes, form) {
						t.Errorf("%s is in a note", prop)
					}
				}
			}
			if bytes.Contains(text, []byte("kind: Secret\n")) {
				t.Error("a Secret was printed")
			}
		})
	}
}

func TestAKeyThatStrayedIntoACABundleIsNotPrinted(t *testing.T) {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("hunter2hunter2")})
	bundle = append(bundle, fleettest.ForeignCA(t).PEM()...)
	text := fmt.Sprintf(`{"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":{"token":%q}}],
		"clusters":[{"name":"a","cluster":{"server":"https://a.example.com","certificate-authority-data":%q}}]}`,
		jwt("system:serviceaccount:a:a", now.Add(time.Hour)), base64.StdEncoding.EncodeToString(bundle))
	documents, err := importer.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	result, err := importer.Import("kubeconfig", documents, importer.Options{Namespace: "hawser", WithSecrets: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	out, err := result.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte(`"caData"`)) || bytes.Contains(out, []byte(base64.StdEncoding.EncodeToString(bundle)[:100])) {
		t.Errorf("want the certificate without the key:\n%s", out)
	}
}

func TestReadSaysWhereTheFaultIsAndQuotesNothing(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no YAML":              {"a: b\nc: [hunter2", "document 1 is no YAML or JSON mapping (line 2)"},
		"a field twice":        {"---\nx: 1\n---\nhunter2: 1\nhunter2: 2\n", "document 2 sets a field twice (line 2)"},
		"no mapping":           {"- hunter2", "document 1 is no YAML or JSON mapping"},
		"an alias to nowhere":  {"a: *hunter2", "document 1 is no YAML or JSON mapping"},
		"more than could be":   {strings.Repeat("#", importer.MaxSize+1), "it is larger than 16 MiB"},
		"text instead of YAML": {"hunter2", "document 1 is no YAML or JSON mapping"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := importer.Read([]byte(test.text))
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestListsAreTakenApart(t *testing.T) {
	documents, err := importer.Read([]byte(`{"apiVersion":"multicluster.admiralty.io/v1alpha1","kind":"TargetList","items":[{"metadata":{"name":"a"}},5,{"kind":"Source"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []importer.Document{
		{"apiVersion": "multicluster.admiralty.io/v1alpha1", "kind": "Target", "metadata": map[string]any{"name": "a"}},
		{"kind": "Source"},
	}
	if diff := cmp.Diff(want, documents); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNotesAreOneLineWithoutControlCharacters(t *testing.T) {
	note := importer.Note{Kind: importer.NoCounterpart, From: "Secret \"a\nkind: Secret\"", Field: "x\u2028y", Message: "\x1b[31mred\u0085"}
	want := `Secret "a kind: Secret": no counterpart: x y: ?[31mred`
	if got := note.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnUnknownSourceIsRefused(t *testing.T) {
	if _, err := importer.Import("rancher", nil, importer.Options{}); err == nil || !strings.Contains(err.Error(), "there is only mirrord, admiralty") {
		t.Errorf("error %v", err)
	}
}

func TestOnlyTheContextsThatAreWanted(t *testing.T) {
	result, err := importer.Import("kubeconfig", read(t, "kubeconfig"), importer.Options{Namespace: "hawser", Contexts: []string{"sa"}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Items) != 1 || result.Items[0].Object.GetName() != "sa" {
		t.Errorf("%v", result.Items)
	}
}
