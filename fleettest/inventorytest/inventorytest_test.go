package inventorytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// mistakeVariable says, in a child process, which mistake the inventory makes.
const mistakeVariable = "INVENTORYTEST_MISTAKE"

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha")) }

// shelf is a place in memory, with an inventory of it that makes one mistake.
type shelf struct {
	mistake string

	mu      sync.Mutex
	entries map[string]entry
	changed chan struct{} // closed, and replaced, when entries change
}

type entry struct {
	text   string // a kubeconfig
	hidden bool
}

func newShelf(mistake string) *shelf {
	return &shelf{mistake: mistake, entries: map[string]entry{}, changed: make(chan struct{})}
}

func (s *shelf) change(do func(map[string]entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(s.entries)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) look() (map[string]entry, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entries), s.changed
}

// Run is what an inventory does, and what it should not, by the name of its mistake.
func (s *shelf) Run(ctx context.Context, to inventory.Sink) error {
	if s.mistake == "leaves a goroutine" {
		go func() { select {} }()
	}
	if s.mistake == "is in sync too soon" {
		to.Synced()
	}
	told, faults := map[string]string{}, map[string]bool{}
	for first := true; ; first = false {
		entries, changed := s.look()
		for name, old := range told {
			e, there := entries[name]
			switch {
			case there && e.text != old && s.mistake == "removes what is rotated":
				to.Remove(name)
			case there && (!e.hidden || s.mistake == "keeps what is hidden"):
				continue
			case !there && s.mistake == "keeps what is gone":
				continue
			default:
				to.Remove(name)
			}
			delete(told, name)
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			if e := entries[name]; !e.hidden && told[name] != e.text {
				s.tell(to, name, e.text, told, faults)
			}
		}
		for name := range faults {
			if _, there := entries[name]; !there {
				to.Fault(name, nil)
				delete(faults, name)
			}
		}
		if first && s.mistake != "is in sync too soon" || s.mistake == "is in sync twice" {
			to.Synced()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if s.mistake == "returns an error" {
				return ctx.Err()
			}
			return nil
		}
	}
}

func (s *shelf) tell(to inventory.Sink, name, text string, told map[string]string, faults map[string]bool) {
	c, err := kubeconfig.Parse([]byte(text), "")
	if err != nil {
		switch s.mistake {
		case "says nothing of what is malformed":
			return
		case "removes what is malformed":
			to.Remove(name)
			delete(told, name)
		}
		faults[name] = true
		to.Fault(name, err)
		return
	}
	cluster := inventory.FromKubeconfig(name, c)
	switch s.mistake {
	case "sees no change":
		cluster.Version = ""
	case "waits for each cluster":
		_, _ = whoAmI(context.Background(), cluster)
	case "has no source":
		cluster.Source = nil
	case "takes the wrong name":
		cluster.Spec.Name = "cluster"
	}
	to.Set(cluster)
	told[name] = text
	if faults[name] && s.mistake != "forgets that it is mended" {
		to.Fault(name, nil)
	}
	delete(faults, name)
}

func (s *shelf) subject(cluster *fleettest.Cluster) Subject {
	write := func(_ testing.TB, name string, access Access) {
		s.change(func(e map[string]entry) { e[name] = entry{text: string(access.Kubeconfig())} })
	}
	hide := func(hidden bool) func(testing.TB, string) {
		return func(_ testing.TB, name string) {
			s.change(func(e map[string]entry) { e[name] = entry{e[name].text, hidden} })
		}
	}
	return Subject{
		Cluster: cluster,
		New:     func(testing.TB) inventory.Inventory { return s },
		Add:     write,
		Rotate:  write,
		Remove: func(_ testing.TB, name string) {
			s.change(func(e map[string]entry) { delete(e, name) })
		},
		Break: func(_ testing.TB, name string) {
			s.change(func(e map[string]entry) { e[name] = entry{text: "hello"} })
		},
		Hide: hide(true),
		Show: hide(false),
		Rename: func(_ testing.TB, from, to string) {
			s.change(func(e map[string]entry) { e[to] = e[from]; delete(e, from) })
		},
	}
}

// TestSubject passes by itself; as a child process it fails as its environment says.
func TestSubject(t *testing.T) {
	mistake := os.Getenv(mistakeVariable)
	if mistake != "" {
		patience = 5 * time.Second // what a mistake has to wait out
	}
	Run(t, newShelf(mistake).subject(fleettest.Use(t, "alpha")))
}

