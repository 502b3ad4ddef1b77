package fleet_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func inNamespace(ns string) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(obj client.Object) bool { return obj.GetNamespace() == ns })
}

func TestEveryKindOfWatch(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	ns := alpha.Namespace(t)
	makeIn(t, beta, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	w := newWorld(t)
	makeIn(t, w.local, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	var got seen
	var mu sync.Mutex
	forms := map[string]bool{}
	err := fleet.NewControllerManagedBy(w.Fleet).
		For(&appsv1.Deployment{}, fleet.WithPredicates(predicate.NewPredicateFuncs(func(obj client.Object) bool { return obj.GetName() != "ignored" }))).
		Owns(&corev1.ConfigMap{}).
		Watches(&corev1.ServiceAccount{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, obj client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: ns, Name: "inside-" + obj.GetName()}}}
		})).
		WatchesAcross(&corev1.Secret{}, func(_ context.Context, c *fleet.Cluster, obj client.Object) []fleet.Request {
			mu.Lock()
			defer mu.Unlock()
			switch obj.(type) {
			case *metav1.PartialObjectMetadata:
				forms["metadata"] = true
			default:
				forms["whole"] = true
			}
			return []fleet.Request{fleet.NewRequest("beta", ns, "across-"+c.Name()+"-"+obj.GetName())}
		}, fleet.OnlyMetadata(), fleet.InClusters(func(c *fleet.Cluster) bool { return c.Name() == "alpha" })).
		WatchesLocal(&corev1.ConfigMap{}, func(_ context.Context, obj client.Object) []fleet.Request {
			return []fleet.Request{fleet.NewRequest("beta", ns, "local-"+obj.GetName()), fleet.NewRequest("", ns, obj.GetName())}
		}).
		WithEventFilter(inNamespace(ns)).
		Complete(&got)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	w.join("alpha", alpha, alpha.Server)
	w.join("beta", beta, beta.Server)

	deployment := func(name string) *appsv1.Deployment {
		labels := map[string]string{"app": name}
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec: appsv1.DeploymentSpec{Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			}},
		}
	}
	for _, c := range []*fleettest.Cluster{alpha, beta} {
		d := deployment("one")
		owned, foreign := configMap(ns, "owned"), configMap(ns, "foreign")
		foreign.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: ns, UID: "x"}}
		makeIn(t, c, d)
		owner := deployment("owner") // it is not there: what comes of it comes from Owns
		owner.UID = "gone"
		if err := controllerutil.SetControllerReference(owner, owned, w.Manager().GetScheme()); err != nil {
			t.Fatal(err)
		}
		makeIn(t, c, owned, deployment("ignored"), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "sa"}},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s"}})
	}
	makeIn(t, w.local, configMap(ns, "here"))
	for _, want := range []fleet.Request{
		fleet.NewRequest("alpha", ns, "one"), fleet.NewRequest("beta", ns, "one"),
		fleet.NewRequest("alpha", ns, "owner"), fleet.NewRequest("beta", ns, "owner"),
		fleet.NewRequest("alpha", ns, "inside-sa"), fleet.NewRequest("beta", ns, "inside-sa"),
		fleet.NewRequest("beta", ns, "across-alpha-s"),
		fleet.NewRequest("beta", ns, "local-here"), fleet.NewRequest("", ns, "here"),
	} {
		eventually(t, want.String(), func() bool { return got.of(want.Cluster, want.Namespace, want.Name) > 0 })
	}
	for _, not := range []fleet.Request{
		fleet.NewRequest("alpha", ns, "ignored"), fleet.NewRequest("beta", ns, "across-beta-s"),
		fleet.NewRequest("alpha", ns, "across-alpha-s"), fleet.NewRequest("alpha", ns, "local-here"),
	} {
		if got.of(not.Cluster, not.Namespace, not.Name) > 0 {
			t.Errorf("%s was reconciled", not)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if !forms["metadata"] || forms["whole"] {
		t.Errorf("Secrets came as %v, want metadata only", forms)
	}
}

func TestAFilterFollowsTheProperties(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns := alpha.Namespace(t)
	w := newWorld(t)
	var got seen
	err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).
		Clusters(func(c *fleet.Cluster) bool { return c.Properties()["tier"] == "prod" }).
		WithEventFilter(inNamespace(ns)).Complete(&got)
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	told := clusterAt("alpha", alpha, alpha.Server, token(t, alpha))
	w.told.set(told)
	c := w.ready("alpha")
	makeIn(t, alpha, configMap(ns, "one"))
	fleettest.Eventually(t, patience, func() error {
		return c.GetClient().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "one"}, &corev1.ConfigMap{})
	})
	if got.all() != 0 {
		t.Error("a cluster that was filtered out is watched")
	}
	told.Properties = map[string]string{"tier": "prod"}
	w.told.set(told)
	eventually(t, "what was there is reconciled", func() bool { return got.of("alpha", ns, "one") == 1 })
	told.Properties = nil
	w.told.set(told)
	eventually(t, "the change is heard", func() bool { return c.Properties() == nil })
	eventually(t, "events come no more", func() bool {
		before := got.all()
		name := strings.ToLower(string(newName()))
		makeIn(t, alpha, configMap(ns, name))
		fleettest.Eventually(t, patience, func() error {
			return c.GetClient().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, &corev1.ConfigMap{})
		})
		return got.all() == before
	})
	if w.ready("alpha") != c {
		t.Error("changed properties have made another cluster")
	}
}

