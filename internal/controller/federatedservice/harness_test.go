package federatedservice_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/rbac"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "home", "alpha", "beta"))
}

const patience = 30 * time.Second

// shifted is the real clock, some time ahead.
type shifted struct {
	clock.RealClock
	ahead *atomic.Int64
}

func (s shifted) Now() time.Time                  { return time.Now().Add(time.Duration(s.ahead.Load())) }
func (s shifted) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

// world is three clusters, and a namespace in each.
type world struct {
	t         *testing.T
	namespace string
	admin     map[string]client.Client
	config    map[string]*rest.Config // as the manager at home, and the connection elsewhere
	proxy     map[string]*fleettest.Proxy
	ahead     atomic.Int64
	events    eventLog
	failures  atomic.Pointer[string] // the last that the controller logged
}

func (w *world) logged(_, line string) {
	if strings.Contains(line, `"error"=`) {
		w.failures.Store(&line)
	}
}

var worlds atomic.Int32

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, namespace: fmt.Sprintf("shop-%d", worlds.Add(1)), admin: map[string]client.Client{}, config: map[string]*rest.Config{}, proxy: map[string]*fleettest.Proxy{}}
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if err := mcs.Install(scheme); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"home", "alpha", "beta"} {
		c := fleettest.Use(t, name)
		if w.admin[name], err = client.New(c.AdminConfig(), client.Options{Scheme: scheme}); err != nil {
			t.Fatal(err)
		}
		w.create(name, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = w.admin[name].Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
		})
		w.install(name, c)
	}
	return w
}

// tokens by cluster: what is installed there is so for all tests.
var tokens sync.Map

// install gives the manager, or the connection, exactly the rights that we ship.
func (w *world) install(name string, c *fleettest.Cluster) {
	w.t.Helper()
	w.proxy[name] = c.Proxy(w.t)
	if token, found := tokens.Load(name); found {
		w.config[name] = w.proxy[name].Through(c.TokenConfig(token.(string)))
		return
	}
	namespace, account := v1alpha1.Namespace, rbac.Account
	apply := func(text []byte, err error) {
		if err == nil {
			err = c.Apply(w.t.Context(), text)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if name == "home" {
		for _, f := range rbac.Features() {
			if f.Name == "manager" || f.Name == "endpoints" {
				apply(f.YAML(), nil)
			}
		}
	} else {
		namespace, account = v1alpha1.MemberNamespace("home"), v1alpha1.MemberServiceAccount
		apply(member.YAML(member.Objects(member.Options{Local: "home", Version: "v0.0.0-test", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})))
	}
	tokens.Store(name, c.Token(w.t, namespace, account, time.Hour))
	token, _ := tokens.Load(name)
	w.config[name] = w.proxy[name].Through(c.TokenConfig(token.(string)))
}

func (w *world) create(cluster string, o client.Object) {
	w.t.Helper()
	if err := w.admin[cluster].Create(w.t.Context(), o); err != nil {
		w.t.Fatalf("creating %T %s in %s: %v", o, o.GetName(), cluster, err)
	}
}

func (w *world) remove(cluster string, o client.Object) {
	w.t.Helper()
	if err := w.admin[cluster].Delete(w.t.Context(), o); err != nil {
		w.t.Fatalf("deleting %T %s in %s: %v", o, o.GetName(), cluster, err)
	}
}

func (w *world) get(cluster, name string, o client.Object) error {
	return w.admin[cluster].Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, o)
}

func change[T client.Object](w *world, cluster, name string, o T, f func(T)) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		if err := w.get(cluster, name, o); err != nil {
			return err
		}
		f(o)
		return w.admin[cluster].Update(w.t.Context(), o)
	})
}

// start runs a controller, until the test ends or it is stopped.
func (w *world) start(options ...func(*federatedservice.Options)) (*federatedservice.Controller, *fleettest.Running) {
	w.t.Helper()
	c := w.controller(options...)
	return c, w.run(c)
}

