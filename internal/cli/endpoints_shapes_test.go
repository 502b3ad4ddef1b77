package cli

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/query"
)

// questions are one for each command, about what TestEndpointsAreAskedFor makes.
func (f *field) questions() map[string][]string {
	return map[string][]string{
		"eval":    {"endpoints", "eval", f.scoped(`has(canary)`)},
		"set":     {"endpoints", "set", "SHOP"},
		"explain": {"endpoints", "explain", "alpha/SHOP/web-2"},
		"host":    {"endpoints", "host", "alpha/node-1"},
		"policy":  {"policy", "explain", "SHOP/front"},
	}
}

// askInEveryShape asks for JSON, whose fields programs stand on, and for YAML, which says the same.
func (f *field) askInEveryShape(t *testing.T) {
	want := map[string][]string{
		"eval":    {`"selector": "projectcalico.org/namespace == \"SHOP\" && has(canary)",`, `"id": "alpha/node-1/k8s/SHOP.web-2/eth0",`},
		"set":     {`"set": "SHOP"`, `"warnings": []`, `"selector": "pcns.team == \"shop\" && has(canary)",`},
		"explain": {`"profiles": [`, `"alpha/ksa.SHOP.default"`, `"policy": "SHOP/front",`, `"direction": "Ingress",`, `"rule": 1,`, `"side": "source",`, `"not": true,`, `"endpointSets": [`, `"because": [`},
		"host":    {`"id": "alpha/node-1/k8s/SHOP.web-1/eth0",`, `"id": "alpha/node-1/k8s/SHOP.web-2/eth0",`, `"policies": []`},
		"policy":  {`"appliesTo": [`, `"id": "node-1/k8s/SHOP.front/eth0",`, `"matches": [`, `"anyAddress": [`, `"10.4.0.0/31"`, `"types": [`, `"warnings": []`},
	}
	into := map[string]func() any{
		"eval": func() any { return new(Evaluated) }, "set": func() any { return new(SetEvaluated) }, "policy": func() any { return new(PolicyExplained) },
		"explain": func() any { return new(Explained) }, "host": func() any { return new(Explained) },
	}
	for name, args := range f.questions() {
		asJSON := f.says(append(slices.Clone(args), "--from", "self", "-o", "json")...)
		asYAML := f.says(append(slices.Clone(args), "--from", "self", "-o", "yaml")...)
		if asJSON.Code != exitOK || asYAML.Code != exitOK || asJSON.Err+asYAML.Err != "" {
			t.Errorf("%s: exit codes %d and %d: %s%s", name, asJSON.Code, asYAML.Code, asJSON.Err, asYAML.Err)
		}
		wantText(t, name+" as JSON", asJSON.Out, append(want[name], `"from": "self",`, `"clusters": [`, `"gaps": []`)...)
		answer := into[name]()
		strict := json.NewDecoder(strings.NewReader(asJSON.Out))
		strict.DisallowUnknownFields()
		if err := strict.Decode(answer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := yaml.YAMLToJSON([]byte(asYAML.Out))
		if err != nil || strings.HasPrefix(asYAML.Out, "{") {
			t.Fatalf("%s as YAML: %v\n%s", name, err, asYAML.Out)
		}
		var one, other any
		if err := json.Unmarshal([]byte(asJSON.Out), &one); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := json.Unmarshal(again, &other); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(one, other); diff != "" {
			t.Errorf("%s says another thing as YAML: %s", name, diff)
		}
	}
}

// askBesideOthers asks where somebody has decided that some clusters are not to be asked: they are named, and nothing is
// missing because of them.
func (f *field) askBesideOthers(t *testing.T) {
	made := []*v1alpha1.RemoteCluster{
		{ObjectMeta: metav1.ObjectMeta{Name: "off"}, Spec: v1alpha1.RemoteClusterSpec{Disabled: true, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, EndpointCIDRs: []string{"10.7.0.0/16"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "mute"}},
	}
	for _, rc := range made {
		rc.Spec.Server, rc.Spec.Auth.Type = "https://127.0.0.1:1", v1alpha1.AuthBearerToken
		f.make(f.here, rc)
	}
	const notes = "Note: disabled, and so not asked: off\nNote: without the capability endpoints, and so not asked: mute\n"
	for name, args := range f.questions() {
		if name != "eval" && name != "policy" { // the others ask for one cluster, or name it
			continue
		}
		if got := f.says(append(args, "--from", "self")...); got.Code != exitOK || got.Err != notes {
			t.Errorf("%s: exit code %d: %s", name, got.Code, got.Err)
		}
	}
	if got := f.says("endpoints", "set", "SHOP", "--from", "self"); got.Code != exitOK || got.Err != "" {
		t.Errorf("a set that selects neither: exit code %d: %s", got.Code, got.Err)
	}
	got := f.says("endpoints", "eval", f.scoped(`has(canary)`), "--from", "self", "--cluster", "off")
	if got.Code != exitFailed || strings.Contains(got.Err, "Note") || !strings.Contains(got.Err, "-  RemoteCluster(off): spec.disabled of its RemoteCluster is true\n") {
		t.Errorf("asked for by name: exit code %d: %s", got.Code, got.Err)
	}
	f.checkBesideOthers(t)
	for _, rc := range made {
		if err := f.here.Client.Delete(t.Context(), rc); err != nil {
			t.Fatal(err)
		}
	}
	f.policyOfOneCluster(t)
}

// checkBesideOthers checks what a selector says of a cluster that is disabled, and of one that there is not.
func (f *field) checkBesideOthers(t *testing.T) {
	es := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-off"}, Spec: v1alpha1.EndpointSetSpec{
		Selector: `hawser.io/cluster in {"off", "gone"}`, Clusters: v1alpha1.ClusterScope{All: true},
	}}
	f.make(f.here, es)
	got := f.says("check", "addresses")
	wantText(t, "the findings", got.Out, `EndpointSet "SHOP-off" selects cluster "gone", which there is none of`)
	wantText(t, "stderr", got.Err, "Note: disabled, and so not asked: off\n", "-  RemoteCluster(mute): connection to remote cluster failed: ")
	if strings.Contains(got.Out, `cluster "off"`) || got.Code != exitFailed {
		t.Errorf("exit code %d, and a cluster that is disabled is taken for none:\n%s", got.Code, got.Out)
	}
	if err := f.here.Client.Delete(t.Context(), es); err != nil {
		t.Fatal(err)
	}
}

