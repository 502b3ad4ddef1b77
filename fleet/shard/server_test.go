package shard_test

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

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// lease is the duration of Leases here, and patience how long a test waits for what should take one of them or two.
const (
	lease    = 4 * time.Second
	patience = 40 * time.Second
)

// group is some replicas, and who of them has which cluster.
type group struct {
	t         *testing.T
	cluster   *fleettest.Cluster
	kube      kubernetes.Interface
	namespace string

	mu    sync.Mutex
	at    map[string]string // cluster → replica
	ended map[string]int
}

func newGroup(t *testing.T) *group {
	t.Helper()
	t.Parallel()
	c := fleettest.Use(t, "primary")
	kube, err := kubernetes.NewForConfig(c.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	return &group{t: t, cluster: c, kube: kube, namespace: c.Namespace(t), at: map[string]string{}, ended: map[string]int{}}
}

// start runs a replica that knows some clusters. It fails the test when two have the same one.
func (g *group) start(name string, cfg *rest.Config, clk clock.WithTickerAndDelayedExecution, clusters ...string) (*shard.Replica, *fleettest.Running) {
	g.t.Helper()
	r, err := shard.New(cfg, shard.Options{Namespace: g.namespace, Replica: name, Times: shard.Times{Duration: lease}, Clock: clk, Log: logr.Discard()})
	if err != nil {
		g.t.Fatal(err)
	}
	r.Handle(shard.Handler{
		Gained: func(c string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if other, taken := g.at[c]; taken {
				g.t.Errorf("%s is given to %s while %s has it", c, name, other)
			}
			g.at[c] = name
		},
		End: func(c string) <-chan struct{} {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.at[c] == name {
				delete(g.at, c)
				g.ended[c]++
			}
			ended := make(chan struct{})
			close(ended)
			return ended
		},
	})
	for _, c := range clusters {
		r.Know(c)
	}
	r.Synced()
	return r, fleettest.Background(g.t, name, r.Start)
}

func (g *group) loads() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return loads(g.at)
}

func (g *group) endings() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range g.ended {
		n += k
	}
	return n
}

// have waits until the replicas have as many clusters as is said.
func (g *group) have(want map[string]int) {
	g.t.Helper()
	fleettest.Eventually(g.t, patience, func() error {
		got := g.loads()
		for r, n := range want {
			if got[r] != n {
				return fmt.Errorf("they have %v", got)
			}
		}
		return nil
	})
}

