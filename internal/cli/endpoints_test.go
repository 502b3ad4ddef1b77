package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/manager"
)

// field is a fleet with endpoints: a local cluster, which is in it, and alpha, with a namespace of the same name in both.
type field struct {
	*desk
	namespace string
	port      int              // that the manager answers at
	proxy     *fleettest.Proxy // in front of alpha
}

func newField(t *testing.T) *field {
	t.Helper()
	home := homes.Take(t)
	primary := fleettest.Use(t, home)
	primary.Install(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml", "../../config/endpoints/rbac.yaml")
	f := &field{desk: &desk{t: t, local: fmt.Sprintf("desk-%d", desks.Add(1)), home: home, here: asAdmin(t, home)}, port: freePort(t)}
	t.Cleanup(func() { // after the manager, which makes it again while it runs
		f.removeClusters()
		_ = f.here.Client.Delete(context.Background(), &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: f.local}})
	})
	fleettest.Background(t, "the manager", func(ctx context.Context) error {
		return manager.Run(ctx, manager.Options{
			ClusterName: f.local, ProbeInterval: time.Second, MetricsAddr: "0", ProbeAddr: "0",
			Endpoints: true, QueryAddr: net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)),
			Config: primary.TokenConfig(primary.Token(t, v1alpha1.Namespace, "hawser", time.Hour)), Log: logr.Discard(),
		})
	})
	t.Cleanup(f.removeClusters)
	fleettest.Eventually(t, patience, func() error {
		_, err := getCluster(t.Context(), f.here.Client, f.local)
		return err
	})
	f.namespace = "shop-" + f.local
	for _, name := range []string{"primary", "alpha"} {
		f.make(f.admin(name), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace, Labels: map[string]string{"team": "shop"}}})
	}
	f.proxy = fleettest.Use(t, "alpha").Proxy(t)
	f.must("join", "alpha", "--remote-context", "alpha", "--server", f.proxy.URL, "--capabilities", "endpoints", "--endpoint-cidrs", "10.4.0.0/16")
	f.pod("primary", "front", "10.1.0.1", "app=front")
	f.pod("alpha", "web-1", "10.4.0.1", "app=web")
	f.pod("alpha", "web-2", "10.4.0.2", "app=web", "canary=yes")
	return f
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (f *field) admin(context string) *cluster {
	f.t.Helper()
	return reach(f.t, f.use(context).AdminConfig())
}

// make makes an object that goes when the test ends.
func (f *field) make(there *cluster, o client.Object) {
	f.t.Helper()
	if err := there.Client.Create(f.t.Context(), o); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return
		}
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = there.Client.Delete(ctx, o, client.GracePeriodSeconds(0))
	})
}

// pod makes a pod that runs, as far as the API server knows.
func (f *field) pod(cluster, name, ip string, labels ...string) {
	f.t.Helper()
	there := f.admin(cluster)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		p.Labels[key] = value
	}
	fleettest.Eventually(f.t, patience, func() error { // its service account is being made
		return client.IgnoreAlreadyExists(there.Client.Create(f.t.Context(), p.DeepCopy()))
	})
	if err := there.Client.Get(f.t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		f.t.Fatal(err)
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if err := there.Client.Status().Update(f.t.Context(), p); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = there.Client.Delete(ctx, p, client.GracePeriodSeconds(0))
	})
}

// says runs a command and returns what it printed, with names in the place of those that differ from run to run.
func (f *field) says(args ...string) outcome {
	f.t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "SHOP", f.namespace)
	}
	return f.named(f.run(args...))
}

func (f *field) named(got outcome) outcome {
	f.t.Helper()
	name := strings.NewReplacer(f.namespace, "SHOP", f.local, "HOME", f.get("alpha").Status.ClusterID, "ALPHA-ID", f.get(f.local).Status.ClusterID, "HOME-ID")
	return outcome{name.Replace(got.Out), name.Replace(got.Err), got.Code}
}

// scoped is a selector of the test's own namespace.
func (f *field) scoped(text string) string {
	return `projectcalico.org/namespace == "SHOP" && ` + text
}

