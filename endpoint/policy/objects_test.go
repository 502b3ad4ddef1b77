package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/internal/policytest"
)

func objects(all []client.Object) (policies []*networkingv1.NetworkPolicy) {
	for _, o := range all {
		policies = append(policies, o.(*networkingv1.NetworkPolicy))
	}
	return policies
}

func TestHowSelectorsOfPodsAreWritten(t *testing.T) {
	tests := []struct {
		name, selector string
		want           []string // each podSelector
	}{
		{"all pods", "", []string{"{}"}},
		{"one value", "app == 'x'", []string{"matchLabels: {app: x}"}},
		{"values of one label are put together", "app == 'x' || app in {'y', 'z'}", []string{"matchExpressions: [{key: app, operator: In, values: [x, \"y\", z]}]"}},
		{"a label that may be missing", "app != 'x'", []string{"matchExpressions: [{key: app, operator: NotIn, values: [x]}]"}},
		{"a label that has to be there", "has(app) && app != 'x'", []string{"matchExpressions: [{key: app, operator: Exists}, {key: app, operator: NotIn, values: [x]}]"}},
		{"a label that has to be missing", "!has(app)", []string{"matchExpressions: [{key: app, operator: DoesNotExist}]"}},
		{"labels that exclude each other", "app == 'x' && app == 'y'", nil},
		{"what another term holds is left out", "app == 'x' || app == 'x' && tier == 'y'", []string{"matchLabels: {app: x}"}},
		{"a term for each of two labels", "app == 'x' || tier == 'y'", []string{"matchLabels: {app: x}", "matchLabels: {tier: \"y\"}"}},
		{"de Morgan", "!(app == 'x' || has(tier))", []string{"matchExpressions: [{key: app, operator: NotIn, values: [x]}, {key: tier, operator: DoesNotExist}]"}},
		{"what is the same for all of them", "projectcalico.org/namespace == 'shop' && hawser.io/cluster in {'home', 'a'} && pcns.kubernetes.io/metadata.name == 'shop' && app == 'x'", []string{"matchLabels: {app: x}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			networks, err := made(spec{Selector: tt.selector}, local)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range objects(networks.Base()) {
				got = append(got, describe(p.Spec.PodSelector))
			}
			if diff := cmp.Diff(normalYAML(t, tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHowLocalPeersAreWritten(t *testing.T) {
	tests := []struct {
		name string
		peer peer
		want []string
	}{
		{"in the policy's namespace", peer{Selector: new("app == 'x'")}, []string{"podSelector: {matchLabels: {app: x}}"}},
		{"all of the policy's namespace", peer{Selector: new("")}, []string{"podSelector: {}"}},
		{"in another namespace", peer{NamespaceSelector: new("projectcalico.org/name == 'web'")}, []string{"namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}"}},
		{"in any namespace", peer{NamespaceSelector: new("all()")}, []string{"namespaceSelector: {}"}},
		{"in namespaces with a label", peer{NamespaceSelector: new("env == 'x'"), Selector: new("app == 'x'"), NotSelector: new("tier == 'x'")}, []string{
			"{namespaceSelector: {matchLabels: {env: x}}, podSelector: {matchLabels: {app: x}, matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}"}},
		{"by what Calico calls a namespace's labels", peer{NamespaceSelector: new("all()"), Selector: new("pcns.env == 'x' || projectcalico.org/namespace == 'shop' && app == 'x'")}, []string{
			"podSelector: {matchLabels: {app: x}}", "namespaceSelector: {matchLabels: {env: x}}"}},
	}
	w := fleetOf(t, 0)
	w.Parts[home].SetNamespace("shop", policytest.LabelList(map[string]string{"env": "x"}))
	w.Add(w.Parts[home], home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "pod"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}, map[string]string{"app": "x"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, networks := compiled(t, spec{Clusters: everywhere, Ingress: from(tt.peer)})
			out, err := networks.Render(w.Request(w.Clusters[0], plan.Selectors))
			if err != nil {
				t.Fatal(err)
			}
			all := objects(append(networks.Base(), out.Objects...))
			var got []string
			for _, p := range all[1].Spec.Ingress[0].From {
				got = append(got, describe(p))
			}
			if diff := cmp.Diff(normalYAML(t, tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingIsAllowedByWhatIsEmpty(t *testing.T) {
	w := fleetOf(t, 0)
	tests := []struct {
		name string
		spec spec
	}{
		{"a selector that nothing matches in any cluster", spec{Clusters: remote, Ingress: from(peer{Selector: new("app == 'x'")})}},
		{"local peers that cannot be", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("hawser.io/cluster == 'b'")})}},
		{"local peers that have no namespace", spec{Clusters: everywhere, Ingress: from(peer{NamespaceSelector: new("all()"), Selector: new("!has(projectcalico.org/namespace)")})}},
		{"ranges of which nothing is left", spec{Egress: to(peer{Nets: []string{"10.1.0.0/16"}, NotNets: []string{"10.0.0.0/8"}})}},
		{"every range taken away", spec{Egress: to(peer{NotNets: []string{"0.0.0.0/0", "::/0"}})}},
		{"every port taken away", spec{Egress: tcp(to(peer{NotPorts: port("1:65535")}))}},
		{"own pods that cannot be", spec{Selector: "app == 'x'", Ingress: to(peer{Selector: new("app == 'y'")})}},
		{"a name of ports that no endpoint has", spec{Clusters: remote, Egress: tcp(to(peer{Selector: new("all()"), Ports: port("web")}))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, networks := compiled(t, tt.spec)
			all := objects(networks.Base())
			for _, c := range w.Clusters {
				out, err := networks.Render(w.Request(c, plan.Selectors))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, objects(out.Objects)...)
			}
			if len(all) != 1 || !strings.HasPrefix(all[0].Name, "rules.closed-") || len(all[0].Spec.PolicyTypes) == 0 {
				t.Errorf("want the pods closed and nothing else, got %s", describeObjects(all))
			}
		})
	}
}

// TestWhatClosesPodsNeverSelectsOthers, whatever becomes of the policy: each object is called by the pods that it selects,
// and where there is one selection of pods alone, only what closes is.
func TestWhatClosesPodsNeverSelectsOthers(t *testing.T) {
	selects := map[string]string{}
	var names []string
	for _, tt := range []struct {
		selector string
		ingress  rules
		plain    bool // what allows has its plain name
	}{
		{"app == 'x'", nil, true}, {"app == 'x' || tier == 'y'", nil, false}, {"aaa == 'z' || app == 'x'", nil, false}, {"app == 'y'", nil, true},
		{"app == 'x'", rules{{Action: "Allow", Destination: &peer{Selector: new("tier == 'y'")}, Source: &peer{Nets: []string{"10.0.0.0/8"}}}}, true}, {"", nil, true},
	} {
		s := spec{Selector: tt.selector, Clusters: remote, Ingress: append(from(peer{Nets: []string{"10.0.0.0/8"}}), tt.ingress...)}
		_, networks := compiled(t, s)
		plain := false
		for _, p := range objects(networks.Base()) {
			plain = plain || p.Name == "rules.rules"
			pods := metav1.FormatLabelSelector(&p.Spec.PodSelector)
			if before, ok := selects[p.Name]; ok && before != pods && p.Name != "rules.rules" {
				t.Errorf("%s selects %s, and did %s", p.Name, pods, before)
			}
			selects[p.Name] = pods
			names = append(names, p.Name)
		}
		if plain != tt.plain {
			t.Errorf("%s: there are %q", tt.selector, names)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) != 5+1+4 { // closing objects, .rules, and those of several selections
		t.Errorf("there are %q", names)
	}
}

// fleetOf is a fleet of the local cluster and one other, with so many pods in the namespace shop.
func fleetOf(t *testing.T, pods int) *world {
	t.Helper()
	w := policytest.NewWorld()
	w.Cluster(t, home)
	part := w.Cluster(t, "a")
	for i := range pods {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i << 1)}) // no two are neighbours
		w.Add(part, "a", index.Endpoint{
			ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("pod-", i)}, Addresses: []netip.Prefix{netip.PrefixFrom(a, 32)},
			Ports: []index.Port{{Name: "web", Protocol: "TCP", Number: uint16(8000 + i%2)}},
		}, map[string]string{"app": "x"})
	}
	return w
}

func TestManyAddressesAreDividedAmongObjectsAndNoneIsLost(t *testing.T) {
	const pods = 3000
	w := fleetOf(t, pods)
	plan, networks := compiled(t, spec{
		Clusters: remote, Ingress: from(peer{Selector: new("app == 'x'")}),
		Egress: tcp(to(peer{Selector: new("app == 'x'"), Ports: port("web", 53)})),
	})
	out, err := networks.Render(w.Request(w.Clusters[1], plan.Selectors))
	if err != nil || out.Endpoints != pods || out.Addresses != pods || len(out.Refused) > 0 {
		t.Fatalf("%d endpoints, %d addresses, %v (%v)", out.Endpoints, out.Addresses, out.Refused, err)
	}
	seen := map[string]int{}
	all := objects(out.Objects)
	for i, p := range all {
		want := "rules.peers-a"
		if i > 0 {
			want += fmt.Sprint(".", i+1)
		}
		if p.Name != want || len(p.Spec.Ingress) != 1 || len(p.Spec.Egress) != 3 {
			t.Errorf("object %d is %s, with %d rules of ingress and %d of egress", i, p.Name, len(p.Spec.Ingress), len(p.Spec.Egress))
		}
		peers := len(p.Spec.Ingress[0].From)
		for _, r := range p.Spec.Egress {
			peers += len(r.To)
			for _, to := range r.To {
				seen[fmt.Sprint(to.IPBlock.CIDR, " ", r.Ports[0].Port.IntValue())]++
			}
		}
		if peers > 2000 {
			t.Errorf("object %s has %d peers", p.Name, peers)
		}
		for _, from := range p.Spec.Ingress[0].From {
			seen[from.IPBlock.CIDR]++
		}
	}
	if len(all) < 2 || len(seen) != 3*pods {
		t.Errorf("%d objects with %d peers, want %d", len(all), len(seen), 3*pods)
	}
	for what, times := range seen {
		if times != 1 {
			t.Errorf("%s stands there %d times", what, times)
		}
	}
}

func TestWhatIsLeftOfAPeersAddressesIsCounted(t *testing.T) {
	w := policytest.NewWorld()
	w.Cluster(t, home)
	part := w.Cluster(t, "a")
	for i, app := range []string{"x", "x", "y"} {
		w.Add(part, "a", index.Endpoint{
			ID:        index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint(i)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), 32), netip.MustParsePrefix(fmt.Sprintf("fd00::%d/128", i))},
		}, map[string]string{"app": app})
	}
	x, both := new("app == 'x'"), new("has(app)")
	tests := []struct {
		name                 string
		rules                rules
		endpoints, addresses int
		want                 string
	}{
		{"a selector alone", from(peer{Selector: both}), 3, 6, "10.1.0.0/31 10.1.0.2/32 fd00::/127 fd00::2/128"},
		{"within nets", from(peer{Selector: both, Nets: []string{"10.1.0.1/32"}}), 1, 1, "10.1.0.1/32"},
		{"outside of nets", from(peer{Selector: both, NotNets: []string{"10.0.0.0/8", "fd00::2/127"}}), 2, 2, "fd00::/127"},
		{"without what the notSelector matches", from(peer{Selector: both, NotSelector: x}), 1, 2, "10.1.0.2/32 fd00::2/128"},
		{"without itself", from(peer{Selector: x, NamespaceSelector: new("all()"), NotSelector: new("has(projectcalico.org/namespace) && app == 'x'")}), 0, 0, ""},
		{"two rules of the same selector", append(from(peer{Selector: both}), from(peer{Selector: both, Nets: []string{"10.1.0.1/32"}})...), 3, 6, "10.1.0.0/31 10.1.0.2/32 fd00::/127 fd00::2/128 10.1.0.1/32"},
		{"two rules of other selectors", append(from(peer{Selector: new("app == 'y'")}), from(peer{Selector: x})...), 3, 6, "10.1.0.2/32 fd00::2/128 10.1.0.0/31 fd00::/127"},
		{"two rules that share an endpoint", append(from(peer{Selector: both, Nets: []string{"10.1.0.1/32"}}), from(peer{Selector: x})...), 2, 4, "10.1.0.1/32 10.1.0.0/31 fd00::/127"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, networks := compiled(t, spec{Clusters: remote, Ingress: tt.rules})
			out, err := networks.Render(w.Request(w.Clusters[1], plan.Selectors))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects(out.Objects) {
				for _, r := range o.Spec.Ingress {
					for _, p := range r.From {
						got = append(got, p.IPBlock.CIDR)
					}
				}
			}
			if text := strings.Join(got, " "); text != tt.want || out.Endpoints != tt.endpoints || out.Addresses != tt.addresses {
				t.Errorf("want %s of %d endpoints with %d addresses, got %s of %d with %d", tt.want, tt.endpoints, tt.addresses, text, out.Endpoints, out.Addresses)
			}
		})
	}
}

