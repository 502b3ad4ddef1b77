package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/internal/policytest"
	"github.com/hawser-io/hawser/selector"
)

// This is what policies and sets of Calico mean, written from its documentation (NetworkPolicy, EntityRule, NetworkSet)
// and from what its calculation does with selectors. Only selectors themselves are read by package selector.
type calicoCluster struct {
	endpoints []calicoEndpoint
	policies  []*calico.NetworkPolicy
	read      map[string]*selector.Selector
}

func (c *calicoCluster) selector(text string) *selector.Selector {
	if c.read[text] == nil {
		c.read[text] = selector.MustParse(text)
	}
	return c.read[text]
}

// calicoEndpoint is what Calico knows by labels: pods, and sets. Nodes are none.
type calicoEndpoint struct {
	labels    map[string]string
	addresses []netip.Prefix
	ports     []index.Port
}

// calicoOf is the local cluster as Calico sees it, with what was rendered.
func calicoOf(t failer, w *world, objects []client.Object) *calicoCluster {
	c := &calicoCluster{read: map[string]*selector.Selector{}}
	for i := range w.Things {
		if e := &w.Things[i]; e.Cluster == home && e.Kind != index.Node {
			c.endpoints = append(c.endpoints, calicoEndpoint{calicoLabels(w, e), e.Addresses, e.Ports})
		}
	}
	for _, o := range objects {
		u := o.(*unstructured.Unstructured)
		switch u.GetKind() {
		case "NetworkPolicy":
			p, err := calico.Read[calico.NetworkPolicySpec](u)
			if err != nil {
				t.Fatal(err)
			}
			c.policies = append(c.policies, p)
		case "GlobalNetworkSet":
			s, err := calico.Read[calico.NetworkSetSpec](u)
			if err != nil {
				t.Fatal(err)
			}
			set := calicoEndpoint{labels: s.Labels}
			for _, n := range s.Spec.Nets {
				set.addresses = append(set.addresses, netip.MustParsePrefix(n))
			}
			c.endpoints = append(c.endpoints, set)
		default:
			t.Fatalf("a %s was rendered", u.GetKind())
		}
	}
	return c
}

// calicoLabels are those of a local endpoint. Labels of its own that begin as those of its namespace do are left out:
// these Calico believes, as is said in the documentation of the target. That of the cluster is one among others to it.
func calicoLabels(w *world, e *thing) map[string]string {
	all := maps.Clone(w.Labels(e))
	delete(all, "hawser.io/cluster")
	delete(all, "hawser.io/cluster-id")
	if value, ok := e.Own["hawser.io/cluster"]; ok {
		all["hawser.io/cluster"] = value
	}
	return all
}

// allows: policies of the tier that select the pod and have the direction decide, by the first rule that matches; what
// none matches is denied, where one selects the pod at all.
func (c *calicoCluster) allows(w *world, f flow) bool {
	applies := false
	for _, p := range c.policies {
		direction, rules := "Egress", p.Spec.Egress
		if f.Ingress {
			direction, rules = "Ingress", p.Spec.Ingress
		}
		of := c.selector(p.Spec.Selector)
		if p.Namespace != f.Pod.Namespace || !slices.Contains(p.Spec.Types, direction) || !of.MatchMap(calicoLabels(w, f.Pod)) {
			continue
		}
		applies = true
		for _, r := range rules {
			if c.matches(w, p.Namespace, &r, f) {
				return r.Action == "Allow"
			}
		}
	}
	return !applies
}

func (c *calicoCluster) matches(w *world, namespace string, r *calico.Rule, f flow) bool {
	own := ownAddress(f)
	if !own.IsValid() || r.Protocol != "" && r.Protocol != f.Protocol {
		return false
	}
	if r.IPVersion != 0 && (r.IPVersion == 4) != f.Peer.Is4() {
		return false
	}
	source, destination := own, f.Peer
	if f.Ingress {
		source, destination = f.Peer, own
	}
	return c.side(namespace, &r.Source, source, f, 0) && c.side(namespace, &r.Destination, destination, f, f.Port)
}