func TestEndpointsAreAskedFor(t *testing.T) {
	f := newField(t)
	policy := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "front"}}
	policy.Spec.Selector = `app == "front"`
	policy.Spec.Clusters = v1alpha1.ClusterScope{All: true}
	policy.Spec.Ingress = []v1alpha1.FederatedRule{
		{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new(`app == "web"`), NotSelector: new(`has(canary)`)}},
		{Action: "Allow", Source: &v1alpha1.FederatedPeer{Nets: []string{"10.4.0.0/31"}}},
	}
	f.make(f.here, policy)
	f.make(f.here, &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Spec: v1alpha1.EndpointSetSpec{
		Selector: `pcns.team == "shop" && has(canary)`, Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
	}})

	for _, test := range []struct {
		name string
		args []string
		want outcome
	}{
		{"eval", []string{"endpoints", "eval", f.scoped(`has(app)`), "--from", "self"}, outcome{Out: `Endpoints matching selector projectcalico.org/namespace == "SHOP" && has(app):
  Workload endpoint node-1/k8s/SHOP.front/eth0
  Workload endpoint alpha/node-1/k8s/SHOP.web-1/eth0
  Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0
`}},
		{"eval of nothing", []string{"endpoints", "eval", f.scoped(`app == "nobody"`), "--from", "self"}, outcome{Out: `Endpoints matching selector projectcalico.org/namespace == "SHOP" && app == "nobody":
`}},
		{"set", []string{"endpoints", "set", "SHOP", "--from", "self"}, outcome{Out: `Endpoints in EndpointSet "SHOP" (selector "pcns.team == "shop" && has(canary)"):
  Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0
`}},
		{"explain", []string{"endpoints", "explain", "alpha/SHOP/web-2", "--from", "self"}, outcome{Out: `Policies and profiles for endpoints matching "alpha/SHOP/web-2":
Workload endpoint alpha/k8s/SHOP.web-2/eth0
  Profiles:
    Profile "alpha/kns.SHOP"
    Profile "alpha/ksa.SHOP.default"
  Endpoint sets:
    EndpointSet "SHOP" (selector "(pcns.team == "shop" && has(canary))")
  Rule matches:
    Policy "SHOP/front" inbound rule 1 source match; selector "(projectcalico.org/namespace == "SHOP" && app == "web")"
    Policy "SHOP/front" inbound rule 1 !source match; selector "has(canary)"
`}},
		{"host, with why", []string{"endpoints", "host", "node-1", "--from", "self", "-o", "wide"}, outcome{Out: `Policies and profiles for each endpoint on host "node-1":
Workload endpoint k8s/SHOP.front/eth0
  Cluster HOME, node node-1, addresses 10.1.0.1, live
  Policies:
    Policy "SHOP/front" (selector "(projectcalico.org/namespace == "SHOP" && app == "front")"); because app=front, projectcalico.org/namespace=SHOP
  Profiles:
    Profile "kns.SHOP"
    Profile "ksa.SHOP.default"
`}},
		{"policy", []string{"policy", "explain", "front", "-n", "SHOP", "--from", "self"}, outcome{Out: `Policy "SHOP/front" applies to these endpoints:
  Workload endpoint node-1/k8s/SHOP.front/eth0; selector "(projectcalico.org/namespace == "SHOP" && app == "front")"

Endpoints matching Policy "SHOP/front" rules:
  Workload endpoint alpha/node-1/k8s/SHOP.web-1/eth0
    inbound rule 1 source match; selector "(projectcalico.org/namespace == "SHOP" && app == "web")"
  Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0
    inbound rule 1 source match; selector "(projectcalico.org/namespace == "SHOP" && app == "web")"
    inbound rule 1 !source match; selector "has(canary)"
  Any address
    inbound rule 2 source match; nets 10.4.0.0/31
`}},
		{"a host that is not there", []string{"endpoints", "host", "nowhere", "--from", "self"}, outcome{Out: `Policies and profiles for each endpoint on host "nowhere":
`, Err: `there is no endpoint on host nowhere in cluster "HOME": either there is no such node, or neither it nor its pods have addresses that count
`, Code: exitFailed}},
		{"a pod that is not there", []string{"endpoints", "explain", "SHOP/nobody", "--from", "self"}, outcome{Out: `Policies and profiles for endpoints matching "SHOP/nobody":
`, Err: `there is no endpoint SHOP/nobody in cluster "HOME": a pod counts once it has an address, unless it uses its host's network or has ended
`, Code: exitFailed}},
		{"json", []string{"endpoints", "eval", f.scoped(`has(canary)`), "--from", "self", "-o", "json"}, outcome{Out: `{
  "from": "self",
  "clusters": [
    {
      "name": "alpha",
      "id": "ALPHA-ID",
      "local": false,
      "synced": true
    },
    {
      "name": "HOME",
      "id": "HOME-ID",
      "local": true,
      "labels": {
        "app.kubernetes.io/managed-by": "hawser"
      },
      "synced": true
    }
  ],
  "gaps": [],
  "selector": "projectcalico.org/namespace == \"SHOP\" && has(canary)",
  "endpoints": [
    {
      "id": "alpha/node-1/k8s/SHOP.web-2/eth0",
      "cluster": "alpha",
      "local": false,
      "kind": "Pod",
      "namespace": "SHOP",
      "name": "web-2",
      "node": "node-1",
      "serviceAccount": "default",
      "addresses": [
        "10.4.0.2"
      ],
      "labels": {
        "app": "web",
        "canary": "yes",
        "hawser.io/cluster": "alpha",
        "hawser.io/cluster-id": "ALPHA-ID",
        "pcns.kubernetes.io/metadata.name": "SHOP",
        "pcns.projectcalico.org/name": "SHOP",
        "pcns.team": "shop",
        "pcsa.projectcalico.org/name": "default",
        "projectcalico.org/namespace": "SHOP",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "default"
      }
    }
  ],
  "warnings": []
}
`}},
		{"a malformed selector", []string{"endpoints", "eval", `app = "web"`}, outcome{Err: `hawser: parsing the selector at column 5: expected ==, !=, in, not in, contains, starts with or ends with after the label "app", found a single = (equality is written ==)
app = "web"
    ^
See ` + "`hawser endpoints eval --help`.\n", Code: exitUsage}},
		{"a set, and a cluster that it does not select", []string{"endpoints", "set", "SHOP", "--cluster", f.local, "--from", "self"}, outcome{
			Err: "hawser: cluster \"HOME\" is not among the clusters that it selects\n", Code: exitFailed}},
		{"a cluster that is not there", []string{"endpoints", "eval", "all()", "--cluster", "gone"}, outcome{Err: "hawser: there is no RemoteCluster \"gone\": hawser clusters lists them\nSee `hawser endpoints eval --help`.\n", Code: exitUsage}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, f.says(test.args...)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}

	t.Run("eval, with more about each", func(t *testing.T) {
		got := f.says("endpoints", "eval", f.scoped(`app == "web"`), "--cluster", "alpha", "--from", "self", "-o", "wide")
		lines := strings.Split(got.Out, "\n")
		want := "Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0 alpha 10.4.0.2 node-1 default live"
		if len(lines) != 5 || strings.Join(strings.Fields(lines[3]), " ") != want || strings.Fields(lines[1])[2] != "ADDRESSES" {
			t.Errorf("it prints\n%s", got.Out)
		}
	})
	t.Run("what the manager could not make of a policy", func(t *testing.T) { f.askForWhatIsWithheld(t) })
	t.Run("in every shape", func(t *testing.T) { f.askInEveryShape(t) })
	t.Run("clusters that nobody is to ask", func(t *testing.T) { f.askBesideOthers(t) })
	t.Run("addresses", func(t *testing.T) { f.checkAddresses(t) })
	t.Run("sets that cannot be read", func(t *testing.T) { f.askForBrokenSets(t) })

	// What is missing is named, in the words of calicoq, and changes the exit code.
	f.pod("alpha", "outside", "10.5.0.9", "app=web")
	f.pod("primary", "twin", "10.4.0.1", "app=twin")
	f.make(f.here, &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "dead"}, Spec: v1alpha1.RemoteClusterSpec{
		Server: "https://127.0.0.1:1", Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, EndpointCIDRs: []string{"10.6.0.0/16"},
	}})
	t.Run("gaps", func(t *testing.T) {
		got := f.says("endpoints", "eval", f.scoped(`app == "web"`), "--from", "self")
		if got.Code != exitFailed || strings.Count(got.Out, "\n") != 3 {
			t.Errorf("exit code %d, and it prints\n%s", got.Code, got.Out)
		}
		wantText(t, "stderr", got.Err, "The following problems were encountered connecting to the remote clusters\nwhich may have resulted in incomplete data:\n",
			"-  RemoteCluster(alpha): addresses that other clusters have, too, as 10.4.0.1 of pod SHOP/web-1 and of pod SHOP/twin in cluster HOME\n",
			"-  RemoteCluster(alpha): addresses outside of spec.endpointCIDRs, as 10.5.0.9 of pod SHOP/outside\n", "-  RemoteCluster(dead): connection to remote cluster failed: ")

		// IPPools of another cluster do not depend on it, nor on sets that cannot be read.
		pools := f.says("check", "addresses", "--manifests", "alpha")
		if pools.Code != exitOK || !strings.Contains(pools.Err, "Note: not heard of, and so known by endpointCIDRs alone: dead\n") || strings.Contains(pools.Err, "-  ") {
			t.Errorf("exit code %d of what concerns no pool: %s", pools.Code, pools.Err)
		}
	})
	t.Run("what does not answer in time", func(t *testing.T) {
		f.proxy.BlackHoleTCP()
		defer f.proxy.Restore()
		got := f.says("endpoints", "eval", f.scoped(`app == "web"`), "--cluster", "alpha", "--from", "self", "--timeout", "1s")
		if got.Code != exitFailed {
			t.Errorf("exit code %d", got.Code)
		}
		wantText(t, "stderr", got.Err, "-  RemoteCluster(alpha): connection to remote cluster failed: ")
	})
	t.Run("the manager", func(t *testing.T) { f.askTheManager(t) })
}

