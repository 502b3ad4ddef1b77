package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func TestBadMembersHoldUpNobody(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	ns := beta.Namespace(t)
	makeIn(t, alpha, configMap(alpha.Namespace(t), "there"))
	tcp, answerless, dead, slow := alpha.Proxy(t), alpha.HTTPProxy(t), alpha.Proxy(t), alpha.Proxy(t)
	tcp.BlackHoleTCP()
	answerless.BlackHoleHTTP()
	dead.Cut()
	slow.Delay(200 * time.Millisecond)

	w := newWorld(t, func(o *fleet.Options) { o.Connection.ProbeInterval = time.Second })
	if err := w.IndexField(t.Context(), &corev1.ConfigMap{}, "name", func(obj client.Object) []string { return []string{obj.GetName()} }); err != nil {
		t.Fatal(err)
	}
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	good := token(t, alpha)
	for name, server := range map[string]string{"tcp": tcp.URL, "answerless": answerless.URL, "dead": dead.URL, "slow": slow.URL} {
		c := clusterAt(name, alpha, server, good)
		c.Spec.Timeout = 2 * time.Second
		w.told.set(c)
	}
	w.told.set(clusterAt("refused", alpha, alpha.Server, "nonsense"))
	w.told.set(clusterAt("forbidden", alpha, alpha.Server, tokenOf(t, alpha, "nobody", "")))
	w.told.set(clusterAt("good", beta, beta.Server, token(t, beta)))
	began := time.Now()
	w.run()
	makeIn(t, beta, configMap(ns, "one"))
	eventually(t, "the good cluster is reconciled", func() bool { return got.of("good", ns, "one") > 0 })
	took := time.Since(began)
	t.Logf("a good cluster among six bad ones was engaged after %s, with the start of the fleet", took)
	if took > 8*time.Second {
		t.Errorf("a good cluster among bad ones was engaged after %s", took)
	}
	w.ready("slow")

	for name, want := range map[string]error{"tcp": fleet.ErrNotReady, "answerless": fleet.ErrNotReady, "dead": fleet.ErrNotReady, "refused": fleet.ErrUnauthorized} {
		fleettest.Eventually(t, patience, func() error {
			c, err := w.Get(name)
			if c == nil || !errors.Is(err, want) {
				return errors.Join(errors.New("Get "+name), err)
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name the cluster: %v", err)
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			readErr := c.GetClient().List(ctx, &corev1.ConfigMapList{})
			writeErr := c.GetClient().Create(ctx, configMap("default", "never"))
			if took := time.Since(began); took > 5*time.Second || !errors.Is(readErr, want) || !errors.Is(writeErr, want) {
				t.Errorf("%s after %s: reading: %v; writing: %v", name, took, readErr, writeErr)
			}
			return nil
		})
	}
	forbidden := w.ready("forbidden")
	err := forbidden.GetClient().List(t.Context(), &corev1.ConfigMapList{})
	if !errors.Is(err, fleet.ErrUnauthorized) || !apierrors.IsForbidden(err) {
		t.Errorf("reading what is forbidden: %v", err)
	}

	tcp.Restore()
	answerless.RestoreHTTP()
	dead.Restore()
	for _, name := range []string{"tcp", "answerless", "dead", "slow"} {
		c := w.ready(name)
		eventually(t, name+" is engaged", func() bool {
			var found corev1.ConfigMapList
			return c.GetClient().List(t.Context(), &found, client.MatchingFields{"name": "there"}) == nil && len(found.Items) == 1
		})
	}
}

func TestAnotherServerBehindTheNameIsRefused(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	ns := alpha.Namespace(t)
	makeIn(t, alpha, configMap(ns, "one"))
	w := newWorld(t).run()
	c := w.join("alpha", alpha, alpha.Server)
	read := func(c *fleet.Cluster) error {
		return c.GetClient().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "one"}, &corev1.ConfigMap{})
	}
	if err := read(c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its ID is known", func() bool { return c.ID() != "" })

	other := clusterAt("alpha", beta, beta.Server, token(t, beta))
	w.told.set(other)
	eventually(t, "the other one is looked at", func() bool {
		for _, condition := range c.State().Conditions {
			if strings.Contains(condition.Message, connection.ErrWrongCluster.Error()) {
				return true
			}
		}
		return false
	})
	if got, err := w.Get("alpha"); got != c || err != nil {
		t.Errorf("Get after a mistaken change: %v", err)
	}
	if err := read(c); err != nil {
		t.Errorf("reading after a mistaken change: %v", err)
	}

	id := beta.Client().CoreV1().Namespaces()
	system, err := id.Get(t.Context(), "kube-system", metaGet)
	if err != nil {
		t.Fatal(err)
	}
	other.Spec.ClusterID = string(system.UID)
	w.told.set(other)
	<-c.Done()
	replaced := w.ready("alpha")
	if err := read(replaced); !apierrors.IsNotFound(err) {
		t.Errorf("the new cluster has the cache of the old one: %v", err)
	}
	if !errors.Is(read(c), fleet.ErrNotFound) {
		t.Errorf("the cluster that has left still reads: %v", read(c))
	}
}

func TestAFlappingMember(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns := alpha.Namespace(t)
	proxy := alpha.Proxy(t)
	w := newWorld(t)
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("alpha", alpha, proxy.URL)
	for _, name := range []string{"one", "two", "three"} {
		proxy.Cut()
		makeIn(t, alpha, configMap(ns, name))
		proxy.Restore()
		proxy.DropConnections()
		eventually(t, name+" is reconciled", func() bool { return got.of("alpha", ns, name) > 0 })
	}
	if w.ready("alpha") != c {
		t.Error("flapping has made another cluster")
	}
}

func TestAReadOfAKindThatIsNotThere(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	proxy := alpha.HTTPProxy(t)
	w := newWorld(t, func(o *fleet.Options) {
		o.Cache.MetadataOnly = []client.Object{&corev1.Secret{}}
		o.Cache.ReaderFailOnMissingInformer = true
	})
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.Secret{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("alpha", alpha, proxy.URL)
	if err := c.GetClient().List(t.Context(), &corev1.ConfigMapList{}); err == nil || !strings.Contains(err.Error(), "is not cached") {
		t.Errorf("reading what nobody has asked to be cached: %v", err)
	}
	if err := c.GetClient().List(t.Context(), &corev1.SecretList{}); err == nil || !strings.Contains(err.Error(), "PartialObjectMetadata") {
		t.Errorf("reading whole objects of which the metadata is cached: %v", err)
	}
	fleettest.Eventually(t, patience, func() error { return c.GetClient().List(t.Context(), secretsMetadata()) })
	for _, r := range proxy.Requests() {
		if r.Method == http.MethodGet && strings.HasSuffix(r.Path, "/configmaps") {
			t.Errorf("asked for %s", r.Path)
		}
	}
}
