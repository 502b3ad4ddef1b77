package policy

import (
	"maps"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// Render says what the objects of one cluster are. It is the Render of a publish.Item whose Selectors are those of
// the plan.
func (n *Networks) Render(r publish.Request) (publish.Rendered, error) {
	var out publish.Rendered
	seen := counted{endpoints: map[index.ID]struct{}{}}
	entries, byLabel := make([][]entry, len(n.rules)), make([]bool, len(n.rules))
	for i := range n.rules {
		rule := &n.rules[i]
		if rule.Members == None {
			continue
		}
		native := r.Cluster.Local && n.plan.LocalPeers == v1alpha1.LocalPeersSelectors
		found := rule.resolve(n.plan, r, native, &seen)
		entries[i] = rule.entries(found)
		if native && len(rule.native) > 0 && !rule.always() {
			var refused []string
			byLabel[i], refused = rule.byLabel(r)
			out.Refused = append(out.Refused, refused...)
		}
	}
	for i, t := range n.terms {
		var all []entry
		var first networkingv1.NetworkPolicySpec
		for _, at := range t.rules {
			all = append(all, entries[at]...)
			if byLabel[at] {
				rule := &n.rules[at]
				allow(&first, rule.Direction, rule.native, rule.portsByName())
			}
		}
		out.Objects = append(out.Objects, n.pieces(r, i, first, all)...)
	}
	out.Endpoints, out.Addresses = seen.totals()
	return out, nil
}

// pieces are the objects of one cluster for one term: what is allowed by label in the first, and the addresses divided.
func (n *Networks) pieces(r publish.Request, term int, first networkingv1.NetworkPolicySpec, all []entry) (objects []client.Object) {
	pieces := divide(all, r.Pieces(n.base(partPeers, term)))
	if len(pieces) == 0 {
		pieces = [][]entry{nil}
	}
	for p, piece := range pieces {
		var spec networkingv1.NetworkPolicySpec
		if p == 0 {
			spec = first
		}
		for _, e := range piece {
			allow(&spec, e.rule.Direction, peersAt(e.prefixes), e.ports)
		}
		if len(spec.PolicyTypes) > 0 {
			objects = append(objects, n.object(r.Cluster.Name, partPeers, term, p+1, len(pieces), spec))
		}
	}
	return objects
}

// counted are the endpoints that rules match, and their addresses.
type counted struct {
	endpoints map[index.ID]struct{}
	most      int // endpoints of a rule that were only counted: those of the others are among them
	addresses []netip.Prefix
}

func (c *counted) totals() (endpoints, addresses int) {
	return max(len(c.endpoints), c.most), len(publish.Distinct(c.addresses))
}

// entry is addresses of one cluster that a rule allows traffic with, on some ports. Those that have none are left out
// by divide.
type entry struct {
	rule     *networkRule
	ports    []networkingv1.NetworkPolicyPort
	prefixes []netip.Prefix
}

// entries are what a rule allows with what was found.
func (r *networkRule) entries(found resolved) (all []entry) {
	add := func(prefixes []netip.Prefix, ports []networkingv1.NetworkPolicyPort) {
		all = append(all, entry{r, ports, prefixes})
	}
	ports := r.Destination().Ports
	if r.Direction == v1alpha1.PolicyTypeIngress { // names are those of the policy's pods
		add(found.all, r.portsByName())
		return all
	}
	if ports.All || len(ports.Ranges) > 0 {
		add(found.all, r.portsByNumber(ports.Ranges))
	}
	for _, number := range slices.Sorted(maps.Keys(found.named)) {
		if !ports.contains(number) {
			add(found.named[number], []networkingv1.NetworkPolicyPort{{Protocol: r.protocol(), Port: new(intstr.FromInt32(int32(number)))}})
		}
	}
	return all
}

// divide divides what is allowed among objects.
func divide(all []entry, have int) [][]entry {
	if len(all) == 0 {
		return nil
	}
	sets := make([][]netip.Prefix, 0, len(all))
	for _, e := range all {
		sets = append(sets, e.prefixes)
	}
	var pieces [][]entry
	for _, divided := range publish.SplitTogether(sets, have) {
		var piece []entry
		for i, prefixes := range divided {
			if len(prefixes) > 0 {
				piece = append(piece, entry{all[i].rule, all[i].ports, prefixes})
			}
		}
		pieces = append(pieces, piece)
	}
	return pieces
}