func (w *world) controller(options ...func(*federatedservice.Options)) *federatedservice.Controller {
	w.t.Helper()
	o := federatedservice.Options{
		Local: "home", Config: w.config["home"], Events: &w.events, Clock: shifted{ahead: &w.ahead}, Log: funcr.New(w.logged, funcr.Options{}),
		Known:  func(context.Context, string) (bool, error) { return true, nil },
		Window: 20 * time.Millisecond, Grace: 300 * time.Millisecond, Lag: 300 * time.Millisecond, Look: 200 * time.Millisecond,
	}
	for _, f := range options {
		f(&o)
	}
	c, err := federatedservice.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) run(c *federatedservice.Controller) *fleettest.Running {
	w.t.Helper()
	return fleettest.Background(w.t, "the controller", func(ctx context.Context) error {
		defer c.Clusters().Close()
		return c.Start(ctx)
	})
}

// follow tells a controller of clusters.
func (w *world) follow(c *federatedservice.Controller, clusters ...string) {
	w.t.Helper()
	for _, name := range clusters {
		w.followAs(c, name, w.id(name), w.config[name])
	}
}

// restore lets requests to a cluster through again. Its probe tells the controller.
func (w *world) restore(c *federatedservice.Controller, clusters ...string) {
	for _, name := range clusters {
		w.proxy[name].Restore()
		c.Clusters().Doubt(name, endpoint.Gap{})
	}
}

// id of a cluster.
func (w *world) id(cluster string) string {
	w.t.Helper()
	var system corev1.Namespace
	if err := w.admin[cluster].Get(w.t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		w.t.Fatal(err)
	}
	return string(system.UID)
}

func (w *world) followAs(c *federatedservice.Controller, name, id string, config *rest.Config) {
	w.t.Helper()
	bounds, err := endpoint.ParseBounds([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		w.t.Fatal(err)
	}
	bounds.Local = name == "home"
	if err := c.Clusters().Follow(context.WithoutCancel(w.t.Context()), endpoint.Cluster{Name: name, ID: id, Local: name == "home", Config: config, Bounds: bounds}); err != nil {
		w.t.Fatal(err)
	}
}

// backing makes a Service without a selector, with one slice.
func (w *world) backing(cluster, name string, addresses ...string) {
	w.t.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: map[string]string{"app": "db"}}}
	s.Spec.Ports = []corev1.ServicePort{{Name: "sql", Port: 5432}, {Name: "metrics", Port: 9100}}
	w.create(cluster, s)
	e := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: name}}, AddressType: discoveryv1.AddressTypeIPv4}
	e.Ports = []discoveryv1.EndpointPort{{Name: new("sql"), Port: new(int32(15432))}, {Name: new("metrics"), Port: new(int32(19100))}}
	e.Endpoints = endpointsOf(addresses)
	w.create(cluster, e)
}

// unbacked takes away what backing made.
func (w *world) unbacked(cluster, name string) {
	w.t.Helper()
	w.remove(cluster, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}})
	w.remove(cluster, &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name + "-x"}})
}

// endpointsOf makes endpoints of addresses; a ! at the end is one that is not ready.
func endpointsOf(addresses []string) []discoveryv1.Endpoint {
	var all []discoveryv1.Endpoint
	for _, a := range addresses {
		addr, not := strings.CutSuffix(a, "!")
		all = append(all, discoveryv1.Endpoint{Addresses: []string{addr}, Conditions: discoveryv1.EndpointConditions{Ready: new(!not)}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "p"}})
	}
	return all
}

func (w *world) endpoints(cluster, name string, addresses ...string) {
	w.t.Helper()
	change(w, cluster, name+"-x", &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) { e.Endpoints = endpointsOf(addresses) })
}

// federated makes a Service that selects.
func (w *world) federated(name string, annotations ...string) {
	w.t.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Annotations: map[string]string{service.SelectorAnnotation: `app == "db"`}}}
	for i := 0; i < len(annotations); i += 2 {
		s.Annotations[annotations[i]] = annotations[i+1]
	}
	s.Spec.Ports = []corev1.ServicePort{{Name: "sql", Port: 1}}
	w.create("home", s)
}

// slices of ours in the namespace.
func (w *world) slices() []discoveryv1.EndpointSlice {
	w.t.Helper()
	var all discoveryv1.EndpointSliceList
	if err := w.admin["home"].List(w.t.Context(), &all, client.InNamespace(w.namespace), client.MatchingLabels{discoveryv1.LabelManagedBy: service.ManagedBy}); err != nil {
		w.t.Fatal(err)
	}
	return all.Items
}