// write tries to write through a replica's fence, and does not reach any server.
func write(r *shard.Replica) error {
	through := r.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	req, err := http.NewRequest(http.MethodPut, "https://alpha/api/v1/namespaces/x/secrets/y", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	resp, err := through.RoundTrip(req)
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReplicasDivideWhatThereIs(t *testing.T) {
	g, clusters := newGroup(t), clusterNames(30)
	var all []*shard.Replica
	var running []*fleettest.Running
	for i := range 3 {
		r, run := g.start(fmt.Sprintf("hawser-%d", i), g.cluster.AdminConfig(), nil, clusters...)
		all, running = append(all, r), append(running, run)
	}
	g.have(map[string]int{"hawser-0": 10, "hawser-1": 10, "hawser-2": 10})

	ended := g.endings()
	for _, r := range all { // one cluster goes, and no other is stopped
		r.Forget(clusters[7])
	}
	fleettest.Eventually(t, patience, func() error {
		if n := len(clusters) - 1; sum(g.loads()) != n {
			return fmt.Errorf("they have %v", g.loads())
		}
		return nil
	})
	if n := g.endings() - ended; n != 1 {
		t.Errorf("%d clusters were ended when one went", n)
	}

	leader := slices.IndexFunc(all, (*shard.Replica).Leads)
	if leader < 0 {
		t.Fatal("nobody leads")
	}
	begin := time.Now()
	running[leader].Stop()
	if n := sum(g.loads()); n != len(clusters)-1 {
		t.Logf("%d of the clusters are yet to be taken when the leader has left", len(clusters)-1-n)
	}
	fleettest.Eventually(t, patience, func() error {
		if sum(g.loads()) != len(clusters)-1 {
			return fmt.Errorf("they have %v", g.loads())
		}
		return nil
	})
	if took := time.Since(begin); took > lease {
		t.Errorf("the clusters of a leader that leaves were others' after %s", took)
	}
	if _, err := g.kube.CoordinationV1().Leases(g.namespace).Get(t.Context(), "hawser-shard-"+all[leader].Name(), metav1.GetOptions{}); err == nil {
		t.Error("its Lease is still there")
	}
}

func sum(loads map[string]int) (n int) {
	for _, k := range loads {
		n += k
	}
	return n
}

func TestWhileTheAPIServerHangsNothingIsWrittenAndNothingEnds(t *testing.T) {
	g := newGroup(t)
	proxy := g.cluster.HTTPProxy(t)
	r, _ := g.start("hawser-0", behind(g, proxy), nil, clusterNames(5)...)
	g.have(map[string]int{"hawser-0": 5})
	if err := write(r); err != nil {
		t.Fatalf("writing with a fresh Lease: %v", err)
	}

	proxy.BlackHoleHTTP()
	hung := time.Now()
	fleettest.Eventually(t, patience, func() error {
		if err := write(r); !errors.Is(err, shard.ErrFenced) {
			return fmt.Errorf("a write was let through: %w", err)
		}
		return nil
	})
	if took := time.Since(hung); took >= lease {
		t.Errorf("writes went on for %s after renewals began to hang", took)
	}
	// Nobody waits for a server that does not answer.
	begin := time.Now()
	leave, ok := r.Enter("cluster-1")
	if !ok {
		t.Error("the clusters are not its own any more")
	} else {
		leave()
	}
	r.Know("cluster-9")
	r.Forget("cluster-9")
	if took := time.Since(begin); took > time.Second {
		t.Errorf("four calls took %s while the API server hung", took)
	}
	fleettest.Eventually(t, patience, func() error { // until everybody would have been given up
		if since := time.Since(hung); since < 2*lease {
			return fmt.Errorf("it hangs for %s", since)
		}
		return nil
	})
	proxy.RestoreHTTP()
	fleettest.Eventually(t, patience, func() error { return write(r) })
	if n := g.endings(); n > 0 {
		t.Errorf("%d clusters were ended", n)
	}
}

// behind is an admin's way through a proxy.
func behind(g *group, proxy *fleettest.HTTPProxy) *rest.Config {
	cfg := rest.CopyConfig(g.cluster.AdminConfig())
	admin := g.cluster.Token(g.t, g.namespace, "default", time.Hour)
	g.admit()
	return &rest.Config{Host: proxy.URL, BearerToken: admin, TLSClientConfig: rest.TLSClientConfig{CAData: cfg.CAData}}
}

func TestAReplicaWhoseLeaseSomebodyDeletes(t *testing.T) {
	g, clusters := newGroup(t), clusterNames(8)
	g.start("hawser-0", g.cluster.AdminConfig(), nil, clusters...)
	g.start("hawser-1", g.cluster.AdminConfig(), nil, clusters...)
	g.have(map[string]int{"hawser-0": 4, "hawser-1": 4})
	before := g.endings()
	if err := g.kube.CoordinationV1().Leases(g.namespace).Delete(t.Context(), "hawser-shard-hawser-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, func() error {
		if g.endings() < before+4 {
			return errors.New("it has not dropped everything")
		}
		return nil
	})
	g.have(map[string]int{"hawser-0": 4, "hawser-1": 4}) // and comes back

	if err := g.kube.CoreV1().ConfigMaps(g.namespace).Delete(t.Context(), "hawser-shards", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, func() error {
		_, err := g.kube.CoreV1().ConfigMaps(g.namespace).Get(t.Context(), "hawser-shards", metav1.GetOptions{})
		return err
	})
	g.have(map[string]int{"hawser-0": 4, "hawser-1": 4})
}

// skewed is a clock that goes as fast as the real one, and shows something else.
type skewed struct {
	clock.RealClock
	by time.Duration
}

func (s skewed) Now() time.Time { return s.RealClock.Now().Add(s.by) }

func (s skewed) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

func TestClocksNeedNotAgree(t *testing.T) {
	g, clusters := newGroup(t), clusterNames(6)
	var all []*shard.Replica
	for i, by := range []time.Duration{-time.Hour, 0, time.Hour} {
		r, _ := g.start(fmt.Sprintf("hawser-%d", i), g.cluster.AdminConfig(), skewed{by: by}, clusters...)
		all = append(all, r)
	}
	g.have(map[string]int{"hawser-0": 2, "hawser-1": 2, "hawser-2": 2})
	ended, begin := g.endings(), time.Now()
	fleettest.Eventually(t, patience, func() error {
		if since := time.Since(begin); since < 2*lease {
			return fmt.Errorf("only %s have passed", since)
		}
		return nil
	})
	if n := g.endings() - ended; n > 0 {
		t.Errorf("%d clusters changed hands", n)
	}
	for _, r := range all {
		if err := write(r); err != nil {
			t.Errorf("%s: %v", r.Name(), err)
		}
	}
}

func TestNamesThatLookAlikeAreTwo(t *testing.T) {
	g := newGroup(t)
	clusters := []string{"a.b", "a-b", "a/b", "A b", "kind#a.b", "ä"}
	g.start("hawser.0", g.cluster.AdminConfig(), nil, clusters...)
	g.start("hawser-0", g.cluster.AdminConfig(), nil, clusters...)
	g.have(map[string]int{"hawser.0": 3, "hawser-0": 3})
	for _, bad := range []string{"", "Hawser_0", strings.Repeat("x", 201)} {
		if _, err := shard.New(g.cluster.AdminConfig(), shard.Options{Namespace: g.namespace, Replica: bad}); err == nil {
			t.Errorf("a replica may be called %q", bad)
		}
	}
}

// admit lets the namespace's default account do everything in it.
func (g *group) admit() {
	g.t.Helper()
	if err := g.cluster.Apply(context.Background(), []byte(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: everything, namespace: `+g.namespace+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: `+g.namespace+`}]
`)); err != nil {
		g.t.Fatal(err)
	}
}