func TestTheSuiteCatchesMistakes(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	var children sync.WaitGroup
	turn := make(chan struct{}, 5) // most of them wait most of the time
	for mistake, want := range map[string]string{
		"leaves a goroutine":                "a goroutine is left",
		"is in sync too soon":               "was not told before it was in sync",
		"is in sync twice":                  "it was in sync twice",
		"removes what is rotated":           "was removed, and what ran on it with it",
		"removes what is malformed":         "did not stay as it was when its entry became malformed",
		"says nothing of what is malformed": "is malformed and no fault",
		"forgets that it is mended":         "is at fault",
		"keeps what is hidden":              "is still there",
		"keeps what is gone":                "is still there",
		"sees no change":                    "is reached as system:serviceaccount:",
		"waits for each cluster":            "it is not in sync",
		"has no source":                     "was set without a Source",
		"takes the wrong name":              "has not been told",
		"returns an error":                  "Run returned an error though its context had ended",
	} {
		children.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSubject$", "-test.failfast")
			child.Env = append(os.Environ(), mistakeVariable+"="+mistake, "HAWSER_FLEET="+filepath.Dir(alpha.Dir()))
			output, err := child.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(output), want) {
				t.Errorf("an inventory that %s: the suite ended with %v, want a failure that says %q\n%s", mistake, err, want, output)
			}
		})
	}
	children.Wait()
}

func TestARoleThatAllowsTooMuchIsFound(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	namespace := alpha.Namespace(t)
	account := NewAccount(t, alpha, namespace, []byte(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: of-namespace}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, create, deletecollection]}
- {apiGroups: [apps], resources: [deployments/status], verbs: [patch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: of-cluster}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, delete]}
`))
	client := kubernetes.NewForConfigOrDie(account.Config())
	ctx := t.Context()
	if _, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("what the Role allows is refused: %v", err)
	}
	if _, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
		t.Errorf("what the ClusterRole allows is refused: %v", err)
	}
	if _, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{}); err == nil {
		t.Error("what no role allows is not refused")
	}
	watch, err := client.CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watch.Stop()
	_, _ = client.AppsV1().Deployments(namespace).UpdateStatus(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "none"}}, metav1.UpdateOptions{})

	want := []string{"get configmaps", "list configmaps", "deletecollection configmaps", "patch apps/deployments/status", "list namespaces", "delete namespaces"}
	if got := account.unused(); !slices.Equal(got, want) {
		t.Errorf("unused are %q, want %q", got, want)
	}
}

func TestWhatWasUsedIsReadFromRequests(t *testing.T) {
	cases := map[string]string{
		"GET /api/v1/namespaces/a/secrets?watch=1":              "watch secrets",
		"GET /api/v1/namespaces/a/secrets":                      "list secrets",
		"GET /api/v1/namespaces/a":                              "get namespaces",
		"GET /api/v1/namespaces":                                "list namespaces",
		"PUT /api/v1/namespaces/a/finalize":                     "update namespaces/finalize",
		"GET /apis/cluster.x-k8s.io/v1beta2/clusters":           "list cluster.x-k8s.io/clusters",
		"PATCH /apis/apps/v1/namespaces/a/deployments/b/status": "patch apps/deployments/status",
		"DELETE /apis/apps/v1/namespaces/a/deployments":         "deletecollection apps/deployments",
		"POST /api/v1/namespaces/a/serviceaccounts/b/token":     "create serviceaccounts/token",
		"GET /version": "GET /version",
	}
	for text, want := range cases {
		method, path, _ := strings.Cut(text, " ")
		u, err := url.Parse(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := asked(fleettest.Request{Method: method, Path: u.Path, Query: u.Query()}); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestAnAccessIsAKubeconfig(t *testing.T) {
	c, err := kubeconfig.Parse(Access{Server: "https://example.com", CAData: []byte("ca"), Token: "token"}.Kubeconfig(), "")
	if err != nil || c.Token.Reveal() != "token" || c.Endpoint.Server != "https://example.com" || string(c.Endpoint.CAData) != "ca" {
		t.Errorf("got %v at %+v, error %v", c.Token.Reveal(), c.Endpoint, err)
	}
}

func TestTheRecorderTakesWhatItIsToldAsAFleetWould(t *testing.T) {
	r := &Recorder{}
	source := func(text string) inventory.Cluster {
		c, err := kubeconfig.Parse(Access{Server: "https://example.com", Token: text}.Kubeconfig(), "")
		if err != nil {
			t.Fatal(err)
		}
		return inventory.FromKubeconfig("a", c)
	}
	one, two := source("one"), source("two")
	r.Set(one)
	two.Version = one.Version
	r.Set(two)
	if r.Clusters()["a"].Source != one.Source {
		t.Error("a Source was replaced though the Version is the same")
	}
	r.Fault("a", errors.New("why"))
	r.Remove("a")
	if len(r.Clusters())+len(r.Faults()) != 0 {
		t.Error("something is left of what was removed")
	}
	if got, want := fmt.Sprint(r.Events()), `[Set("a") Set("a") Fault("a", why) Remove("a")]`; got != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
}
