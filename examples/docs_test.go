package examples_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/kubeconfigfile"
	"github.com/hawser-io/hawser/inventory/kubeconfigsecret"
	"github.com/hawser-io/hawser/inventory/remotecluster"
)

// What the documents show is here, so that it compiles. They show it as it stands here, down to the comments.

func runFleet(ctx context.Context) error {
	config := ctrl.GetConfigOrDie()
	secrets := &kubeconfigsecret.Inventory{Config: config, Namespace: "fleet"}
	f, err := fleet.New(config, fleet.Options{Inventory: secrets})
	if err != nil {
		return err
	}
	if err := isolate(f); err != nil {
		return err
	}
	return f.Start(ctx)
}

func isolate(f *fleet.Fleet) error {
	return fleet.NewControllerManagedBy(f).
		For(&corev1.Namespace{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Complete(reconcile.TypedFunc[fleet.Request](func(ctx context.Context, req fleet.Request) (ctrl.Result, error) {
			c, err := f.Get(req.Cluster)
			if err != nil {
				return ctrl.Result{}, err
			}
			return isolator{c.GetClient()}.Reconcile(ctx, req.Request)
		}))
}

func isolateShorter(f *fleet.Fleet) error {
	return fleet.NewControllerManagedBy(f).
		For(&corev1.Namespace{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Uniform(func(c *fleet.Cluster) reconcile.Reconciler { return isolator{c.GetClient()} })
}

// isolator is the reconciler of examples/uniform.
type isolator struct{ client.Client }

func (isolator) Reconcile(context.Context, ctrl.Request) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}

func countPods(ctx context.Context, f *fleet.Fleet) error {
	err := f.IndexField(ctx, &corev1.Pod{}, "spec.nodeName", nodeOf)
	if err != nil {
		return err
	}
	return fleet.NewControllerManagedBy(f).
		For(&corev1.Node{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(toNode)).
		Complete(reconcile.TypedFunc[fleet.Request](func(ctx context.Context, req fleet.Request) (ctrl.Result, error) {
			c, err := f.Get(req.Cluster)
			if err != nil {
				return ctrl.Result{}, err
			}
			var pods corev1.PodList
			err = c.GetClient().List(ctx, &pods, client.MatchingFields{"spec.nodeName": req.Name})
			ctrl.LoggerFrom(ctx).Info("counted", "pods", len(pods.Items))
			return ctrl.Result{}, err
		}))
}

func nodeOf(obj client.Object) []string {
	if pod, ok := obj.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}
	}
	return nil
}

func toNode(_ context.Context, obj client.Object) []ctrl.Request {
	var requests []ctrl.Request
	for _, node := range nodeOf(obj) {
		requests = append(requests, ctrl.Request{NamespacedName: client.ObjectKey{Name: node}})
	}
	return requests
}

func publish(f *fleet.Fleet) error {
	everywhere := func(_ context.Context, obj client.Object) (requests []fleet.Request) {
		for _, c := range f.Clusters() {
			requests = append(requests, fleet.NewRequest(c.Name(), obj.GetNamespace(), obj.GetName()))
		}
		return requests
	}
	return fleet.NewControllerManagedBy(f).
		Named("publish").
		WatchesLocal(&corev1.ConfigMap{}, everywhere).
		Complete(reconcile.TypedFunc[fleet.Request](func(ctx context.Context, req fleet.Request) (ctrl.Result, error) {
			c, err := f.Get(req.Cluster)
			if err != nil {
				return ctrl.Result{}, err
			}
			var original corev1.ConfigMap
			err = f.Manager().GetClient().Get(ctx, req.NamespacedName, &original)
			if err != nil {
				return ctrl.Result{}, client.IgnoreNotFound(err)
			}
			copied := applycorev1.ConfigMap(req.Name, req.Namespace).WithData(original.Data)
			return ctrl.Result{}, c.GetClient().Apply(ctx, copied, client.FieldOwner("publish"))
		}))
}

func printPods(ctx context.Context, f *fleet.Fleet) error {
	results := fleet.List(ctx, f, func() *corev1.PodList { return &corev1.PodList{} }, client.InNamespace("shop"))
	for _, r := range results {
		if r.Err == nil {
			fmt.Println(r.Cluster, len(r.Value.Items), "pods, as of", r.Age, "ago")
		}
	}
	return fleet.Gaps(results)
}

func restart(ctx context.Context, f *fleet.Fleet, key client.ObjectKey) error {
	return fleet.Gaps(fleet.Each(ctx, f, func(ctx context.Context, c *fleet.Cluster) (struct{}, error) {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = key.Namespace, key.Name
		return struct{}{}, client.IgnoreNotFound(c.GetClient().Delete(ctx, pod))
	}, fleet.Within(3*time.Second)))
}

func byPlugin(config *rest.Config, plugin exec.Plugin) inventory.Inventory {
	return &remotecluster.Inventory{
		Config: config,
		Credentials: func(rc *v1alpha1.RemoteCluster) (credential.Source, string, error) {
			spec, err := remotecluster.Spec(rc, "")
			if err != nil {
				return nil, "", err
			}
			cluster := exec.Cluster{Endpoint: spec.Endpoint}
			source := &exec.Source{Plugin: plugin, Cluster: cluster, Clock: clock.RealClock{}}
			return source, plugin.Fingerprint() + cluster.Fingerprint(), nil
		},
	}
}

func byTokenFiles(config *rest.Config, dir string) inventory.Inventory {
	return &remotecluster.Inventory{
		Config: config,
		Credentials: func(rc *v1alpha1.RemoteCluster) (credential.Source, string, error) {
			return tokenFile(filepath.Join(dir, rc.Name)), dir, nil
		},
	}
}

// tokenFile is read again and again: whoever writes the file renews the token.
type tokenFile string

func (f tokenFile) Obtain(context.Context) ([]credential.Credential, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, credential.InvalidInput("reading a token: %w", err)
	}
	token := credential.NewToken(strings.TrimSpace(string(text)), credential.Fingerprint(text))
	token.Watched = true // only the file replaces it
	return []credential.Credential{token}, nil
}

func (f tokenFile) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

func several(config *rest.Config) inventory.Inventory {
	return inventory.All(
		inventory.Prefixed("prod#", &kubeconfigsecret.Inventory{Config: config, Namespace: "prod"}),
		inventory.Prefixed("files#", &kubeconfigfile.Inventory{Directories: []string{"/etc/fleet"}}),
	)
}

var _ = runFleet // it would look for a cluster of its own

// shown are the documents whose blocks of Go, but not those of "golang", are in this file.
var shown = []string{"library.md", "from-multicluster-runtime.md"}

func TestDocumentsShowCodeThatCompiles(t *testing.T) {
	compiled, err := os.ReadFile("docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range shown {
		text, err := os.ReadFile(filepath.Join("..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```go\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s shows no code", name)
		}
		for _, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			if !strings.Contains(string(compiled), block) {
				t.Errorf("%s shows code that is not in docs_test.go, and so may not compile:\n%s", name, block)
			}
		}
	}
}

