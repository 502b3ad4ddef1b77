package rights_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

const (
	patience = 40 * time.Second
	hub      = "hub"
	manager  = "hawser"
)

// world is the local cluster and two remote ones: alpha has a gate, beta trusts the local one itself and plays EKS.
type world struct {
	t                    *testing.T
	primary, alpha, beta *fleettest.Cluster
	admin, far, farther  client.Client // of primary, alpha, beta
	dir                  string
	running              map[string]*fleettest.Running
	logs                 map[string]*output
	shop, theirs         string // namespaces here, and in alpha
}

func clientOf(t *testing.T, config *rest.Config) client.WithWatch {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// output is what a command printed, also while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// kubeconfig writes a file with a context for the given configuration, under the name primary, and the admins' contexts
// for the others.
func (w *world) kubeconfig(of *rest.Config) string {
	w.t.Helper()
	file := clientcmdapi.NewConfig()
	for name, config := range map[string]*rest.Config{"primary": of, "alpha": w.alpha.AdminConfig(), "beta": w.beta.AdminConfig()} {
		file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
		file.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
		file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	file.CurrentContext = "primary"
	f, err := os.CreateTemp(w.dir, "kubeconfig-")
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if err := clientcmd.WriteToFile(*file, f.Name()); err != nil {
		w.t.Fatal(err)
	}
	return f.Name()
}

// person is somebody with a certificate of a cluster, who has the roles that are bound to them.
func person(t *testing.T, c *fleettest.Cluster, name string) *rest.Config {
	t.Helper()
	config := c.AnonymousConfig()
	config.CertData, config.KeyData = c.ClientCert(t, "person:"+name, nil, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	return config
}

// hawser runs a command as somebody, which has to succeed.
func (w *world) hawser(as *rest.Config, args ...string) string {
	w.t.Helper()
	out, code := w.try(w.t.Context(), as, args...)
	if code != 0 {
		w.t.Fatalf("hawser %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (w *world) try(ctx context.Context, as *rest.Config, args ...string) (string, int) {
	w.t.Helper()
	var out output
	code := cli.Run(ctx, append([]string{"hawser", "--kubeconfig", w.kubeconfig(as)}, args...), strings.NewReader(""), &out, &out)
	return out.String(), code
}

// start runs one of our processes under its account, until it is stopped.
func (w *world) start(c *fleettest.Cluster, account string, args ...string) *output {
	w.t.Helper()
	out, name := &output{}, c.Name+"/"+account
	args = append([]string{"hawser", "--kubeconfig", w.kubeconfig(c.TokenConfig(c.Token(w.t, v1alpha1.Namespace, account, time.Hour)))}, args...)
	args = append(args, "--metrics-bind-address", "0", "--health-probe-bind-address", "0", "--verbose")
	w.logs[name] = out
	w.running[name] = fleettest.Background(w.t, name, func(ctx context.Context) error {
		if code := cli.Run(ctx, args, strings.NewReader(""), io.Discard, out); code != 0 && ctx.Err() == nil {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		return nil
	})
	return out
}

// eventually says what the process said that should have done it, where it does not.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := fleettest.Until(ctx, 50*time.Millisecond, check); err != nil {
		if os.Getenv("HAWSER_RIGHTS_LOGS") != "" {
			for name, log := range w.logs {
				w.t.Logf("%s:\n%s", name, log)
			}
		}
		w.t.Fatalf("waiting for %s: %v", what, err)
	}
}

func (w *world) create(c client.Client, objs ...client.Object) {
	w.t.Helper()
	for _, obj := range objs {
		w.eventually("the right to make "+obj.GetName(), func() error {
			err := client.IgnoreAlreadyExists(c.Create(w.t.Context(), obj))
			if err != nil && !apierrors.IsForbidden(err) && !meta.IsNoMatchError(err) {
				w.t.Fatalf("making %T %s: %v", obj, obj.GetName(), err)
			}
			return err
		})
	}
}

// delete deletes objects and waits until they are gone.
func (w *world) delete(c client.Client, objs ...client.Object) {
	w.t.Helper()
	for _, obj := range objs {
		if err := client.IgnoreNotFound(c.Delete(w.t.Context(), obj)); err != nil {
			w.t.Fatalf("deleting %T %s: %v", obj, obj.GetName(), err)
		}
	}
	for _, obj := range objs {
		w.eventually(fmt.Sprintf("%T %s to be gone", obj, obj.GetName()), func() error {
			if err := c.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there, or: %w", err)
			}
			return nil
		})
	}
}

// is waits until the condition Ready of an object has a status.
func (w *world) is(c client.Client, obj client.Object, conditions func() []metav1.Condition, status metav1.ConditionStatus) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%T %s to be Ready %s", obj, obj.GetName(), status), func() error {
		if err := c.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(conditions(), v1alpha1.Ready); ready == nil || ready.Status != status {
			return fmt.Errorf("it is %+v", conditions())
		}
		return nil
	})
}

func (w *world) ready(cluster string) {
	w.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: cluster}}
	w.is(w.admin, rc, func() []metav1.Condition { return rc.Status.Conditions }, metav1.ConditionTrue)
}

// tie makes a RemoteCluster and waits for it.
func (w *world) tie(as client.Client, name string, to *fleettest.Cluster, auth v1alpha1.Auth, change ...func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	w.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData, rc.Spec.Auth = to.Server, base64.StdEncoding.EncodeToString(to.CA()), auth
	for _, f := range change {
		f(rc)
	}
	w.create(as, rc)
	w.ready(name)
	return rc
}

// file writes a file for a process, and returns its path.
func (w *world) file(name, text string, mode os.FileMode) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// memberToken is one that the connection into a cluster has.
func (w *world) memberToken(c *fleettest.Cluster) string {
	return c.Token(w.t, v1alpha1.MemberNamespace(hub), v1alpha1.MemberServiceAccount, time.Hour)
}

// inputSecret is what a person writes.
func inputSecret(cluster string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(cluster), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: data,
	}
}

// install applies what our documentation says to apply, and starts everything but the manager.
func (w *world) install() {
	w.t.Helper()
	w.primary.Install(w.t, "../../config/crd/*.yaml", "../../inventory/clusterprofile/testdata/crd.yaml", "../controller/capa/testdata/crds.yaml", "../../config/rbac/*.yaml")
	w.create(w.admin, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "capa-system"}})
	w.primary.Install(w.t, "../../config/clusterprofile/rbac.yaml", "../../config/cluster-api/rbac.yaml", "../../config/shards/rbac.yaml", "../../config/upgrade/rbac.yaml")
	manifests, code := w.try(w.t.Context(), w.primary.AdminConfig(), "member", "manifests", "--controllers", "--gate")
	for _, c := range []*fleettest.Cluster{w.alpha, w.beta} {
		if err := c.Apply(w.t.Context(), []byte(manifests)); err != nil || code != 0 {
			w.t.Fatalf("%v (%d)", err, code)
		}
		c.Install(w.t, "../../config/upgrade/member.yaml")
		w.start(c, member.ControllersServiceAccount, "member", "controllers", "--upgrade-crds")
	}
	w.alpha.Install(w.t, "../../config/rbac/people.yaml", "../../inventory/clusterproperty/testdata/crd.yaml")
	// An upgrade brings what is missing.
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName("accessgrants.hawser.io")
	w.delete(w.admin, crd)
}