// ownAddress is the address of the pod that the flow has: of the same version as the other's.
func ownAddress(f flow) netip.Addr {
	for _, p := range f.Pod.Addresses {
		if p.Addr().Is4() == f.Peer.Is4() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// side: all that it says has to hold. Selectors are sets of addresses.
func (c *calicoCluster) side(namespace string, s *calico.EntityRule, a netip.Addr, f flow, port uint16) bool {
	in := func(nets []string) bool {
		return slices.ContainsFunc(nets, func(n string) bool { return netip.MustParsePrefix(n).Contains(a) })
	}
	if len(s.Nets) > 0 && !in(s.Nets) || in(s.NotNets) {
		return false
	}
	all := scopeOf(namespace, s)
	of := func(text string, named string) bool {
		by := c.selector(text)
		return slices.ContainsFunc(c.endpoints, func(e calicoEndpoint) bool {
			return slices.ContainsFunc(e.addresses, func(p netip.Prefix) bool { return p.Contains(a) }) && by.MatchMap(e.labels) &&
				(named == "" || slices.Contains(e.ports, index.Port{Name: named, Protocol: f.Protocol, Number: port}))
		})
	}
	if all != "" && !of(all, "") || s.NotSelector != "" && of(s.NotSelector, "") {
		return false
	}
	through := func(p intstr.IntOrString) bool {
		if p.Type == intstr.String && !strings.ContainsAny(p.StrVal[:1], "0123456789") {
			return of(all, p.StrVal)
		}
		first, last, isRange := strings.Cut(p.String(), ":")
		if !isRange {
			last = first
		}
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		return err1 == nil && err2 == nil && low <= int(port) && int(port) <= high
	}
	return (len(s.Ports) == 0 || slices.ContainsFunc(s.Ports, through)) && !slices.ContainsFunc(s.NotPorts, through)
}

// scopeOf is the one selector that Calico makes of what a side says: "" is any address.
func scopeOf(namespace string, s *calico.EntityRule) string {
	var all []string
	switch {
	case s.NamespaceSelector == "global()":
		all = append(all, "!has(projectcalico.org/namespace)")
	case s.NamespaceSelector != "":
		prefixed, err := selector.MustParse(s.NamespaceSelector).ForNamespaces()
		if err != nil {
			panic(err)
		}
		all = append(all, prefixed.String())
	case s.Selector != "" || s.NotSelector != "" || s.ServiceAccounts != nil:
		all = append(all, fmt.Sprintf("projectcalico.org/namespace == %q", namespace))
	}
	if accounts := s.ServiceAccounts; accounts != nil {
		if len(accounts.Names) > 0 {
			all = append(all, "projectcalico.org/serviceaccount in {"+strings.Join(quoted(accounts.Names), ", ")+"}")
		}
		if accounts.Selector != "" {
			prefixed, err := selector.MustParse(accounts.Selector).Prefix("pcsa.")
			if err != nil {
				panic(err)
			}
			all = append(all, prefixed.String())
		}
	}
	if s.Selector != "" {
		all = append(all, s.Selector)
	}
	if len(all) == 0 {
		return ""
	}
	return "(" + strings.Join(all, ") && (") + ")"
}

// outcome is what became of a policy: objects, rules that are left out, and what rendering refused.
type outcome struct {
	objects []client.Object
	left    map[string]bool
	refused []string
}

// makeFor makes a target of a policy, and all that it renders.
func makeFor[T policy.Target](t failer, w *world, of *v1alpha1.FederatedNetworkPolicy, to func(*policy.Plan) (T, error)) (o outcome, ok bool) {
	left := map[string]bool{}
	o.left = left
	note := func(err error) {
		var problems policy.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%v is no list of problems", err)
		}
		for _, p := range problems {
			field := policytest.RuleOf(p.Field)
			if field == "" {
				t.Fatalf("want a field of a rule named: %v", p)
			}
			left[field] = true
		}
	}
	plan, err := policy.Compile(of, policy.Local{Name: home, ID: "id-" + home})
	if plan == nil {
		return o, false
	}
	note(err)
	made, err := to(plan)
	if any(made) == any(*new(T)) {
		return o, false
	}
	note(err)
	o.objects = append(o.objects, made.Base()...)
	for _, c := range w.Clusters {
		if publish.Selects(plan.Clusters, c.Name, c.Labels, c.Local) {
			out, err := made.Render(w.Request(c, plan.Selectors))
			if err != nil {
				t.Fatal(err)
			}
			o.objects, o.refused = append(o.objects, out.Objects...), append(o.refused, out.Refused...)
		}
	}
	return o, true
}

// flows are all between a local pod and an address.
func flows(w *world, yield func(flow)) {
	for i := range w.Things {
		pod := &w.Things[i]
		if pod.Cluster != home || pod.Kind != index.Pod {
			continue
		}
		for _, peer := range w.Addresses() {
			if f := (flow{Pod: pod, Peer: peer}); !ownAddress(f).IsValid() {
				continue
			}
			for _, protocol := range []string{"TCP", "UDP", "ICMP"} {
				for _, port := range []uint16{1, 53, 80, 81, 8080} {
					yield(flow{Ingress: true, Pod: pod, Peer: peer, Protocol: protocol, Port: port})
					yield(flow{Ingress: false, Pod: pod, Peer: peer, Protocol: protocol, Port: port})
					if protocol == "ICMP" {
						break
					}
				}
			}
		}
	}
}

// outsideOfOwnNets says whether a rule narrows the policy's own pods to addresses that the flow's is not among. For
// NetworkPolicies such rules are refused, and the plain meaning of a policy does not know them.
func outsideOfOwnNets(d *drawn, field string, f flow) bool {
	rules, name := d.Egress, "spec.egress["
	if f.Ingress {
		rules, name = d.Ingress, "spec.ingress["
	}
	i, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(field, name), "]"))
	if err != nil {
		return false
	}
	own := rules[i].Source.Said
	if f.Ingress {
		own = rules[i].Destination.Said
	}
	if own == nil || len(own.Nets) == 0 {
		return false
	}
	return !slices.ContainsFunc(own.Nets, func(n string) bool { return netip.MustParsePrefix(n).Contains(ownAddress(f)) })
}