func TestTheControllersOfTheDocumentsCanBeMade(t *testing.T) {
	local := fleettest.Use(t, "local").AdminConfig()
	for name, build := range map[string]func(f *fleet.Fleet) error{
		"isolate":        isolate,
		"isolateShorter": isolateShorter,
		"countPods":      func(f *fleet.Fleet) error { return countPods(t.Context(), f) },
		"publish":        publish,
	} {
		f, err := fleet.New(local, fleet.Options{Inventory: several(local), Manager: ctrl.Options{Controller: config.Controller{SkipNameValidation: new(true)}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := build(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheQuestionsOfTheDocuments asks what the documents ask, of clusters that are RemoteClusters with credentials of our own.
func TestTheQuestionsOfTheDocuments(t *testing.T) {
	local, alpha := fleettest.Use(t, "local"), fleettest.Use(t, "alpha")
	admin := installRemoteClusters(t, local)
	namespace, dir := alpha.Namespace(t), t.TempDir()
	alpha.ServiceAccount(t, namespace, "ours")
	bindAdmin(t, alpha, namespace, "ours")
	write(t, filepath.Join(dir, "documented"), []byte(alpha.Token(t, namespace, "ours", time.Hour)))
	rc := &v1alpha1.RemoteCluster{}
	rc.Name, rc.Spec.Server, rc.Spec.CAData = "documented", alpha.Server, base64.StdEncoding.EncodeToString(alpha.CA())
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	if err := admin.Create(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Delete(context.Background(), rc) })

	for name, inv := range map[string]inventory.Inventory{
		"a file with a token": byTokenFiles(local.AdminConfig(), dir),
		"a plugin":            byPlugin(local.AdminConfig(), pluginThatPrints(t, filepath.Join(dir, "documented"))),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := fleet.New(local.AdminConfig(), fleet.Options{Inventory: inv, Manager: ctrl.Options{Metrics: metricsserver.Options{BindAddress: "0"}}})
			if err != nil {
				t.Fatal(err)
			}
			fleettest.Background(t, "the fleet", f.Start)
			fleettest.Eventually(t, patience, func() error { return printPods(t.Context(), f) })
			if err := restart(t.Context(), f, client.ObjectKey{Namespace: namespace, Name: "none"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// pluginThatPrints is a credential plugin that gives the token in a file.
func pluginThatPrints(t *testing.T, file string) exec.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	script := "#!/bin/sh\nprintf '{\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"%s\"}}' " + exec.V1 + " \"$(cat " + file + ")\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return exec.Plugin{Name: "cat", APIVersion: exec.V1, Command: path}
}

func installRemoteClusters(t *testing.T, cluster *fleettest.Cluster) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(cluster.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Install(t, "../config/crd/hawser.io_remoteclusters.yaml")
	return admin
}

func bindAdmin(t *testing.T, c *fleettest.Cluster, namespace, account string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}
	if _, err := c.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