// written is what stands in slices of ours, sorted: of which Service and cluster, with which ports, which addresses.
func (w *world) written() string {
	w.t.Helper()
	found := map[string][]string{}
	for _, s := range w.slices() {
		var ports []string
		for _, p := range s.Ports {
			ports = append(ports, fmt.Sprintf("%s:%d", *p.Name, *p.Port))
		}
		slices.Sort(ports)
		name := s.Labels[discoveryv1.LabelServiceName]
		if im := s.Labels[mcs.LabelServiceName]; im != "" {
			name = "import " + im
		}
		key := fmt.Sprintf("%s of %s %s", name, s.Labels[mcs.LabelSourceCluster], strings.Join(ports, ","))
		for _, e := range s.Endpoints {
			mark := ""
			if !*e.Conditions.Ready {
				mark = "!"
			}
			found[key] = append(found[key], e.Addresses[0]+mark)
		}
		if len(s.Endpoints) == 0 {
			found[key] = append(found[key], "-")
		}
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[key])
		all = append(all, key+" = "+strings.Join(found[key], " "))
	}
	return strings.Join(all, "\n")
}

// is waits until exactly this is written.
func (w *world) is(lines ...string) {
	w.t.Helper()
	want := strings.Join(lines, "\n")
	fleettest.Eventually(w.t, patience, func() error {
		if got := w.written(); got != want {
			return fmt.Errorf("written is\n%s\nand not\n%s", got, want)
		}
		return nil
	})
}

// condition waits for the condition of a Service, and a part of its message.
func (w *world) condition(name string, status metav1.ConditionStatus, reason, part string) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		var s corev1.Service
		if err := w.get("home", name, &s); err != nil {
			return err
		}
		return conditionIs(s.Status.Conditions, service.ConditionFederated, status, reason, part)
	})
}

func conditionIs(all []metav1.Condition, kind string, status metav1.ConditionStatus, reason, part string) error {
	for _, c := range all {
		if c.Type == kind && c.Status == status && c.Reason == reason && strings.Contains(c.Message, part) {
			return nil
		}
	}
	return fmt.Errorf("the conditions are %+v, without %s %s %s %q", all, kind, status, reason, part)
}

// still fails if anything is written within a moment.
func (w *world) still(what func() string) {
	w.t.Helper()
	before := what()
	ctx, cancel := context.WithTimeout(w.t.Context(), 400*time.Millisecond)
	defer cancel()
	err := fleettest.Until(ctx, 50*time.Millisecond, func() error {
		if after := what(); after != before {
			w.t.Fatalf("it is written\n%s\nafter\n%s", after, before)
		}
		return errors.New("nothing is written")
	})
	if err == nil {
		w.t.Fatal("unreachable")
	}
}

// calm waits until nothing is written for a while.
func (w *world) calm(what func() string) {
	w.t.Helper()
	last, since := "", time.Now()
	fleettest.Eventually(w.t, patience, func() error {
		if now := what(); now != last {
			last, since = now, time.Now()
		}
		if quiet := time.Since(since); quiet < 500*time.Millisecond { // longer than anything here waits that has not failed
			return fmt.Errorf("for %s nothing is written", quiet)
		}
		return nil
	})
}

// versions are the names of all slices of ours with their resourceVersions.
func (w *world) versions() string {
	var all []string
	for _, s := range w.slices() {
		all = append(all, s.Name+" "+s.ResourceVersion)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// eventLog keeps events.
type eventLog struct {
	mu  sync.Mutex
	all []string
}

func (l *eventLog) Eventf(about, _ runtime.Object, kind, reason, _, note string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := ""
	if o, ok := about.(metav1.Object); ok {
		name = o.GetName()
	}
	l.all = append(l.all, fmt.Sprintf("%s %s %s: %s", kind, name, reason, fmt.Sprintf(note, args...)))
}

// event waits for one that says so.
func (w *world) event(part string) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, func() error {
		w.events.mu.Lock()
		defer w.events.mu.Unlock()
		if slices.ContainsFunc(w.events.all, func(e string) bool { return strings.Contains(e, part) }) {
			return nil
		}
		return fmt.Errorf("there is no event %q among %q", part, w.events.all)
	})
}