// askForWhatIsWithheld asks for a policy of which the status says that a rule allows no local pod. The manager that runs
// here has the say over the one that is stored.
func (f *field) askForWhatIsWithheld(t *testing.T) {
	const why = "it takes pod shop/front away by the address alone"
	say := func(p *v1alpha1.FederatedNetworkPolicy) {
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOutputsRefused,
			ObservedGeneration: p.Generation, Message: "it: spec.ingress[0].source.notSelector: " + why}}
	}
	here := *f.here
	here.Client = interceptor.NewClient(f.here.Client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, o, options...)
			if p, ok := o.(*v1alpha1.FederatedNetworkPolicy); ok {
				say(p)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, list, options...)
			if all, ok := list.(*v1alpha1.FederatedNetworkPolicyList); ok {
				for i := range all.Items {
					say(&all.Items[i])
				}
			}
			return err
		},
	})
	gap := "The following problems were encountered\nwhich may have resulted in incomplete data:\n" +
		"-  FederatedNetworkPolicy(SHOP/front): it: spec.ingress[0].source.notSelector (inbound rule 1): " + why + "\n"
	for name, args := range map[string][]string{
		"the policy": {"policy", "explain", f.namespace + "/front"}, "its pod": {"endpoints", "explain", f.namespace + "/front"}, "a pod of its rule": {"endpoints", "explain", "alpha/" + f.namespace + "/web-2"},
	} {
		got := f.named(asPerson(&here, append(args, "--from", "self")...))
		if diff := cmp.Diff(gap, got.Err); diff != "" || got.Code != exitFailed || !strings.Contains(got.Out, `Policy "SHOP/front"`) {
			t.Errorf("%s: exit code %d (-want +got)\n%s\n%s", name, got.Code, diff, got.Out)
		}
	}
}

