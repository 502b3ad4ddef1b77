package crds

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha")) }

const patience = 2 * time.Minute // a definition goes when the API server has seen to what was of its kind

// cluster is one whose definitions are upgraded under exactly the rights that we ship.
type cluster struct {
	*testing.T
	crds   dynamic.ResourceInterface // as the admin
	config *rest.Config              // as the account that upgrades
}

// start begins without our definitions, as the manager.
func start(t *testing.T) *cluster {
	t.Helper()
	c := fleettest.Use(t, "alpha")
	admin, err := dynamic.NewForConfig(c.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	e := &cluster{T: t, crds: admin.Resource(resource)}
	for _, plural := range crd.All() {
		if err := e.crds.Delete(t.Context(), crd.Name(plural), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		fleettest.Eventually(t, patience, func() error {
			_, err := e.crds.Get(t.Context(), crd.Name(plural), metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				return errors.New("the definition is still there")
			}
			return nil
		})
	}
	c.Install(t, "../../config/rbac/manager.yaml", "../../config/upgrade/rbac.yaml")
	e.config = c.TokenConfig(c.Token(t, v1alpha1.Namespace, "hawser", time.Hour))
	return e
}

// upgrade is one start of a build.
func (e *cluster) upgrade(own string, plurals ...string) []Outcome {
	e.Helper()
	outcomes, err := upgrade(e.Context(), e.config, own, plurals)
	if err != nil {
		e.Fatal(err)
	}
	return outcomes
}

func (e *cluster) get(plural string) *unstructured.Unstructured {
	e.Helper()
	got, err := e.crds.Get(e.Context(), crd.Name(plural), metav1.GetOptions{})
	if err != nil {
		e.Fatal(err)
	}
	return got
}

// asHelm installs a definition as helm install does from crds/, changed as an older chart had it.
func (e *cluster) asHelm(plural string, change func(schema map[string]any)) {
	e.Helper()
	obj, err := wanted(plural, "")
	if err != nil {
		e.Fatal(err)
	}
	obj.SetAnnotations(nil)
	versions, _, _ := unstructured.NestedSlice(obj.Object, "spec", "versions")
	spec, _, _ := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
	change(spec)
	if err := errors.Join(
		unstructured.SetNestedMap(versions[0].(map[string]any), spec, "schema", "openAPIV3Schema", "properties", "spec"),
		unstructured.SetNestedSlice(obj.Object, versions, "spec", "versions"),
	); err != nil {
		e.Fatal(err)
	}
	if _, err := e.crds.Create(e.Context(), obj, metav1.CreateOptions{FieldManager: "helm"}); err != nil {
		e.Fatal(err)
	}
}

func TestDefinitionsAreUpgradedUnderTheRightsThatWeShip(t *testing.T) {
	plurals := crd.All()
	e := start(t)
	// What an older release left: a field that is gone, a rule that would refuse what is allowed now, and no others.
	e.asHelm("accessrequests", func(spec map[string]any) {
		spec["properties"].(map[string]any)["old"] = map[string]any{"type": "string"}
		rules, _ := spec["x-kubernetes-validations"].([]any)
		spec["x-kubernetes-validations"] = append(rules, map[string]any{"rule": "has(self.old)", "message": "as it was once"})
	})
	for _, o := range e.upgrade("v0.4.0", plurals...) {
		if !o.Changed || o.Warning() != "" {
			t.Errorf("%s: %+v", o.Name, o)
		}
	}
	for _, plural := range plurals {
		got, want := e.get(plural), must(t, plural)
		if got.GetAnnotations()[v1alpha1.VersionAnnotation] != "v0.4.0" {
			t.Errorf("%s says version %q", plural, got.GetAnnotations()[v1alpha1.VersionAnnotation])
		}
		if text := string(jsonOf(t, got, "spec", "versions")); text != string(jsonOf(t, want, "spec", "versions")) {
			t.Errorf("%s is not that of this build: %.300s", plural, text)
		}
	}
	again := e.get("accessrequests").GetResourceVersion()
	for _, o := range e.upgrade("v0.4.0", plurals...) {
		if o.Changed {
			t.Errorf("%s was written again", o.Name)
		}
	}
	if e.get("accessrequests").GetResourceVersion() != again {
		t.Error("a second start writes")
	}
	if client, err := dynamic.NewForConfig(fleettest.Use(t, "alpha").AdminConfig()); err != nil {
		t.Error(err)
	} else if _, err := client.Resource(v1alpha1.GroupVersion.WithResource("remoteclusters")).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("it is not served: %v", err)
	}
	// The rights end at these names.
	own, err := dynamic.NewForConfig(e.config)
	if err != nil {
		t.Fatal(err)
	}
	other := e.get("accessrequests")
	other.SetName("others.example.com")
	other.SetManagedFields(nil)
	other.SetResourceVersion("")
	if _, err := own.Resource(resource).Apply(t.Context(), other.GetName(), other, metav1.ApplyOptions{FieldManager: "x"}); !apierrors.IsForbidden(err) {
		t.Errorf("it may make a definition that is not its own: %v", err)
	}
}

// Without the right to it, a process ends, and says which.
func TestWithoutTheRightNothingIsDone(t *testing.T) {
	e := start(t)
	c := fleettest.Use(t, "alpha")
	namespace := c.Namespace(t)
	c.ServiceAccount(t, namespace, "nobody")
	_, err := upgrade(t.Context(), c.TokenConfig(c.Token(t, namespace, "nobody", time.Hour)), "v0.4.0", []string{crd.AccessGrants})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "crds.upgrade") {
		t.Errorf("got %v", err)
	}
	if _, err := e.crds.Get(t.Context(), crd.Name(crd.AccessGrants), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is there: %v", err)
	}
}