// policyOfOneCluster asks what a policy comes to in a remote cluster, where the pods are not that it is for.
func (f *field) policyOfOneCluster(t *testing.T) {
	got := f.says("policy", "explain", "SHOP/front", "--from", "self", "--cluster", "alpha")
	if got.Code != exitOK || got.Err != "Note: the pods that the policy is for are in the local cluster, which --cluster alpha leaves out\n" {
		t.Errorf("exit code %d: %s", got.Code, got.Err)
	}
}

// asViewer asks the manager as somebody who may no more than that.
func (f *field) asViewer(viewer *cluster, port int, args ...string) outcome {
	args = append(slices.Clone(args), "--from", "manager", "--query-port", strconv.Itoa(port))
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "SHOP", f.namespace)
	}
	return f.named(asPerson(viewer, args...))
}

// askTheManagerForTheRest asks it what the other commands do, and oneself, too.
func (f *field) askTheManagerForTheRest(t *testing.T, viewer *cluster) {
	for name, args := range f.questions() {
		wide := append(slices.Clone(args), "-o", "wide")
		own := f.says(append(slices.Clone(wide), "--from", "self")...)
		by := f.says(append(slices.Clone(wide), "--from", "manager", "--query-port", strconv.Itoa(f.port))...)
		if diff := cmp.Diff(own.Out, by.Out); diff != "" || !strings.Contains(by.Out, "web-2") {
			t.Errorf("%s: the manager says another thing than oneself finds (-self +manager): %s\n%s", name, diff, by.Err)
		}
		as := f.asViewer(viewer, f.port, append(slices.Clone(args), "-o", "json")...)
		wantText(t, name+" of the manager, as JSON", as.Out, `"from": "manager",`, `"replica": "hawser-0"`, `"name": "web-2",`)
	}
}

// old is a catalog that has not heard of alpha for a while.
type old struct {
	x      *index.Index
	states []endpoint.ClusterState
}

func (o old) Index() *index.Index             { return o.x }
func (o old) States() []endpoint.ClusterState { return o.states }

