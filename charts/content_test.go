package charts_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/internal/charttest"
	"github.com/hawser-io/hawser/internal/cli"
)

func TestProgramTakesTheArguments(t *testing.T) {
	helm := charttest.New(t, nil)
	for shape, deployments := range map[string][]string{
		"source-local": {"hawser"}, "every-auth-type": {"hawser"}, "everything-local": {"hawser"}, "everything-remote": {"hawser-member", "hawser-gate"},
	} {
		objs, err := helm.Render(t, valuesOf(t, shape))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range deployments {
			args := objs.Args(t, name)
			var stderr bytes.Buffer
			// Flags are read before help is given: an unknown one, or a value of another kind, is an error.
			if code := cli.Run(t.Context(), append(append([]string{"hawser"}, args...), "--help"), nil, io.Discard, &stderr); code != 0 {
				t.Errorf("%s: hawser %s: %s", shape, strings.Join(args, " "), stderr.String())
			}
		}
	}
}

func TestPluginsFileIsOne(t *testing.T) {
	objs, err := charttest.New(t, nil).Render(t, valuesOf(t, "every-auth-type"))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := objs.Find("ConfigMap", "hawser-exec-providers").Object["data"].(map[string]any)
	text, _ := data["providers.json"].(string)
	if providers, err := exec.ParseProviders([]byte(text)); err != nil || len(providers) != 1 {
		t.Errorf("providers %v, %v", providers, err)
	}
}

// caData and certificates come as PEM or as base64 of it, on one line or on many, and go on in one form.
func TestCertificatesComeInAnyForm(t *testing.T) {
	helm := charttest.New(t, nil)
	encoded := pem64(certificate)
	for name, ca := range map[string]string{
		"base64 on one line":   encoded,
		"base64 on many lines": "\"" + encoded[:40] + "\\n  " + encoded[40:] + "\\n\"",
		"PEM":                  "\"" + strings.ReplaceAll(certificate, "\n", "\\n") + "\"",
	} {
		objs, err := helm.Render(t, clusters("a: {authType: bearerToken, server: 'https://a', bearerToken: t, caData: %s}", ca))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		spec, _ := objs.Find("RemoteCluster", "a").Object["spec"].(map[string]any)
		got, err := base64.StdEncoding.DecodeString(spec["caData"].(string))
		if err != nil || string(got) != certificate {
			t.Errorf("%s: caData %q, %v", name, got, err)
		}
	}
}

func TestNobodyReadsMetricsWhereNobodyIsNamed(t *testing.T) {
	objs, err := charttest.New(t, nil).Render(t, clusters("{}")+"networkPolicy: {metricsFrom: []}")
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := objs.Find("NetworkPolicy", "hawser").Object["spec"].(map[string]any)
	if ingress, there := spec["ingress"].([]any); !there || len(ingress) != 0 {
		t.Errorf("ingress %v, want no rule", spec["ingress"])
	}
}

func TestEveryDashboardIsLoaded(t *testing.T) {
	objs, err := charttest.New(t, nil).Render(t, clusters("{}")+"dashboard: {enabled: true}")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := objs.Find("ConfigMap", "hawser-dashboards").Object["data"].(map[string]any)
	files := filesIn(t, "hawser/dashboards/*.json")
	for name, text := range files {
		if data[name] != text {
			t.Errorf("dashboard %s is not in the ConfigMap", name)
		}
	}
	if len(data) != len(files) {
		t.Errorf("%d dashboards in the ConfigMap, want %d", len(data), len(files))
	}
}

// What is secret is in input Secrets and nowhere else, and what Hawser renews is none of the chart's: an upgrade cannot
// bring an old token back.
func TestCredentialsAreInInputSecretsAlone(t *testing.T) {
	helm := charttest.New(t, nil)
	values := clusters("a: {authType: bearerToken, server: 'https://a', bearerToken: s3cret}\nb: {authType: eks, server: 'https://b', region: eu-north-1}\nc: {authType: mtls, server: 'https://c', existingSecret: true}")
	objs, err := helm.Render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objs {
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		input := obj.GetKind() == "Secret" && obj.GetName() == "hawser-cluster-a"
		if holds := bytes.Contains(text, []byte("s3cret")) || bytes.Contains(text, []byte(pem64("s3cret"))); holds != input {
			t.Errorf("%s %s holds the token: %v", obj.GetKind(), obj.GetName(), holds)
		}
		if obj.GetKind() == "Secret" && !input {
			t.Errorf("Secret %s: nothing is stored for that cluster", obj.GetName())
		}
		if strings.HasPrefix(obj.GetName(), "hawser-credential-") {
			t.Errorf("%s %s is the manager's", obj.GetKind(), obj.GetName())
		}
		for key := range obj.GetAnnotations() {
			if strings.HasPrefix(key, "helm.sh/hook") {
				t.Errorf("%s %s is a hook", obj.GetKind(), obj.GetName())
			}
		}
	}
	notes, err := helm.Run(t.Context(), values, "install", "hawser", charttest.Chart(t), "--dry-run=client", "--hide-secret", "--namespace", "hawser", "--values", "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kubectl get remoteclusters", "create secret generic hawser-cluster-c --from-file tls.crt", "member.localClusters={primary}"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
	if _, after, ok := strings.Cut(notes, "NOTES:"); !ok || strings.Contains(after, "s3cret") {
		t.Error("the notes show the token")
	}
}

func TestKindsAreThoseOfTheAPI(t *testing.T) {
	want, got := filesIn(t, "../config/crd/hawser.io_*.yaml"), filesIn(t, "hawser/crds/*")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("charts/hawser/crds is not what make generate writes (-config/crd +chart):\n%s", diff)
	}
}

func filesIn(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	files := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(text)
	}
	return files
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