func TestLocalHostsAreRenderedByAddress(t *testing.T) {
	w := fleetOf(t, 0)
	part := w.Parts[home]
	w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.Node, Name: "node"}, Addresses: []netip.Prefix{netip.MustParsePrefix("172.16.0.1/32")}}, map[string]string{"app": "x"})
	w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "pod"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}, map[string]string{"app": "x"})
	plan, networks := compiled(t, spec{
		Clusters: v1alpha1.ClusterScope{Local: true}, Ingress: append(from(peer{NamespaceSelector: new("global()")}), from(peer{Selector: new("app == 'x'")})...),
	})
	out, err := networks.Render(w.Request(w.Clusters[0], plan.Selectors))
	if err != nil || out.Endpoints != 2 {
		t.Fatalf("%d endpoints (%v)", out.Endpoints, err)
	}
	all := objects(append(networks.Base(), out.Objects...))
	text := describeObjects(all)
	if len(all) != 3 || !strings.Contains(text, "172.16.0.1/32") || strings.Contains(text, "10.0.0.1") {
		t.Errorf("want the node by address and the pod by label, got %s", text)
	}
}

// TestWhatSelectorsOfPodsCannotTakeAwayIsRefused: a network set that notSelector matches has the addresses of two of three
// pods, as long as it is there.
func TestWhatSelectorsOfPodsCannotTakeAwayIsRefused(t *testing.T) {
	w := fleetOf(t, 0)
	part := w.Parts[home]
	for i, name := range []string{"b", "a", "c"} {
		a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)
		w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: name}, Addresses: []netip.Prefix{a}}, map[string]string{"app": "x"})
	}
	nets := index.Endpoint{ID: index.ID{Kind: index.NetworkSet, Name: "nets"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/31")}}
	w.Add(part, home, nets, map[string]string{"app": "bad"})
	render := func(peers v1alpha1.LocalPeers) (text string, refused []string) {
		t.Helper()
		plan, networks := compiled(t, spec{
			Clusters: everywhere, LocalPeers: peers, Ingress: from(peer{Selector: new("app == 'x'"), NotSelector: new("app == 'bad'")}),
		})
		out, err := networks.Render(w.Request(w.Clusters[0], plan.Selectors))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(append(networks.Base(), out.Objects...)) {
			for _, r := range o.Spec.Ingress {
				text += o.Name + ": " + describe(r.From)
			}
		}
		return text, out.Refused
	}
	if text, refused := render("Addresses"); text != "rules.peers-home: - ipBlock:\n    cidr: 10.0.0.2/32\n" || len(refused) > 0 {
		t.Errorf("by address: %s, %v", text, refused)
	}
	text, refused := render("Selectors")
	if len(refused) != 1 || !strings.HasPrefix(refused[0], "spec.ingress[0].source.notSelector: ") || !strings.Contains(refused[0], "pod shop/a") {
		t.Errorf("by selectors: %v", refused)
	}
	if text != "" {
		t.Errorf("what cannot be told apart is let in: %s", text)
	}
	part.Delete(nets.ID)
	want := "rules.peers-home: " + describe([]networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}}})
	if text, refused := render("Selectors"); text != want || len(refused) > 0 {
		t.Errorf("without the network set: %s, %v", text, refused)
	}
}