// askAManagerThatHasNotHeard of a cluster for a while: people are told how old the answer is.
func (f *field) askAManagerThatHasNotHeard(t *testing.T, viewer *cluster) {
	since := time.Now().Add(-90 * time.Minute)
	o := old{index.New(), []endpoint.ClusterState{{Name: "alpha", ID: "a", Synced: true, StaleSince: since}, {Name: f.local, ID: "p", Local: true, Synced: true}}}
	part, err := o.x.Cluster("alpha", "a")
	if err != nil {
		t.Fatal(err)
	}
	part.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: f.namespace, Name: "web-2"}, Node: "node-1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.4.0.2/32")},
		Labels: []index.Label{{Name: "app", Value: "web"}, {Name: "canary", Value: "yes"}}})
	server := httptest.NewServer(query.Handler(o))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for name, want := range map[string]string{
		"eval":    "Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0 alpha 10.4.0.2 node-1 - 90m",
		"explain": "Cluster alpha, node node-1, addresses 10.4.0.2, 90m",
		"policy":  "Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0 (10.4.0.2; 90m)",
	} {
		got := f.asViewer(viewer, port, append(slices.Clone(f.questions()[name]), "-o", "wide")...)
		wantText(t, name, oneLine(got.Out), want)
		wantText(t, name+" on stderr", got.Err, "-  RemoteCluster(alpha): it is not followed since "+since.UTC().Format(time.RFC3339)+": its endpoints are those of then\n")
		if got.Code != exitFailed {
			t.Errorf("%s: exit code %d of what is old", name, got.Code)
		}
	}
}

// askForWhatIsHardlyMeant asks for a set that narrows nothing, and a policy that is for no pod and has a rule for nobody.
func (f *field) askForWhatIsHardlyMeant(t *testing.T, viewer *cluster) {
	o := old{index.New(), []endpoint.ClusterState{{Name: "alpha", ID: "a", Synced: true}, {Name: f.local, ID: "p", Local: true, Synced: true}}}
	part, err := o.x.Cluster("alpha", "a")
	if err != nil {
		t.Fatal(err)
	}
	for i, namespace := range []string{f.namespace, "other"} {
		part.Set(&index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: namespace, Name: "web"}, Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 4, 0, byte(i)}), 32)},
			Labels: []index.Label{{Name: "app", Value: "web"}}})
	}
	server := httptest.NewServer(query.Handler(o))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	alone := v1alpha1.ClusterScope{Names: []string{"alpha"}}
	f.make(f.here, &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-every"}, Spec: v1alpha1.EndpointSetSpec{Selector: `hawser.io/cluster == "alpha"`, Clusters: alone}})
	f.make(f.here, &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "idle"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: `app == "nobody"`, Clusters: alone,
		Ingress: []v1alpha1.FederatedRule{
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new(`app == "web"`)}},
			{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: new(`app == "ghost"`)}},
		},
		Egress: []v1alpha1.FederatedRule{
			{Action: "Allow", Protocol: "TCP", Destination: &v1alpha1.FederatedPeer{Selector: new(`app == "web"`), Ports: []intstr.IntOrString{intstr.FromString("sql")}}},
		},
	}})
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"endpoints", "set", "SHOP-every"}, `Warning: spec.selector: hawser.io/cluster == "alpha" matches every endpoint that the clusters have now, in all namespaces: if that is meant, write all()
`},
		{[]string{"endpoints", "set", "SHOP-every", "--cluster", "alpha"}, ""},
		{[]string{"policy", "explain", "SHOP/idle"}, `Warning: spec.selector: (projectcalico.org/namespace == "SHOP" && app == "nobody") matches nothing that there is in the local cluster, where the policy's pods are, now: is it meant so?
Warning: spec.ingress[1].source.selector (inbound rule 2): (projectcalico.org/namespace == "SHOP" && app == "ghost") matches nothing that there is in the one cluster now: is it meant so?
Warning: spec.egress[0].destination.ports (outbound rule 1): nothing that (projectcalico.org/namespace == "SHOP" && app == "web") matches in the one cluster has a TCP port called "sql" now: is it meant so?
`},
	} {
		got := f.asViewer(viewer, port, test.args...)
		if diff := cmp.Diff(test.want, got.Err); diff != "" || got.Code != exitOK {
			t.Errorf("%s: exit code %d (-want +got)\n%s", test.args, got.Code, diff)
		}
	}
	got := f.asViewer(viewer, port, "policy", "explain", "SHOP/idle", "-o", "json")
	wantText(t, "for programs", got.Out, `"warnings": [`, "spec.ingress[1].source.selector (inbound rule 2): ", `"refused": []`)
}
