package fleet_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

// counting counts the requests that pass.
type counting struct {
	http.RoundTripper
	n *atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

func TestTheConfigurationOfEachClusterCanBeAdjusted(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	proxy := alpha.HTTPProxy(t)
	var calls, requests atomic.Int32
	w := newWorld(t, func(o *fleet.Options) {
		o.RESTConfig = func(cluster string, cfg *rest.Config) {
			calls.Add(1)
			cfg.UserAgent = "ours/" + cluster
			cfg.QPS, cfg.Burst = -1, 0
			cfg.Impersonate.UserName = "somebody"
			cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return counting{rt, &requests} })
		}
	}).run()
	c := w.join("alpha", alpha, proxy.URL)
	err := c.GetAPIReader().List(t.Context(), &corev1.ConfigMapList{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "somebody"`) {
		t.Errorf("as somebody else: %v", err)
	}
	if requests.Load() == 0 || calls.Load() != 1 {
		t.Errorf("%d requests went through what was wrapped around the transport, which was asked for %d times", requests.Load(), calls.Load())
	}
	found := false
	for _, r := range proxy.Requests() {
		found = found || r.UserAgent == "ours/alpha" && r.Path == "/api/v1/configmaps"
	}
	if !found {
		t.Error("the user agent is not the one that was set")
	}
	// The configuration serves whoever makes clients of it, and they fail at once when it is of no use.
	clients, err := kubernetes.NewForConfig(c.GetConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.Discovery().ServerVersion(); err != nil {
		t.Errorf("another client of the same configuration: %v", err)
	}
	proxy.Cut()
	eventually(t, "they fail at once", func() bool {
		_, err := clients.CoreV1().ConfigMaps("default").List(t.Context(), metaList)
		return errors.Is(err, fleet.ErrUnreachable)
	})
}

func TestEventsAreRecordedInTheCluster(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	ns := alpha.Namespace(t)
	w := newWorld(t).run()
	c := w.join("alpha", alpha, alpha.Server)
	makeIn(t, alpha, configMap(ns, "one"))
	var found corev1.ConfigMap
	if err := c.GetAPIReader().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "one"}, &found); err != nil {
		t.Fatal(err)
	}
	c.GetEventRecorder("test").Eventf(&found, nil, corev1.EventTypeNormal, "Tested", "Test", "it is tested")
	eventually(t, "the event is there", func() bool {
		list, err := alpha.Client().CoreV1().Events(ns).List(t.Context(), metaList)
		for i := range list.Items {
			if list.Items[i].Reason == "Tested" {
				return true
			}
		}
		return err != nil
	})
}

func TestAnErrorSaysWhichClusterAndWhy(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	err := error(&fleet.ClusterError{Cluster: "a", Err: fleet.ErrNotReady, Reason: "DialFailed", Message: "nobody there. Repair it: hawser join a", Cause: cause})
	if want := `cluster "a": not ready yet: DialFailed: nobody there. Repair it: hawser join a: dial tcp: refused`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, fleet.ErrNotReady) || !errors.Is(err, cause) || errors.Is(err, fleet.ErrStale) {
		t.Error("it is not what it says")
	}
	if got := fleet.NewRequest("a", "ns", "n").String(); got != "a//ns/n" {
		t.Errorf("a request is written %q", got)
	}
}
