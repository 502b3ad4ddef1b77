package clusterproperty_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory/clusterproperty"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary"))
}

// world is a cluster with ClusterProperties, and an account that may do what Role says.
type world struct {
	*fleettest.Cluster
	t      *testing.T
	admin  client.Client
	config *rest.Config
}

// newWorld serves ClusterProperties in some versions, none of which is there.
func newWorld(t *testing.T, versions ...string) *world {
	t.Helper()
	w := &world{Cluster: fleettest.Use(t, "primary"), t: t}
	var err error
	if w.admin, err = client.New(w.AdminConfig(), client.Options{}); err != nil {
		t.Fatal(err)
	}
	w.config = inventorytest.NewAccount(t, w.Cluster, w.Namespace(t), clusterproperty.Role).Config()
	text, err := os.ReadFile("testdata/crd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	list, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range list {
		v := v.(map[string]any)
		v["served"] = strings.Contains(strings.Join(versions, " "), v["name"].(string))
	}
	if err := unstructured.SetNestedSlice(crd.Object, list, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if w.serves(crd) {
		properties := &unstructured.Unstructured{}
		properties.SetAPIVersion("about.k8s.io/" + versions[0])
		properties.SetKind("ClusterProperty")
		if err := w.admin.DeleteAllOf(t.Context(), properties); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if err := w.admin.Delete(t.Context(), crd.DeepCopy()); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, 2*time.Minute, func() error { // what was there goes with the CRD
		err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(crd), crd.DeepCopy())
		if err == nil {
			return errors.New("the CRD is still there")
		}
		return client.IgnoreNotFound(err)
	})
	if len(versions) == 0 {
		return w
	}
	if err := w.admin.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		_, err := w.Client().Discovery().RESTClient().Get().AbsPath("/apis/about.k8s.io/" + versions[0] + "/clusterproperties").DoRaw(t.Context())
		return err
	})
	return w
}

// serves reports whether the same versions are served already: to make a CRD anew takes seconds.
func (w *world) serves(want *unstructured.Unstructured) bool {
	w.t.Helper()
	now := want.DeepCopy()
	if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(want), now); err != nil {
		return false
	}
	return cmp.Equal(servedBy(now), servedBy(want)) && len(servedBy(now)) > 0
}

func servedBy(crd *unstructured.Unstructured) []string {
	list, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	var served []string
	for _, v := range list {
		if v := v.(map[string]any); v["served"] == true {
			served = append(served, v["name"].(string))
		}
	}
	slices.Sort(served)
	return served
}

func (w *world) client() *clusterproperty.Client {
	w.t.Helper()
	c, err := clusterproperty.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// put writes a property as somebody else would.
func (w *world) put(version, name, value string) {
	w.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"value": value}}}
	u.SetAPIVersion("about.k8s.io/" + version)
	u.SetKind("ClusterProperty")
	u.SetName(name)
	if err := w.admin.Create(w.t.Context(), u); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) has(want clusterproperty.Properties) {
	w.t.Helper()
	got, err := w.client().Read(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("(-want +got)\n%s", diff)
	}
}

func (w *world) uid() string {
	w.t.Helper()
	ns, err := w.Client().CoreV1().Namespaces().Get(w.t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(ns.UID)
}

func TestAnIDIsGivenOnce(t *testing.T) {
	for _, versions := range [][]string{{"v1alpha1"}, {"v1beta1", "v1alpha1"}} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			w := newWorld(t, versions...)
			w.has(clusterproperty.Properties{})
			for _, created := range []bool{true, false} {
				id, made, err := w.client().EnsureID(t.Context())
				if id != w.uid() || made != created || err != nil {
					t.Errorf("got %q, created %t (%v)", id, made, err)
				}
			}
			w.has(clusterproperty.Properties{ID: w.uid()})
		})
	}
}

func TestAnIDThatIsThereStays(t *testing.T) {
	w := newWorld(t, "v1alpha1", "v1beta1")
	w.put("v1alpha1", clusterproperty.ClusterID, "alpha.example.com")
	w.put("v1alpha1", "fingerprint.example.com", "not ours to read")
	if id, created, err := w.client().EnsureID(t.Context()); id != "alpha.example.com" || created || err != nil {
		t.Errorf("got %q, created %t (%v)", id, created, err)
	}
	w.has(clusterproperty.Properties{ID: "alpha.example.com"})
}

func TestAnIDOfOnesOwn(t *testing.T) {
	w := newWorld(t, "v1beta1", "v1alpha1")
	for _, bad := range []string{"Not An ID", strings.Repeat("a", 128)} {
		if _, err := w.client().SetID(t.Context(), bad); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
	for _, created := range []bool{true, false} {
		if made, err := w.client().SetID(t.Context(), "alpha.example.com"); made != created || err != nil {
			t.Errorf("created %t (%v)", made, err)
		}
	}
	_, err := w.client().SetID(t.Context(), "other")
	if conflict, ok := errors.AsType[*clusterproperty.ConflictError](err); !ok || conflict.Has != "alpha.example.com" || conflict.Wanted != "other" {
		t.Errorf("got %v", err)
	}
	w.has(clusterproperty.Properties{ID: "alpha.example.com"})
}

func TestManyAtOnceGiveOneID(t *testing.T) {
	w := newWorld(t, "v1beta1", "v1alpha1")
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		c := w.client()
		all.Go(func() {
			id, created, err := c.EnsureID(t.Context())
			if err != nil || id == "" {
				t.Errorf("got %q (%v)", id, err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d say that it was them", made.Load())
	}
}

func TestMembershipOfAClusterSet(t *testing.T) {
	w := newWorld(t, "v1beta1", "v1alpha1")
	for _, created := range []bool{true, false} {
		if made, err := w.client().EnsureSet(t.Context(), "prod"); made != created || err != nil {
			t.Errorf("created %t (%v)", made, err)
		}
	}
	w.has(clusterproperty.Properties{Set: "prod"})
	_, err := w.client().EnsureSet(t.Context(), "other")
	if conflict, ok := errors.AsType[*clusterproperty.ConflictError](err); !ok || conflict.Has != "prod" || conflict.Wanted != "other" {
		t.Errorf("got %v", err)
	}
	if _, err := w.client().EnsureSet(t.Context(), "Not A Name"); err == nil {
		t.Error("a name that is none was written")
	}
	for _, was := range []string{"prod", ""} {
		if left, err := w.client().LeaveSet(t.Context()); left != was || err != nil {
			t.Errorf("it left %q (%v)", left, err)
		}
	}
	w.has(clusterproperty.Properties{})
	w.put("v1beta1", clusterproperty.ClusterSet, "theirs")
	if _, err := w.client().LeaveSet(t.Context()); err == nil || !strings.Contains(err.Error(), "it is not Hawser's") {
		t.Errorf("got %v", err)
	}
	w.has(clusterproperty.Properties{Set: "theirs"})
}
