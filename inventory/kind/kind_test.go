package kind_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/kind"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// engine is a kind without containers.
type engine struct {
	mu       sync.Mutex
	clusters map[string]string // kubeconfigs, by name
	err      error             // of List
	errs     map[string]error  // of KubeConfig
	hang     chan struct{}     // List waits for it, if it is not nil
	hangs    map[string]chan struct{}
	gone     map[string]bool // not listed any more; who has the name already gets an answer
	lists    int             // how often List was called
	texts    int             // and KubeConfig
	internal bool            // the last question was
}

func newEngine() *engine {
	return &engine{clusters: map[string]string{}, errs: map[string]error{}, hangs: map[string]chan struct{}{}, gone: map[string]bool{}}
}

// with changes the engine.
func (e *engine) with(change func(*engine)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *engine) List() ([]string, error) {
	e.mu.Lock()
	e.lists++
	hang := e.hang
	e.mu.Unlock()
	if hang != nil {
		<-hang
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	names := slices.Sorted(maps.Keys(e.clusters))
	return slices.DeleteFunc(names, func(name string) bool { return e.gone[name] }), e.err
}

func (e *engine) KubeConfig(name string, internal bool) (string, error) {
	e.mu.Lock()
	hang := e.hangs[name]
	e.internal = internal
	e.texts++
	e.mu.Unlock()
	if hang != nil {
		<-hang
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	text, ok := e.clusters[name]
	if !ok {
		return "", fmt.Errorf("unknown cluster %q", name)
	}
	return text, e.errs[name]
}

func TestConformance(t *testing.T) {
	e := newEngine()
	set := func(_ testing.TB, name string, access inventorytest.Access) {
		e.with(func(e *engine) { e.clusters[name] = string(access.Kubeconfig()) })
	}
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: fleettest.Use(t, "primary"),
		New: func(testing.TB) inventory.Inventory {
			return &kind.Inventory{Provider: e, Interval: 20 * time.Millisecond}
		},
		Add:    set,
		Rotate: set,
		Remove: func(_ testing.TB, name string) { e.with(func(e *engine) { delete(e.clusters, name) }) },
		Break: func(_ testing.TB, name string) {
			e.with(func(e *engine) { e.clusters[name] = "apiVersion: v1\nkind: Config\n" })
		},
	})
}