// askTheManager asks by a port-forward, with no more than the roles that we ship for it.
func (f *field) askTheManager(t *testing.T) {
	kubelet := startKubelet(t, f)
	kubelet.managerPod("hawser-0")
	viewer := f.viewer(t)
	ask := func(args ...string) (Evaluated, outcome) {
		got := asPerson(viewer, append([]string{"endpoints", "eval", strings.ReplaceAll(f.scoped(`app == "web"`), "SHOP", f.namespace), "--query-port", strconv.Itoa(f.port), "-o", "json"}, args...)...)
		var e Evaluated
		if err := json.Unmarshal([]byte(got.Out), &e); err != nil && got.Out != "" {
			t.Fatalf("%v: %s", err, got.Out)
		}
		return e, got
	}
	var e Evaluated
	fleettest.Eventually(t, patience, func() error {
		var got outcome
		if e, got = ask("--from", "manager"); len(e.Endpoints) != 2 {
			return fmt.Errorf("it knows %d endpoints, and says %s", len(e.Endpoints), got.Err)
		}
		return nil
	})
	if e.From != fromManager || e.Endpoints[1].ID != "alpha/node-1/k8s/"+f.namespace+".web-2/eth0" || e.Clusters[0].Replica != "hawser-0" {
		t.Errorf("the manager's answer is %+v", e)
	}

	f.askForABrokenSetAsSomebody(t, viewer)
	f.askTheManagerForTheRest(t, viewer)
	f.askAManagerThatHasNotHeard(t, viewer)
	f.askForWhatIsHardlyMeant(t, viewer)
	kubelet.ended("hawser-old")

	self := f.run("endpoints", "eval", strings.ReplaceAll(f.scoped(`app == "web"`), "SHOP", f.namespace), "--from", "self", "-o", "json")
	var by Evaluated
	if err := json.Unmarshal([]byte(self.Out), &by); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(by.Endpoints, e.Endpoints); diff != "" {
		t.Errorf("the manager knows other endpoints than oneself finds: %s", diff)
	}

	// A replica that does not answer is named; and where none does, oneself asks.
	kubelet.managerPod("hawser-1")
	e, got := ask()
	if got.Code != exitFailed || len(e.Endpoints) != 2 || !strings.Contains(got.Err, "-  Manager(hawser-1): asking pod hawser-1 at port "+strconv.Itoa(f.port)+" (does it run with --endpoints?): ") {
		t.Errorf("exit code %d with one replica of two: %s", got.Code, got.Err)
	}
	if strings.Contains(got.Err, "hawser-old") {
		t.Errorf("a pod that has ended is taken for a replica: %s", got.Err)
	}
	f.port = 1
	if _, got := ask("--from", "manager"); got.Code != exitFailed || !strings.Contains(got.Err, "hawser: no manager answers: asking pod hawser-0 at port 1") || !strings.Contains(got.Err, "; asking pod hawser-1 at port 1 ") {
		t.Errorf("exit code %d without a manager: %s", got.Code, got.Err)
	}
	if _, got := ask("--from", "auto"); !strings.Contains(got.Err, "the clusters are asked directly: no manager answers") || !strings.Contains(got.Err, "RemoteCluster(alpha): connection to remote cluster failed: ") {
		t.Errorf("exit code %d by oneself, without the right to read credentials: %s", got.Code, got.Err)
	}
}

// viewer is somebody with the roles for people who look, and for those who ask for endpoints.
func (f *field) viewer(t *testing.T) *cluster {
	t.Helper()
	primary := f.use("primary")
	primary.ServiceAccount(t, f.namespace, "looker")
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.namespace, Name: "looker"}}
	f.make(f.here, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Subjects: subject,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-viewer"}})
	for _, role := range []string{"hawser-viewer", "hawser-endpoints-viewer"} {
		f.make(f.here, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: role + "-" + f.namespace}, Subjects: subject,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role}})
	}
	return reach(t, primary.TokenConfig(primary.Token(t, f.namespace, "looker", time.Hour)))
}

// asPerson runs a command as somebody in the local cluster.
func asPerson(person *cluster, args ...string) outcome {
	var out, stderr bytes.Buffer
	d := &deps{in: strings.NewReader(""), out: &out, err: &stderr, clock: clock.RealClock{}, connect: func(_, context string) (*cluster, error) {
		if context != "" {
			return nil, errors.New("no such context")
		}
		return person, nil
	}}
	code := d.run(context.Background(), append([]string{"hawser"}, args...))
	return outcome{out.String(), stderr.String(), code}
}
