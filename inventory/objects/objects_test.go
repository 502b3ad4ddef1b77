package objects_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory/objects"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const patience = 30 * time.Second

var configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")

// diary is what a handler was told.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// says waits until a line with a part is there.
func (d *diary) says(t *testing.T, part string) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if !slices.ContainsFunc(d.read(), func(line string) bool { return strings.Contains(line, part) }) {
			return fmt.Errorf("nothing was told of %q: %q", part, d.read())
		}
		return nil
	})
}

// follow follows until the test ends, or until stop.
func follow[T any](t *testing.T, f objects.Follower[T]) (d *diary, stop func()) {
	t.Helper()
	d = &diary{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- f.Run(ctx, objects.Handler[T]{
			Set:       func(key types.NamespacedName, _ *T) { d.note("set %s", key) },
			Delete:    func(key types.NamespacedName) { d.note("delete %s", key) },
			Malformed: func(key types.NamespacedName, err error) { d.note("malformed %s: %v", key, err) },
			Synced:    func() { d.note("synced") },
			Fault:     func(err error) { d.note("fault: %v", err) },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func create(t *testing.T, c *fleettest.Cluster, namespace, name string, labels map[string]string) {
	t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: map[string]string{"n": labels["n"]}}
	if _, err := c.Client().CoreV1().ConfigMaps(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestObjectsOfEveryNamespaceBySelectors(t *testing.T) {
	c := fleettest.Use(t, "primary")
	one, two := c.Namespace(t), c.Namespace(t)
	mine := map[string]string{"test": one}
	create(t, c, one, "a", mine)
	create(t, c, one, "b", nil)
	d, _ := follow(t, objects.Follower[corev1.ConfigMap]{Config: c.AdminConfig(), Resource: configMaps, Labels: "test=" + one, Fields: "metadata.name!=z"})
	d.says(t, "synced")
	create(t, c, two, "z", mine)
	create(t, c, two, "a", mine)
	d.says(t, "set "+two+"/a")
	for _, line := range d.read() {
		if strings.HasSuffix(line, "/b") || strings.HasSuffix(line, "/z") {
			t.Errorf("told of an object that is not selected: %s", line)
		}
	}
	if lines := d.read(); lines[0] != "set "+one+"/a" || lines[1] != "synced" {
		t.Errorf("it began with %q", lines)
	}
}

func TestAnObjectOfAnotherShapeHarmsNoOther(t *testing.T) {
	type counts struct {
		metav1.ObjectMeta `json:"metadata"`

		Data map[string]int `json:"data"` // a ConfigMap has strings
	}
	c := fleettest.Use(t, "primary")
	namespace := c.Namespace(t)
	create(t, c, namespace, "a", map[string]string{"test": "shape"})
	empty := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{"test": "shape"}}}
	if _, err := c.Client().CoreV1().ConfigMaps(namespace).Create(t.Context(), empty, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	d, _ := follow(t, objects.Follower[counts]{Config: c.AdminConfig(), Resource: configMaps, Namespace: namespace, Labels: "test=shape"})
	d.says(t, "synced")
	d.says(t, "malformed "+namespace+"/a: reading ConfigMap")
	d.says(t, "set "+namespace+"/b")
}

func TestWhatKeepsObjectsFromBeingReadIsAFault(t *testing.T) {
	c := fleettest.Use(t, "primary")
	namespace := c.Namespace(t)
	proxy := c.HTTPProxy(t)
	proxy.Cut()
	d, stop := follow(t, objects.Follower[corev1.ConfigMap]{Config: proxy.AdminConfig(), Resource: configMaps, Namespace: namespace})
	d.says(t, `fault: listing configmaps in namespace "`+namespace+`": `)
	proxy.Fail(http.StatusForbidden, nil)
	proxy.Restore()
	d.says(t, "Forbidden")
	if lines := d.read(); slices.Contains(lines, "synced") || len(lines) != 2 {
		t.Errorf("it told %q, want two faults", lines)
	}
	proxy.RestoreHTTP()
	d.says(t, "synced")
	d.says(t, "fault: <nil>")

	proxy.Cut()
	stop() // also while it is refused, and waits
	told := len(d.read())
	proxy.Restore()
	create(t, c, namespace, "late", nil)
	if lines := d.read(); len(lines) != told {
		t.Errorf("after its end it told %q", lines[told:])
	}
}

func TestAKindThatIsNotThereIsAFault(t *testing.T) {
	c := fleettest.Use(t, "primary")
	d, _ := follow(t, objects.Follower[corev1.ConfigMap]{Config: c.AdminConfig(), Resource: schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"}})
	d.says(t, "fault: listing things.example.com: the server could not find the requested resource")
}

func TestToListWithoutBeingAllowedToWatchIsAFaultThatStays(t *testing.T) {
	c := fleettest.Use(t, "primary")
	namespace := c.Namespace(t)
	create(t, c, namespace, "a", nil)
	proxy := c.HTTPProxy(t)
	proxy.Fail(http.StatusForbidden, func(r *http.Request) bool { return r.URL.Query().Has("watch") })
	d, _ := follow(t, objects.Follower[corev1.ConfigMap]{Config: proxy.AdminConfig(), Resource: configMaps, Namespace: namespace})
	d.says(t, "synced")
	d.says(t, "fault: watching configmaps")
	fleettest.Eventually(t, patience, func() error { // it has listed again
		if n := proxy.Count()["GET /api/v1/namespaces/"+namespace+"/configmaps"]; n < 6 {
			return fmt.Errorf("it has asked %d times", n)
		}
		return nil
	})
	faults := 0
	for _, line := range d.read() {
		if strings.HasPrefix(line, "fault") {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("it told %q, want one fault that stays", d.read())
	}
}

func TestMistakesEndIt(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	cases := map[string]objects.Follower[corev1.Secret]{
		"reading the label selector": {Config: config, Labels: "a in"},
		"reading the field selector": {Config: config, Fields: "a"},
		"following secrets":          {Config: &rest.Config{Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nowhere"}}, Resource: corev1.SchemeGroupVersion.WithResource("secrets")},
	}
	for want, f := range cases {
		if err := f.Run(t.Context(), objects.Handler[corev1.Secret]{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestHandlersMayBeNil(t *testing.T) {
	c := fleettest.Use(t, "primary")
	ctx, cancel := context.WithCancel(t.Context())
	synced := make(chan struct{})
	ended := make(chan error, 1)
	f := objects.Follower[corev1.ConfigMap]{Config: c.AdminConfig(), Resource: configMaps}
	go func() {
		ended <- f.Run(ctx, objects.Handler[corev1.ConfigMap]{Synced: func() { close(synced) }})
	}()
	<-synced
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
