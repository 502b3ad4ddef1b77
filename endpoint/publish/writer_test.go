package publish

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
)

// TestWhatCannotBeWrittenStopsNothingElse, be it refused or be it that the API server fails.
func TestWhatCannotBeWrittenStopsNothingElse(t *testing.T) {
	none := owner{webSet, ""}
	for name, c := range map[string]struct {
		at          owner
		before, now []client.Object
		empty       bool
		status      int
		method      string // which fails
		path        string // under which
		want        map[string]string
		failed      string
		refused     string
	}{
		"another namespace is written, and what is not wanted goes": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 1, 1, "old"), configMap(ofA, "n2", 1, 1, "old"), configMap(ofA, "n3", 1, 1, "old")},
			now:    []client.Object{configMap(ofA, "n1", 1, 1, "new"), configMap(ofA, "n2", 1, 1, "new")},
			status: http.StatusInternalServerError, method: http.MethodPut, path: cmPath("n1", ""),
			want: map[string]string{cmPath("n1", "web-a"): "old", cmPath("n2", "web-a"): "new"}, failed: "ConfigMap n1/web-a",
		},
		"what cannot be made stops no change elsewhere": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n2", 1, 1, "old"), configMap(ofA, "n3", 1, 1, "old")},
			now:    []client.Object{configMap(ofA, "n1", 1, 1, "new"), configMap(ofA, "n2", 1, 1, "new")},
			status: http.StatusInternalServerError, method: http.MethodPost, path: "/api/v1/namespaces/n1",
			want: map[string]string{cmPath("n2", "web-a"): "new"}, failed: "ConfigMap n1/web-a",
		},
		"what cannot be divided is not made less": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 1, 1, "x y")},
			now:    []client.Object{configMap(ofA, "n1", 1, 2, "x"), configMap(ofA, "n1", 2, 2, "y z")},
			status: http.StatusInternalServerError, method: http.MethodPost, path: "/api/v1/namespaces/n1",
			want: map[string]string{cmPath("n1", "web-a"): "x y"}, failed: "ConfigMap n1/web-a.2",
		},
		"what is refused is not divided, either": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 1, 1, "x y")},
			now:    []client.Object{configMap(ofA, "n1", 1, 2, "x"), configMap(ofA, "n1", 2, 2, "y z")},
			status: http.StatusForbidden, method: http.MethodPost, path: "/api/v1/namespaces/n1",
			want: map[string]string{cmPath("n1", "web-a"): "x y"}, refused: "ConfigMap n1/web-a.2",
		},
		"what is not divided anew follows": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 1, 4, "x y"), configMap(ofA, "n1", 2, 4, "z")},
			now:    []client.Object{configMap(ofA, "n1", 1, 4, "x"), configMap(ofA, "n1", 3, 4, "v")},
			status: http.StatusForbidden, method: http.MethodPost, path: "/api/v1/namespaces/n1",
			want: map[string]string{cmPath("n1", "web-a"): "x"}, refused: "ConfigMap n1/web-a.3",
		},
		"what cannot be put together stays": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 1, 2, "x"), configMap(ofA, "n1", 2, 2, "y")},
			now:    []client.Object{configMap(ofA, "n1", 1, 1, "x y")},
			status: http.StatusInternalServerError, method: http.MethodPut, path: cmPath("n1", ""),
			want: map[string]string{cmPath("n1", "web-a"): "x", cmPath("n1", "web-a.2"): "y"}, failed: "ConfigMap n1/web-a",
		},
		"what is taken away goes nevertheless": {
			at:     ofA,
			before: []client.Object{configMap(ofA, "n1", 2, 2, "y")},
			now:    []client.Object{configMap(ofA, "n1", 1, 1, "")}, empty: true,
			status: http.StatusForbidden, method: http.MethodPost, path: "/api/v1/namespaces/n1",
			want: map[string]string{}, refused: "ConfigMap n1/web-a",
		},
		"what closes stays until what is to close is there": {
			at:     none,
			before: []client.Object{configMap(none, "n1", 1, 1, "old")},
			now:    []client.Object{configMap(none, "n2", 1, 1, "new")},
			status: http.StatusInternalServerError, method: http.MethodPost, path: "/api/v1/namespaces/n2",
			want: map[string]string{cmPath("n1", "web"): "old"}, failed: "ConfigMap n2/web",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			s := a.following(t)
			if _, err := s.write(t.Context(), c.at, wantsOf(t, c.at, c.before...), manner{}); err != nil {
				t.Fatal(err)
			}
			a.failing(c.status, c.method, c.path)
			now := wantsOf(t, c.at, c.now...)
			out, err := s.write(t.Context(), c.at, now, manner{empty: c.empty})
			if diff := cmp.Diff(c.want, a.has()); diff != "" {
				t.Errorf("there is (-want +got):\n%s", diff)
			}
			if (err != nil) != (c.failed != "") || !strings.Contains(strings.Join(out.failed, ""), c.failed) || !strings.Contains(strings.Join(out.refused, ""), c.refused) {
				t.Errorf("failed: %q, refused: %q, %v", out.failed, out.refused, err)
			}
			a.failing(0, "", "")
			want := map[string]string{}
			for _, o := range c.now {
				want[cmPath(o.GetNamespace(), o.GetName())] = o.(*corev1.ConfigMap).Data["addresses"]
			}
			if out, err = s.write(t.Context(), c.at, now, manner{empty: c.empty}); err != nil || out.objects != len(now) {
				t.Errorf("%d objects are written (%v)", out.objects, err)
			}
			if diff := cmp.Diff(want, a.has()); diff != "" {
				t.Errorf("in the end there is (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatFailsIsTold when it has failed twice, and tried again.
func TestWhatFailsIsTold(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	p := publisherOf(t, s)
	t.Cleanup(p.queue.close)
	p.Put(itemOf(webSet, 3, func() []client.Object {
		return []client.Object{configMap(ofA, "n1", 1, 1, "x"), configMap(ofA, "n2", 1, 1, "x")}
	}))
	says := func() *v1alpha1.FederatedCluster {
		t.Helper()
		p.work(t.Context(), p.queue, task{webSet, "a", writing})
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.progress[ofA].entry
	}
	a.failing(http.StatusInternalServerError, http.MethodPost, "/api/v1/namespaces/n1")
	if e := says(); e != nil {
		t.Errorf("at once it says %+v", e)
	}
	if e := says(); e == nil || e.Objects != 1 || e.ObservedGeneration != 0 || !slices.ContainsFunc(e.Refused, func(r string) bool {
		return strings.Contains(r, "creating ConfigMap n1/web-a") && strings.Contains(r, "it fails by 500")
	}) {
		t.Errorf("it says %+v", e)
	}
	a.failing(0, "", "")
	if e := says(); len(e.Refused) > 0 || e.Objects != 2 || e.ObservedGeneration != 3 {
		t.Errorf("then it says %+v", e)
	}
}

// publisherOf publishes of one cluster, which has one endpoint and is followed.
func publisherOf(t *testing.T, objects *Objects) *Publisher {
	t.Helper()
	has := &page{index: index.New(), state: endpoint.ClusterState{Name: "a", ID: "id", Synced: true}}
	part, err := has.index.Cluster("a", "id")
	if err != nil {
		t.Fatal(err)
	}
	part.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.1/32")}})
	p, err := New(Options{Catalog: has, Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