// kubeconfig is one with a CA and a token.
func kubeconfig(ca, token string) string {
	data, err := json.Marshal(clientcmdapiv1.Config{
		CurrentContext: "kind",
		Contexts:       []clientcmdapiv1.NamedContext{{Name: "kind", Context: clientcmdapiv1.Context{Cluster: "kind", AuthInfo: "kind"}}},
		Clusters:       []clientcmdapiv1.NamedCluster{{Name: "kind", Cluster: clientcmdapiv1.Cluster{Server: "https://127.0.0.1:6443", CertificateAuthorityData: []byte(ca)}}},
		AuthInfos:      []clientcmdapiv1.NamedAuthInfo{{Name: "kind", AuthInfo: clientcmdapiv1.AuthInfo{Token: token}}},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// running is an inventory on a clock of its own.
type running struct {
	*inventorytest.Recorder
	t     *testing.T
	clock *testingclock.FakeClock
}

func run(t *testing.T, i *kind.Inventory) *running {
	t.Helper()
	clock := testingclock.NewFakeClock(time.Unix(1_000_000, 0))
	i.Clock = clock
	return &running{Recorder: inventorytest.Start(t, i), t: t, clock: clock}
}

// interval lets one pass, and waits until what it told so far is what is wanted.
func (r *running) interval(want ...string) {
	r.t.Helper()
	r.clock.Step(kind.DefaultInterval)
	r.until(want...)
}

// told lets intervals pass until what it told so far is what is wanted. A change that comes while an answer is awaited
// is told of the next one.
func (r *running) told(want ...string) {
	r.t.Helper()
	fleettest.Eventually(r.t, 30*time.Second, func() error {
		r.next()
		return r.differs(want)
	})
}

// again lets intervals pass until the engine was asked something twice more, and so has been heard once, and fails where
// more was told than is wanted.
func (r *running) again(e *engine, asked func(*engine) int, want ...string) {
	r.t.Helper()
	times := func() (n int) {
		e.with(func(e *engine) { n = asked(e) })
		return n
	}
	before := times()
	fleettest.Eventually(r.t, 30*time.Second, func() error {
		r.next()
		if n := times() - before; n < 2 {
			return fmt.Errorf("it has asked %d times", n)
		}
		return nil
	})
	if err := r.differs(want); err != nil {
		r.t.Error(err)
	}
}

// forever is patience for as many intervals as a test lets pass while an answer is on its way.
const forever = 1000 * time.Hour

// next lets an interval pass if it waits for one.
func (r *running) next() {
	if r.clock.HasWaiters() {
		r.clock.Step(kind.DefaultInterval)
	}
}

func (r *running) differs(want []string) error {
	var got []string
	for _, e := range r.Events() {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("what it told (-want +got):\n%s", diff)
	}
	return nil
}

func (r *running) until(want ...string) {
	r.t.Helper()
	fleettest.Eventually(r.t, 30*time.Second, func() error { return r.differs(want) })
	fleettest.Eventually(r.t, 30*time.Second, func() error { // for the next step
		if !r.clock.HasWaiters() {
			return errors.New("it does not wait for the next time")
		}
		return nil
	})
}

func TestAClusterMadeAnewUnderItsNameIsAnotherOne(t *testing.T) {
	e := newEngine()
	e.clusters["dev"] = kubeconfig("first CA", "one")
	r := run(t, &kind.Inventory{Provider: e, Patience: forever})
	told := []string{`Set("dev")`, `Synced("")`}
	r.until(told...)
	e.with(func(e *engine) { e.clusters["dev"] = kubeconfig("first CA", "two") })
	told = append(told, `Set("dev")`)
	r.told(told...)
	e.with(func(e *engine) { e.clusters["dev"] = kubeconfig("second CA", "two") })
	told = append(told, `Remove("dev")`, `Set("dev")`)
	r.told(told...)
	r.again(e, func(e *engine) int { return e.texts }, told...) // the same again is not told
	e.with(func(e *engine) { e.gone["dev"] = true })
	r.told(append(told, `Remove("dev")`)...)
}

func TestAPrefixSelectsAndStays(t *testing.T) {
	e := newEngine()
	e.clusters["fleet-a"], e.clusters["other"] = kubeconfig("CA", "one"), kubeconfig("CA", "two")
	r := run(t, &kind.Inventory{Provider: e, Prefix: "fleet-", Internal: true})
	r.until(`Set("fleet-a")`, `Synced("")`)
	e.with(func(e *engine) {
		if !e.internal {
			t.Error("the address inside of the network was asked for")
		}
	})
}

func TestAnEngineThatFailsLeavesWhatWasKnown(t *testing.T) {
	e := newEngine()
	e.clusters["dev"] = kubeconfig("CA", "one")
	r := run(t, &kind.Inventory{Provider: e, Patience: forever})
	told := []string{`Set("dev")`, `Synced("")`}
	r.until(told...)
	e.with(func(e *engine) { e.err = errors.New("is the engine running?") })
	told = append(told, `Fault("", asking kind for its clusters: is the engine running?)`)
	r.told(told...)
	r.again(e, func(e *engine) int { return e.lists }, told...)
	e.with(func(e *engine) { e.err, e.errs["dev"] = nil, errors.New("no control plane") })
	told = append(told, `Fault("", <nil>)`, `Fault("dev", asking kind for the kubeconfig of cluster "dev": no control plane)`)
	r.told(told...)
	e.with(func(e *engine) { delete(e.errs, "dev") })
	r.told(append(told, `Fault("dev", <nil>)`)...)
	if len(r.Clusters()) != 1 {
		t.Errorf("got %v", r.Clusters())
	}
}

func TestAnEngineThatHangsIsAskedOnce(t *testing.T) {
	e := newEngine()
	e.clusters["dev"] = kubeconfig("CA", "one")
	r := run(t, &kind.Inventory{Provider: e, Patience: kind.DefaultInterval})
	told := []string{`Set("dev")`, `Synced("")`}
	r.until(told...)
	hang := make(chan struct{})
	e.with(func(e *engine) { e.hang = hang })
	r.interval(told...)
	fleettest.Eventually(t, 30*time.Second, func() (err error) {
		e.with(func(e *engine) {
			if e.lists != 2 {
				err = errors.New("it has not asked")
			}
		})
		return err
	})
	told = append(told, `Fault("", asking kind for its clusters: no answer within 2s)`)
	r.interval(told...)
	for range 5 {
		r.interval(told...)
	}
	e.with(func(e *engine) {
		if e.lists != 2 {
			t.Errorf("the list was asked for %d times, want once while it is awaited", e.lists-1)
		}
		e.hang = nil
		e.clusters["new"] = kubeconfig("CA", "two")
	})
	close(hang)
	r.until(append(told, `Fault("", <nil>)`, `Set("new")`)...)
}

func TestAClusterThatHangsHoldsUpNoOther(t *testing.T) {
	e := newEngine()
	hang := make(chan struct{})
	e.clusters["hung"], e.clusters["live"] = kubeconfig("CA", "one"), kubeconfig("CA", "two")
	e.hangs["hung"] = hang
	r := run(t, &kind.Inventory{Provider: e, Patience: kind.DefaultInterval})
	told := []string{`Set("live")`}
	r.until(told...)
	told = append(told, `Fault("hung", asking kind for the kubeconfig of cluster "hung": no answer within 2s)`, `Synced("")`)
	r.interval(told...)
	e.with(func(e *engine) { e.clusters["live"] = kubeconfig("CA", "three"); delete(e.clusters, "hung") })
	fleettest.Eventually(t, 30*time.Second, func() error {
		r.clock.Step(kind.DefaultInterval)
		if len(r.Clusters()) != 1 || len(r.Faults()) != 0 {
			return fmt.Errorf("got %v, with %v", r.Clusters(), r.Faults())
		}
		return nil
	})
	close(hang) // what comes now is of a cluster that is gone
	for _, event := range r.Events() {
		if strings.HasPrefix(event.String(), `Set("hung")`) {
			t.Error("a cluster that is gone was told")
		}
	}
}

func TestWithoutAProviderItEnds(t *testing.T) {
	if err := (&kind.Inventory{}).Run(t.Context(), &inventorytest.Recorder{}); err == nil || !strings.Contains(err.Error(), "cluster.NewProvider()") {
		t.Errorf("got %v", err)
	}
}
