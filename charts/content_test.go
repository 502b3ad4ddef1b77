package charts_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/internal/advice"
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

// A RemoteCluster of the local cluster that the manager made before Helm would end the installation: Helm takes over
// nothing that is not its own. Where the chart has none, the manager makes it.
func TestTheLocalClusterIsDeclaredOnce(t *testing.T) {
	helm := charttest.New(t, nil)
	for name, tt := range map[string]struct {
		values string
		chart  bool
	}{
		"by itself":           {clusters("{}"), true},
		"with rules":          {clusters("primary: {authType: inCluster, capabilities: [endpoints]}"), true},
		"for management only": {strings.Replace(clusters("{}"), "clusterName:", "managementOnly: true\n  clusterName:", 1), false},
	} {
		objs, err := helm.Render(t, tt.values)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		declared := objs.Find("RemoteCluster", "primary") != nil
		told := slices.Contains(objs.Args(t, "hawser"), "--declare-self=false")
		if declared != tt.chart || told != tt.chart {
			t.Errorf("%s: the chart declares it: %v, and the manager is told so: %v; want %v", name, declared, told, tt.chart)
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

// Whoever mends a connection learns from the RemoteCluster whether the Secret is the release's.
func TestARemoteClusterSaysWhoseItsSecretIs(t *testing.T) {
	objs, err := charttest.New(t, nil).Render(t, clusters("a: {authType: bearerToken, server: 'https://a', bearerToken: t}\nb: {authType: mtls, server: 'https://b', existingSecret: true}\nc: {authType: kubeconfig, kubeconfig: {secretRef: {name: x}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "", "b": "true", "c": "true"} {
		if got := objs.Find("RemoteCluster", name).GetAnnotations()[advice.ExistingSecretAnnotation]; got != want {
			t.Errorf("RemoteCluster %s: %q, want %q", name, got, want)
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

// The alerts are those of the file that conformance/dashboards holds to the metrics, and none is without a patience.
func TestAlertsAreThoseOfTheFile(t *testing.T) {
	objs, err := charttest.New(t, nil).Render(t, clusters("{}")+"gate: {enabled: true, tls: {secretName: x}}\nmember: {controllers: {enabled: true}}\nalerts: {enabled: true, for: 7m}")
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string][]map[string]any{}, map[string][]map[string]any{}
	readYAML(t, "hawser/files/alerts.yaml", &want)
	waits := 0
	for _, rules := range want {
		for _, rule := range rules {
			if rule["for"] == nil {
				rule["for"], waits = "7m", waits+1
			}
		}
	}
	groups, _, _ := unstructured.NestedSlice(objs.Find("PrometheusRule", "hawser").Object, "spec", "groups")
	for _, g := range groups {
		group, _ := g.(map[string]any)
		rules, _ := group["rules"].([]any)
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			side := strings.TrimPrefix(group["name"].(string), "hawser.")
			got[side] = append(got[side], rule)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || waits == 0 {
		t.Errorf("alerts (-file +chart), %d of them wait as long as the values say:\n%s", waits, diff)
	}
}

func TestLintFindsNothing(t *testing.T) {
	helm := charttest.New(t, nil)
	for _, shape := range shapes {
		t.Run(shape, func(t *testing.T) {
			t.Parallel()
			out, err := helm.Run(t.Context(), valuesOf(t, shape), "lint", charttest.Chart(t), "--strict", "--namespace", "hawser", "--values", "-")
			if err != nil || strings.Contains(out, "[WARNING]") || strings.Contains(out, "[ERROR]") {
				t.Errorf("helm lint: %v\n%s", err, out)
			}
		})
	}
}

// Whoever looks a role up that is in a cluster finds it, and why, in docs/rbac.md.
func TestEveryRoleIsInTheDocumentOfRights(t *testing.T) {
	text, err := os.ReadFile("../docs/rbac.md")
	if err != nil {
		t.Fatal(err)
	}
	helm := charttest.New(t, nil)
	for _, shape := range shapes {
		objs, err := helm.Render(t, valuesOf(t, shape))
		if err != nil {
			t.Fatal(err)
		}
		for _, obj := range objs {
			if obj.GroupVersionKind().Group != "rbac.authorization.k8s.io" {
				continue
			}
			name := obj.GetName()
			if local := obj.GetLabels()[v1alpha1.LocalClusterLabel]; local != "" {
				name = strings.Replace(name, "-from-"+local, "-from-LOCAL", 1)
			}
			if !bytes.Contains(text, []byte("`"+name+"`")) {
				t.Errorf("%s: docs/rbac.md does not have %s %s", shape, obj.GetKind(), name)
			}
		}
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

// TestTheNotesTellOfEndpoints: what is not taken, and what to do before the manager goes.
func TestTheNotesTellOfEndpoints(t *testing.T) {
	helm := charttest.New(t, nil)
	const entries = "a: {authType: bearerToken, server: 'https://a', bearerToken: t, capabilities: [endpoints]}\n" +
		"b: {authType: bearerToken, server: 'https://b', bearerToken: t, capabilities: [endpoints], endpointCIDRs: [10.4.0.0/16]}\n" +
		"c: {authType: bearerToken, server: 'https://c', bearerToken: t}"
	const before = "kubectl delete endpointsets,federatednetworkpolicies --all --all-namespaces"
	for values, want := range map[string]struct{ says, saysNot []string }{
		clusters(entries) + "endpoints: {enabled: true}": {[]string{"No endpoints are taken of a, c: ", before}, []string{"endpoints.enabled is false:"}},
		clusters(entries): {[]string{"endpoints.enabled is false: the manager takes no endpoints of a, b,"}, []string{"No endpoints", before}},
		clusters("{}") + "endpoints: {enabled: true}":                               {[]string{before}, []string{"No endpoints", "endpoints.enabled is false:"}},
		clusters("c: {authType: bearerToken, server: 'https://c', bearerToken: t}"): {nil, []string{"No endpoints", "endpoints.enabled is false:", before}},
	} {
		notes, err := helm.Run(t.Context(), values, "install", "hawser", charttest.Chart(t), "--dry-run=client", "--hide-secret", "--namespace", "hawser", "--values", "-")
		if err != nil {
			t.Fatal(err)
		}
		_, notes, _ = strings.Cut(notes, "NOTES:")
		for _, text := range want.says {
			if !strings.Contains(notes, text) {
				t.Errorf("the notes do not say %q:\n%s", text, notes)
			}
		}
		for _, text := range want.saysNot {
			if strings.Contains(notes, text) {
				t.Errorf("the notes say %q:\n%s", text, notes)
			}
		}
	}
}

// TestTheManagerIsBoundedWhereItFollowsEndpoints, and nowhere else: its account may be used for more.
func TestTheManagerIsBoundedWhereItFollowsEndpoints(t *testing.T) {
	helm := charttest.New(t, nil)
	for values, want := range map[string]bool{clusters("{}"): false, clusters("{}") + "endpoints: {enabled: true}": true} {
		objs, err := helm.Render(t, values)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
			if got := objs.Find(kind, "hawser-federation-manager") != nil; got != want {
				t.Errorf("%s is there: %t, want %t", kind, got, want)
			}
			if objs.Find(kind, "hawser-federation-authors") == nil {
				t.Errorf("%s of authors is not there", kind)
			}
		}
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
