package publish

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/selector"
)

// api is an API server that keeps objects of all kinds alike, fails as a test says, and tells what it was asked.
type api struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured // by path
	version int
	asked   map[string]int // by "method path"
	now     map[string]int // that are not answered yet
	atOnce  map[string]int // the most of that
	// fails says how a request fails: with a status, by no answer if that is hangs, or not if it is zero.
	fails func(method, path string) int
	// makes is what it makes of an object that is written.
	makes func(*unstructured.Unstructured)
	// served are the resources of a version, by its path.
	served map[string][]string
}

const hangs = -1

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{
		objects: map[string]*unstructured.Unstructured{}, asked: map[string]int{}, now: map[string]int{}, atOnce: map[string]int{},
		fails: func(string, string) int { return 0 }, makes: func(*unstructured.Unstructured) {},
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// kindAt is the resource of a path, and whether it is of one object.
func kindAt(path string) (resource string, one bool) {
	parts := strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/"), "/")
	if strings.HasPrefix(path, "/apis/") {
		parts = parts[1:]
	}
	parts = parts[1:] // the version
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) == 0 {
		return "", false
	}
	return parts[0], len(parts) > 1
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	resource, one := kindAt(path)
	a.mu.Lock()
	a.asked[r.Method+" "+path]++
	a.now[resource]++
	a.atOnce[resource] = max(a.atOnce[resource], a.now[resource])
	status := a.fails(r.Method, path)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.now[resource]--
	}()
	query := r.URL.Query()
	switch {
	case status == hangs:
		_, _ = io.Copy(io.Discard, r.Body) // from then on it is seen when somebody goes
		<-r.Context().Done()
	case status != 0:
		answer(w, status, fmt.Sprintf("it fails by %d", status))
	case query.Get("sendInitialEvents") == "true":
		answer(w, http.StatusUnprocessableEntity, "it knows no such watches")
	case query.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case resource == "" && a.served[path] != nil:
		var list metav1.APIResourceList
		for _, name := range a.served[path] {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	case resource == "":
		answer(w, http.StatusNotFound, "no such version")
	default:
		a.keep(w, r, path, resource, one)
	}
}

func (a *api) keep(w http.ResponseWriter, r *http.Request, path, resource string, one bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var o unstructured.Unstructured
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&o.Object); err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if r.Method == http.MethodPost {
		path += "/" + o.GetName()
	}
	have := a.objects[path]
	a.version++
	switch {
	case r.Method == http.MethodGet && !one:
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)}}}
		for _, path := range slices.Sorted(maps.Keys(a.objects)) {
			if kind, _ := kindAt(path); kind == resource {
				list.Items = append(list.Items, *a.objects[path])
			}
		}
		text, _ := list.MarshalJSON()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
		return
	case r.Method == http.MethodPost && have != nil:
		answer(w, http.StatusConflict, "it is there")
		return
	case r.Method != http.MethodPost && have == nil:
		answer(w, http.StatusNotFound, "it is not there")
		return
	case r.Method == http.MethodPut && o.GetResourceVersion() != have.GetResourceVersion():
		answer(w, http.StatusConflict, "it has changed")
		return
	case r.Method == http.MethodPost, r.Method == http.MethodPut:
		if o.SetUID(types.UID("uid of " + path)); have != nil {
			o.SetUID(have.GetUID())
		}
		a.makes(&o)
		o.SetManagedFields(append(o.GetManagedFields(), annotated(&o)))
		o.SetResourceVersion(strconv.Itoa(a.version))
		a.objects[path] = &o
		have = &o
	case r.Method == http.MethodDelete:
		delete(a.objects, path)
	}
	text, _ := have.MarshalJSON()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// annotated says that whoever writes here owns the annotations.
func annotated(o *unstructured.Unstructured) metav1.ManagedFieldsEntry {
	owns := map[string]any{}
	for name := range o.GetAnnotations() {
		owns["f:"+name] = map[string]any{}
	}
	text, _ := json.Marshal(map[string]any{"f:metadata": map[string]any{"f:annotations": owns}})
	return metav1.ManagedFieldsEntry{Manager: v1alpha1.FieldManager, FieldsV1: fields(string(text))}
}

func answer(w http.ResponseWriter, code int, text string) {
	reason := map[int]metav1.StatusReason{
		http.StatusForbidden: metav1.StatusReasonForbidden, http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusConflict: metav1.StatusReasonConflict,
		http.StatusInternalServerError: metav1.StatusReasonInternalError, http.StatusUnprocessableEntity: metav1.StatusReasonInvalid,
	}[code]
	if text == "it is there" {
		reason = metav1.StatusReasonAlreadyExists
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code), Message: text,
	})
}

// failing lets requests of a method to objects under a path fail.
func (a *api) failing(status int, method, path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails = func(m, p string) int {
		if m == method && strings.HasPrefix(p, path) {
			return status
		}
		return 0
	}
}

// has are the paths of the objects that there are, and what they hold.
func (a *api) has() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]string{}
	for path, o := range a.objects {
		text, _, _ := unstructured.NestedString(o.Object, "data", "addresses")
		all[path] = text
	}
	return all
}

// edit changes an object as somebody would, and hands it to those who watch.
func (a *api) edit(path string, to *Objects, change func(*unstructured.Unstructured)) {
	a.mu.Lock()
	o := a.objects[path].DeepCopy()
	change(o)
	a.version++
	o.SetResourceVersion(strconv.Itoa(a.version))
	a.objects[path] = o
	a.mu.Unlock()
	to.records.put(o)
}

// following are objects at that server, of which it is known that there are none, unless somebody starts them.
func (a *api) following(t *testing.T) *Objects {
	t.Helper()
	objects, err := NewObjects(&rest.Config{Host: a.URL, QPS: -1}, clock.RealClock{}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range objects.kinds {
		k.version, k.synced = k.gvk, true
	}
	return objects
}

var (
	webSet = Key{Kind: EndpointSet, Name: "web"}
	ofA    = owner{webSet, "a"}
)

// configMap is what a set has of a cluster, or of none, in a namespace: a piece of so many.
func configMap(at owner, namespace string, piece, pieces int, text string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: Meta(at.key, at.cluster, namespace, "web", piece, pieces, nil), Data: map[string]string{"addresses": text}}
}

func networkSet(t *testing.T, at owner, name, net string) client.Object {
	t.Helper()
	o, err := calico.Write(calico.GlobalNetworkSets, Meta(at.key, at.cluster, "", name, 1, 1, map[string]string{"role": "web"}), calico.NetworkSetSpec{Nets: []string{net}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func wantsOf(t *testing.T, at owner, objects ...client.Object) (all []wanted) {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		w, err := want(scheme, o, at.key, metav1.OwnerReference{Kind: at.key.Kind, Name: at.key.Name, UID: "u"})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

func cmPath(namespace, name string) string {
	return "/api/v1/namespaces/" + namespace + "/configmaps/" + name
}

var gnsKind = schema.GroupKind{Group: "projectcalico.org", Kind: "GlobalNetworkSet"}

const gnsPath = "/apis/projectcalico.org/v3/globalnetworksets"

// itemOf is an item whose objects in each cluster are those that are made.
func itemOf(k Key, generation int64, made func() []client.Object) Item {
	return Item{
		Key: k, Generation: generation, Scope: v1alpha1.ClusterScope{All: true}, Selectors: []*selector.Selector{selector.All()},
		Render: func(Request) (Rendered, error) {
			return Rendered{Objects: made(), Endpoints: 1, Addresses: 1}, nil
		},
	}
}