var lastName = 'a'

func newName() string {
	lastName++
	return "n" + string(lastName)
}

// labeler is a reconciler that was written for one cluster.
type labeler struct{ client.Client }

// Reconcile implements reconcile.Reconciler.
func (l labeler) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var found corev1.ConfigMap
	if err := l.Get(ctx, r.NamespacedName, &found); err != nil || found.Labels["seen"] != "" {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	metav1.SetMetaDataLabel(&found.ObjectMeta, "seen", "yes")
	return reconcile.Result{}, l.Update(ctx, &found)
}

func TestAUniformReconcilerRunsInEachCluster(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	w := newWorld(t)
	var mu sync.Mutex
	made := map[string]int{}
	ns := map[string]string{"alpha": alpha.Namespace(t), "beta": beta.Namespace(t)}
	err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}, fleet.WithPredicates(predicate.Or(inNamespace(ns["alpha"]), inNamespace(ns["beta"])))).
		Uniform(func(c *fleet.Cluster) reconcile.Reconciler {
			mu.Lock()
			defer mu.Unlock()
			made[c.Name()]++
			return labeler{c.GetClient()}
		})
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	for name, c := range map[string]*fleettest.Cluster{"alpha": alpha, "beta": beta} {
		w.join(name, c, c.Server)
		makeIn(t, c, configMap(ns[name], "one"), configMap(ns[name], "two"))
		for _, object := range []string{"one", "two"} {
			eventually(t, "the object is labelled", func() bool {
				cm, err := c.Client().CoreV1().ConfigMaps(ns[name]).Get(t.Context(), object, metaGet)
				return err == nil && cm.Labels["seen"] == "yes"
			})
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if made["alpha"] != 1 || made["beta"] != 1 {
		t.Errorf("reconcilers were made %v times", made)
	}
}

func TestAnIndexHoldsForClustersToCome(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	w := newWorld(t, func(o *fleet.Options) {
		o.Cache.DefaultTransform = func(obj any) (any, error) {
			if cm, ok := obj.(*corev1.ConfigMap); ok {
				cm.BinaryData = map[string][]byte{"trimmed": nil}
			}
			return obj, nil
		}
	}).run()
	first := w.join("alpha", alpha, alpha.Server)
	if err := first.GetClient().List(t.Context(), &corev1.ConfigMapList{}); err != nil { // its informer runs
		t.Fatal(err)
	}
	byData := func(obj client.Object) []string {
		if cm, ok := obj.(*corev1.ConfigMap); ok {
			return []string{cm.Data["key"]}
		}
		return nil
	}
	if err := w.IndexField(t.Context(), &corev1.ConfigMap{}, "data.key", byData); err != nil {
		t.Fatal(err)
	}
	if err := w.IndexField(t.Context(), &corev1.ConfigMap{}, "data.key", byData); err == nil {
		t.Error("a field was indexed twice")
	}
	w.join("beta", beta, beta.Server)
	for name, c := range map[string]*fleettest.Cluster{"alpha": alpha, "beta": beta} {
		ns := c.Namespace(t)
		wanted := configMap(ns, "wanted")
		wanted.Data = map[string]string{"key": ns}
		makeIn(t, c, wanted, configMap(ns, "other"))
		eventually(t, "it is found by its field", func() bool {
			var found corev1.ConfigMapList
			err := w.ready(name).GetClient().List(t.Context(), &found, client.MatchingFields{"data.key": ns})
			return err == nil && len(found.Items) == 1 && found.Items[0].BinaryData != nil
		})
	}
}

func TestABuilderRefusesWhatCannotWork(t *testing.T) {
	f, _ := away(t, &told{})
	cases := map[string]struct {
		build func(b *fleet.Builder) *fleet.Builder
		want  string
	}{
		"nothing is watched": {func(b *fleet.Builder) *fleet.Builder { return b.Named("x") }, "watches nothing"},
		"no name": {func(b *fleet.Builder) *fleet.Builder {
			return b.Watches(&corev1.Pod{}, &handler.EnqueueRequestForObject{})
		}, "no name"},
		"For twice":       {func(b *fleet.Builder) *fleet.Builder { return b.For(&corev1.Pod{}).For(&corev1.Node{}) }, "twice"},
		"Owns alone":      {func(b *fleet.Builder) *fleet.Builder { return b.Named("x").Owns(&corev1.Pod{}) }, "Owns goes only with For"},
		"an unknown kind": {func(b *fleet.Builder) *fleet.Builder { return b.For(unknown{&corev1.Pod{}}) }, "finding the kind"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.build(fleet.NewControllerManagedBy(f)).Complete(&seen{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if err := fleet.NewControllerManagedBy(f).For(&corev1.Pod{}).Complete(nil); err == nil {
		t.Error("a controller without a reconciler was made")
	}
}

// unknown is a type that no scheme knows.
type unknown struct{ *corev1.Pod }