func TestCalicoMeansWhatThePolicySays(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 2 { // what there is costs more to make than a policy
			compareCalico(t, w, policytest.DrawPolicy(t), reached)
		}
	})
	for _, what := range []string{"allowed true", "allowed false", "a rule is refused"} {
		if reached[what] == 0 {
			t.Errorf("never reached: %s (%v)", what, slices.Sorted(maps.Keys(reached)))
		}
	}
}

func compareCalico(t *rapid.T, w *world, d *drawn, reached map[string]int) {
	out, ok := makeFor(t, w, d.Object, (*policy.Plan).Calico)
	if !ok {
		t.Fatalf("Calico can express any selector of pods: %s", d.Object.Spec.Selector)
	}
	if len(out.refused) > 0 {
		t.Fatalf("Calico takes away by address itself: %v", out.refused)
	}
	c := calicoOf(t, w, out.objects)
	for _, p := range c.policies {
		checkCalico(t, p)
	}
	if len(out.left) > 0 {
		reached["a rule is refused"]++
	}
	flows(w, func(f flow) {
		want := d.Allows(w, f, func(field string) bool { return out.left[field] || outsideOfOwnNets(d, field, f) })
		got := c.allows(w, f)
		reached[fmt.Sprint("allowed ", want)]++
		if want != got {
			t.Fatalf("ingress %t, pod %s/%s, peer %s, %s %d: the policy says %t, Calico %t\n%s\n%s",
				f.Ingress, f.Pod.Namespace, f.Pod.Name, f.Peer, f.Protocol, f.Port, want, got, describePolicy(d), describeUnstructured(out.objects))
		}
	})
}

// checkCalico holds a policy to what Calico's API refuses, and its schema does not say.
func checkCalico(t failer, p *calico.NetworkPolicy) {
	if strings.Contains(p.Name, ".") {
		t.Fatalf("the name %s stands for a tier", p.Name)
	}
	for _, r := range slices.Concat(p.Spec.Ingress, p.Spec.Egress) {
		versions := map[bool]bool{}
		for _, s := range []calico.EntityRule{r.Source, r.Destination} {
			for _, n := range slices.Concat(s.Nets, s.NotNets) {
				versions[netip.MustParsePrefix(n).Addr().Is4()] = true
			}
			if len(s.Ports)+len(s.NotPorts) > 0 && r.Protocol == "" {
				t.Fatalf("ports without a protocol: %+v", r)
			}
		}
		if len(versions) > 1 {
			t.Fatalf("nets of two versions in one rule: %+v", r)
		}
	}
}

func describeUnstructured(all []client.Object) string {
	var texts []string
	for _, o := range all {
		texts = append(texts, "# "+o.GetObjectKind().GroupVersionKind().Kind+" "+o.GetName()+"\n"+describe(o))
	}
	return strings.Join(texts, "")
}

func unstructuredOf(o client.Object) *unstructured.Unstructured {
	return o.(*unstructured.Unstructured)
}

func quoted(values []string) (all []string) {
	for _, v := range values {
		all = append(all, fmt.Sprintf("%q", v))
	}
	return all
}