// What is left as it is, is told where people look.
func TestADefinitionThatIsLeftIsToldOf(t *testing.T) {
	e := start(t)
	e.upgrade("v99.0.0", crd.AccessGrants)
	var logged strings.Builder
	log := funcr.New(func(_, args string) { logged.WriteString(args) }, funcr.Options{})
	if err := Start(t.Context(), e.config, log, crd.AccessGrants); err != nil {
		t.Fatal(err)
	}
	events, err := fleettest.Use(t, "alpha").Client().EventsV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
		return e.Reason == ReasonNewerDefinition && e.Regarding.Name == "accessgrants.hawser.io" && strings.Contains(e.Note, "v99.0.0")
	}) || !strings.Contains(logged.String(), "v99.0.0") {
		t.Errorf("%d events, and the log %q", len(events.Items), logged.String())
	}
}

func TestADowngradeWarnsAndChangesNothing(t *testing.T) {
	plurals := crd.Entered()
	e := start(t)
	e.upgrade("v0.5.0", plurals...)
	before := e.get(plurals[0]).GetResourceVersion()
	for _, older := range []string{"v0.4.9", "devel"} {
		for _, o := range e.upgrade(older, plurals...) {
			if o.Changed || o.Newer != "v0.5.0" || !strings.Contains(o.Warning(), "v0.5.0") {
				t.Errorf("%s: %+v", older, o)
			}
		}
	}
	if got := e.get(plurals[0]); got.GetResourceVersion() != before || got.GetAnnotations()[v1alpha1.VersionAnnotation] != "v0.5.0" {
		t.Error("it was changed")
	}
	for _, o := range e.upgrade("v0.6.0", plurals...) {
		if !o.Changed {
			t.Errorf("a newer build changes nothing: %+v", o)
		}
	}
}

func TestOfTwoBuildsThatStartTogetherTheNewerWins(t *testing.T) {
	plural := crd.AccessGrants
	e := start(t)
	e.upgrade("v0.3.0", plural)
	versions := []string{"v0.4.0", "v0.5.0", "v0.4.1", "v0.4.2"}
	errs := make(chan error, len(versions))
	for _, own := range versions {
		go func() { // ends by the deadline of the upgrade
			_, err := upgrade(t.Context(), e.config, own, []string{plural})
			errs <- err
		}()
	}
	for range versions {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := e.get(plural).GetAnnotations()[v1alpha1.VersionAnnotation]; got != "v0.5.0" {
		t.Errorf("it says %s", got)
	}
}

// A write that was decided on an older state than there is, is refused: this is what keeps the newest.
func TestAWriteIsDecidedOnWhatIsThere(t *testing.T) {
	plural := crd.TrustedIssuers
	e := start(t)
	e.upgrade("v0.3.0", plural)
	stale := e.get(plural)
	if _, err := e.crds.Patch(t.Context(), stale.GetName(), types.MergePatchType, []byte(`{"metadata":{"annotations":{"x":"y"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	want, err := wanted(plural, "v0.4.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (upgrader{crds: e.crds, own: "v0.4.0"}).write(t.Context(), stale, want); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func must(t *testing.T, plural string) *unstructured.Unstructured {
	t.Helper()
	want, err := wanted(plural, "v0.4.0")
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func jsonOf(t *testing.T, obj *unstructured.Unstructured, path ...string) []byte {
	t.Helper()
	part, _, err := unstructured.NestedSlice(obj.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := (&unstructured.Unstructured{Object: map[string]any{"kind": "x", "part": part}}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
