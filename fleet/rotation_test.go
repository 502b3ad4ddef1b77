package fleet_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

// revoked answers 401 to tokens that are not good any more, at once: an API server needs ten seconds to
// forget one.
type revoked struct {
	mu     sync.Mutex
	tokens []string
}

func (r *revoked) add(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = append(r.tokens, "Bearer "+token)
}

func (r *revoked) match(req *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.tokens, req.Header.Get("Authorization"))
}

const configMapsPath = "/api/v1/configmaps"

// lists counts what reads all ConfigMaps: LISTs, and watches that begin with what is there.
func lists(p *fleettest.HTTPProxy) (n int) {
	for _, r := range p.Requests() {
		if r.Path == configMapsPath && (r.Query.Get("watch") == "" || r.Query.Get("sendInitialEvents") == "true") {
			n++
		}
	}
	return n
}

// reopened counts the watches on ConfigMaps that began after a moment and were answered.
func reopened(p *fleettest.HTTPProxy, since time.Time) (n int) {
	for _, w := range p.Watches() {
		if w.Path == configMapsPath && w.Started.After(since) && w.Status == http.StatusOK {
			n++
		}
	}
	return n
}

func TestARotationIsNotNoticed(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns := alpha.Namespace(t)
	proxy := alpha.HTTPProxy(t)
	w := newWorld(t)
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).WithEventFilter(inNamespace(ns)).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	old := token(t, alpha)
	w.told.set(clusterAt("alpha", alpha, proxy.URL, old))
	c := w.ready("alpha")
	makeIn(t, alpha, configMap(ns, "one"))
	eventually(t, "it is reconciled", func() bool { return got.of("alpha", ns, "one") > 0 })

	var dead revoked
	proxy.Fail(http.StatusUnauthorized, dead.match)
	proxy.ForceWatchTimeout(time.Second)
	proxy.DropConnections() // the watches that are open would go on for minutes
	eventually(t, "the short watch", func() bool { return reopened(proxy, time.Now().Add(-time.Second)) > 0 })
	at := time.Now()
	eventually(t, "all is at rest", func() bool { return reopened(proxy, at) >= 2 })
	before, reconciles := lists(proxy), got.all()
	for range 3 {
		next := token(t, alpha)
		w.told.set(clusterAt("alpha", alpha, proxy.URL, next))
		eventually(t, "the new credential is in use", func() bool { return c.State().RenewedAt.After(at) })
		dead.add(old)
		old, at = next, time.Now()
		eventually(t, "watches begin with it", func() bool { return reopened(proxy, at) >= 1 })
		if err := c.Err(); err != nil {
			t.Errorf("during a rotation: %v", err)
		}
	}
	if n := lists(proxy) - before; n != 0 {
		t.Errorf("%d lists because of rotations", n)
	}
	if n := got.all() - reconciles; n != 0 {
		t.Errorf("%d reconciles because of rotations", n)
	}
	if again := w.ready("alpha"); again != c {
		t.Error("a rotation has made another cluster")
	}
	makeIn(t, alpha, configMap(ns, "two"))
	eventually(t, "what comes later is reconciled", func() bool { return got.of("alpha", ns, "two") > 0 })
}