// TestAPodThatIsLongGoneClosesNothing: its node is lost, so that it stays for ever with the address that was given to
// another one meanwhile.
func TestAPodThatIsLongGoneClosesNothing(t *testing.T) {
	w := fleetOf(t, 0)
	part, address := w.Parts[home], []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "gone"}, Addresses: address}, map[string]string{"app": "x", "tier": "bad"})
	w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "runs"}, Addresses: address}, map[string]string{"app": "x"})
	plan, networks := compiled(t, spec{Clusters: everywhere, Ingress: from(peer{Selector: new("app == 'x'"), NotSelector: new("tier == 'bad'")})})
	render := func() (text string, refused []string) {
		t.Helper()
		out, err := networks.Render(w.Request(w.Clusters[0], plan.Selectors))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(out.Objects) {
			text += describe(o.Spec.Ingress)
		}
		return text, out.Refused
	}
	text, refused := render()
	if len(refused) > 0 || !strings.Contains(text, "app: x") || !strings.Contains(text, "key: tier") || !strings.Contains(text, "operator: NotIn") {
		t.Errorf("refused: %v, allowed:\n%s", refused, text)
	}
	w.Add(part, home, index.Endpoint{ID: index.ID{Kind: index.HostEndpoint, Name: "host"}, Addresses: address}, map[string]string{"tier": "bad"})
	if text, refused := render(); len(refused) != 1 || text != "" {
		t.Errorf("what is no pod has the address: refused: %v, allowed:\n%s", refused, text)
	}
}

// normalYAML writes YAML as describe does.
func normalYAML(t *testing.T, texts []string) (all []string) {
	t.Helper()
	for _, text := range texts {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		all = append(all, describe(value))
	}
	return all
}

// compiled is the plan of a policy, and what it renders as NetworkPolicies.
func compiled(t *testing.T, s spec) (*policy.Plan, *policy.Networks) {
	t.Helper()
	plan, err := policy.Compile(policyOf(s), local)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := plan.NetworkPolicies()
	if err != nil {
		t.Fatal(err)
	}
	return plan, networks
}
