package clusterprofile_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary", "alpha"))
}

const patience = 30 * time.Second

func eventually(t testing.TB, check func() error) {
	t.Helper()
	fleettest.Eventually(t, patience, check)
}

// hub is a cluster with ClusterProfiles, as a cluster manager would keep them.
type hub struct {
	*fleettest.Cluster
	admin     client.Client
	namespace string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{Cluster: fleettest.Use(t, "primary")}
	var err error
	if h.admin, err = client.New(h.AdminConfig(), client.Options{}); err != nil {
		t.Fatal(err)
	}
	h.Install(t, "testdata/crd.yaml")
	h.namespace = h.Namespace(t)
	return h
}

func (h *hub) apply(t testing.TB, u *unstructured.Unstructured) {
	t.Helper()
	if err := h.admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		t.Fatalf("applying %s %s: %v", u.GetKind(), u.GetName(), err)
	}
}

// object is JSON by way of Go.
type object = map[string]any

// condition is ControlPlaneHealthy.
func condition(status string) []any {
	return []any{object{"type": "ControlPlaneHealthy", "status": status, "reason": "Probed", "message": "by the test", "lastTransitionTime": "2026-01-01T00:00:00Z"}}
}

// profile makes or changes a ClusterProfile.
func (h *hub) profile(t testing.TB, name string, labels map[string]string, status object) {
	t.Helper()
	u := &unstructured.Unstructured{Object: object{"spec": object{"clusterManager": object{"name": "test"}}}}
	u.SetGroupVersionKind(clusterprofile.Kind)
	u.SetNamespace(h.namespace)
	u.SetName(name)
	u.SetLabels(labels)
	h.apply(t, u)
	if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		t.Fatal(err)
	}
	u.Object["status"] = status
	if err := h.admin.Status().Update(t.Context(), u); err != nil {
		t.Fatalf("writing the status of ClusterProfile %s: %v", name, err)
	}
}

// entry is one of accessProviders.
func entry(provider, server string, ca []byte, config any, more ...any) object {
	cluster := object{"server": server, "certificate-authority-data": base64.StdEncoding.EncodeToString(ca)}
	extensions := append([]any{object{"name": clusterprofile.ExecExtension, "extension": config}}, more...)
	cluster["extensions"] = extensions
	return object{"name": provider, "cluster": cluster}
}

// secret makes or replaces a labelled Secret with a kubeconfig.
func (h *hub) secret(t testing.TB, namespace, name string, labels map[string]string, text []byte) {
	t.Helper()
	u := &unstructured.Unstructured{Object: object{"data": object{"Config": base64.StdEncoding.EncodeToString(text)}}}
	u.SetAPIVersion("v1")
	u.SetKind("Secret")
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetLabels(labels)
	h.apply(t, u)
}

func (h *hub) remove(t testing.TB, name string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterprofile.Kind)
	u.SetNamespace(h.namespace)
	u.SetName(name)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: name}}
	for _, obj := range []client.Object{u, secret} {
		if err := h.admin.Delete(t.Context(), obj); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}

// plugin is a program that prints the token in DIR/<clusterName of its configuration>, and counts how often it
// is asked for each. A file DIR/<clusterName>.hang makes it hang.
type plugin struct {
	dir string
	exec.Provider
}

const program = `#!/bin/sh
name=$(printf '%s' "$KUBERNETES_EXEC_INFO" | sed -n 's/.*"clusterName":"\([a-z0-9-]*\)".*/\1/p')
dir=$(dirname "$0")
echo >>"$dir/$name.runs"
if [ -e "$dir/$name.hang" ]; then sleep 600; fi
if [ ! -e "$dir/$name" ]; then echo "no token for $name" >&2; exit 1; fi
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat "$dir/$name")"
`

func newPlugin(t *testing.T, name string) *plugin {
	t.Helper()
	p := &plugin{dir: t.TempDir()}
	path := filepath.Join(p.dir, "plugin")
	if err := os.WriteFile(path, []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(object{"providers": []any{object{"name": name, "execConfig": object{
		"apiVersion": exec.V1, "command": path, "provideClusterInfo": true,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	providers, err := exec.ParseProviders(text)
	if err != nil {
		t.Fatal(err)
	}
	p.Provider = providers[0]
	return p
}

// token puts a token in place.
func (p *plugin) token(t testing.TB, cluster, token string) {
	t.Helper()
	path := filepath.Join(p.dir, cluster)
	if err := os.WriteFile(path+".new", []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// running is an inventory that runs until the test ends.
type running struct {
	*inventorytest.Recorder
	t  *testing.T
	in string // the namespace of the ClusterProfiles
}

func (h *hub) run(t *testing.T, i inventory.Inventory) *running {
	t.Helper()
	return &running{Recorder: inventorytest.Start(t, i), t: t, in: h.namespace}
}

// told waits until a cluster is there, without a fault.
func (r *running) told(name string) inventory.Cluster {
	r.t.Helper()
	return r.Told(r.t, r.in+"/"+name)
}

// faulty waits until a cluster has a fault.
func (r *running) faulty(name, want string) {
	r.t.Helper()
	r.Faulty(r.t, r.in+"/"+name, want)
}
