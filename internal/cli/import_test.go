package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const importable = `apiVersion: v1
kind: Config
contexts:
- {name: good, context: {cluster: good, user: good, namespace: shop}}
- {name: bad, context: {cluster: good, user: none}}
clusters:
- {name: good, cluster: {server: "https://good.example.com"}}
users:
- {name: good, user: {token: hunter2hunter2}}
`

// importing runs a command line with a stdin.
func importing(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var out, stderr bytes.Buffer
	d := &deps{in: strings.NewReader(stdin), out: &out, err: &stderr, clock: clocktesting.NewFakeClock(now)}
	code := d.run(t.Context(), append([]string{"hawser", "import"}, args...))
	return outcome{out.String(), stderr.String(), code}
}

func TestImportPrintsObjectsAndNamesWhatIsMissing(t *testing.T) {
	got := importing(t, importable, "kubeconfig", "-f", "-")
	if got.Code != exitFailed {
		t.Errorf("exit code %d, want 1: a context was left out", got.Code)
	}
	wantText(t, "stdout", got.Out, "kind: RemoteCluster\nmetadata:\n  name: good\n", `# context "good": no counterpart: contexts[0].context.namespace: `)
	wantText(t, "stderr", got.Err, `context "good": no counterpart: contexts[0].context.namespace: `, `context "bad": left out: there is no user "none"`)
	if strings.Contains(got.Out+got.Err, "hunter2") || strings.Contains(got.Out, "kind: Secret") {
		t.Error("it printed a secret that nobody asked for")
	}
	got = importing(t, importable, "kubeconfig", "-f", "-", "--contexts", "good", "--with-secrets", "-o", "json")
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(got.Out), &list); err != nil || len(list.Items) != 2 || list.Items[0]["kind"] != "Secret" || got.Code != exitOK {
		t.Errorf("exit code %d, error %v: %s", got.Code, err, got.Out)
	}
}

func TestImportReadsFilesAndTheUsersOwnKubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(importable), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"kubeconfig", "-f", file}, {"kubeconfig", "--kubeconfig", file}} {
		wantText(t, "stdout", importing(t, "", args...).Out, "name: good\n")
	}
}

func TestImportReadsTheCluster(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "cluster-a", Labels: map[string]string{"argocd.argoproj.io/secret-type": "cluster"}},
		Data:       map[string][]byte{"name": []byte("a"), "server": []byte("https://a.example.com"), "config": []byte(`{"bearerToken":"hunter2hunter2"}`)},
	}
	got := runWith(t, []client.Object{secret}, "hawser", "import", "argocd")
	wantText(t, "stdout", got.Out, "kind: RemoteCluster\nmetadata:\n  name: a\n")
	if got.Code != exitOK {
		t.Errorf("exit code %d: %s", got.Code, got.Err)
	}
	got = runWith(t, []client.Object{secret}, "hawser", "import", "argocd", "--from-namespace", "elsewhere")
	wantText(t, "stderr", got.Err, "there was nothing to import")
	if got.Code != exitFailed {
		t.Errorf("exit code %d", got.Code)
	}
}

func TestImportThatIsCalledWrongly(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
		code int
	}{
		"no source":                 {nil, "name one source: mirrord, admiralty, calico, argocd, kubeconfig", exitUsage},
		"an unknown source":         {[]string{"rancher"}, "name one source", exitUsage},
		"contexts of no kubeconfig": {[]string{"argocd", "--contexts", "a"}, "--contexts is only for kubeconfig", exitUsage},
		"a namespace of a file":     {[]string{"argocd", "-f", "-", "--from-namespace", "a"}, "--from-namespace is only for", exitUsage},
		"a name that is none":       {[]string{"admiralty", "-f", "-", "--local-name", "A_B"}, "--local-name", exitUsage},
		"a file that there is not":  {[]string{"calico", "-f", "/does/not/exist"}, "reading --file", exitFailed},
		"a file that is no YAML":    {[]string{"calico", "-f", "-"}, "reading -: document 1 is no YAML", exitFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := importing(t, "hunter2: [", test.args...)
			wantText(t, "stderr", got.Err, test.want)
			if got.Code != test.code || strings.Contains(got.Err, "hunter2") {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
		})
	}
}
