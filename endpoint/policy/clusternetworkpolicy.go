package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
)

const (
	// adminTier comes before NetworkPolicies: what is accepted in it no NetworkPolicy closes.
	adminTier = "Admin"
	// groupSize is how many entries share a ClusterNetworkPolicy. A piece of addresses takes a rule for each entry that
	// it has some of, and three more at most where an entry has more than one rule can hold.
	groupSize = calico.MaxClusterRules - publish.PieceSize/(calico.MaxClusterPeers*calico.MaxNetworks)
)

// partEgress is what ClusterNetworkPolicies are called: <namespace>.<policy>.egress-<cluster>.
const partEgress = "egress"

// ClusterPolicies is a plan made for policy.networking.k8s.io: NetworkPolicies close the pods, and allow what depends
// on no remote cluster; ClusterNetworkPolicies accept, in tier Admin, egress to addresses of remote clusters.
//
// Accept in tier Admin is the last word: no NetworkPolicy closes what it opens, and no ClusterNetworkPolicy of a later
// priority or of tier Baseline denies it. It opens nothing for other pods, and nothing but these addresses.
type ClusterPolicies struct {
	*Networks
	priority int32
}

// ClusterNetworkPolicies makes a plan into NetworkPolicies and ClusterNetworkPolicies of a priority. Its errors are
// Problems: a rule that cannot be expressed is left out of what comes with the error, which is nil where the policy's
// own pods cannot be selected.
func (p *Plan) ClusterNetworkPolicies(priority int32) (*ClusterPolicies, error) {
	var problems Problems
	kept := *p
	kept.Rules = nil
	for i := range p.Rules {
		found := p.Rules[i].cannotBeAccepted(p)
		if len(found) == 0 {
			kept.Rules = append(kept.Rules, p.Rules[i])
		}
		problems = append(problems, found...)
	}
	networks, err := kept.NetworkPolicies()
	var more Problems
	if err != nil && !errors.As(err, &more) {
		return nil, err
	}
	problems = append(problems, more...)
	if networks == nil {
		return nil, problems
	}
	return &ClusterPolicies{Networks: networks, priority: priority}, problems.orNil()
}

// remote says whether endpoints are taken from other clusters.
func remote(s v1alpha1.ClusterScope) bool { return s.All || s.Names != nil || s.Selector != nil }

// cannotBeAccepted is what a ClusterNetworkPolicy has no word for.
func (r *Rule) cannotBeAccepted(p *Plan) (problems Problems) {
	if r.Peer.Endpoints == nil || !remote(p.Clusters) {
		return nil
	}
	field := r.Peer.Field
	if len(r.Peer.parts) > 0 {
		field = r.Peer.parts[len(r.Peer.parts)-1].field
	}
	if r.Direction == v1alpha1.PolicyTypeIngress {
		problems.add(field, errors.New("ClusterNetworkPolicy knows addresses of destinations alone, and so no source in another cluster: use another target, or nets"))
	}
	if len(r.Peer.Ports.Names) > 0 {
		problems.add(r.Peer.Field+".ports", fmt.Errorf("ClusterNetworkPolicy has no name of ports at addresses: write the number instead of %q", r.Peer.Ports.Names[0]))
	}
	return problems
}

// Render says what the objects of one cluster are. What the local one has beyond what is selected by labels stands in
// NetworkPolicies, as in the target of that name.
func (c *ClusterPolicies) Render(r publish.Request) (publish.Rendered, error) {
	if r.Cluster.Local {
		return c.Networks.Render(r)
	}
	var out publish.Rendered
	seen := counted{endpoints: map[index.ID]struct{}{}}
	found := make([][]netip.Prefix, len(c.rules))
	for i := range c.rules {
		if rule := &c.rules[i]; rule.Members != None {
			found[i] = rule.resolve(c.plan, r, false, &seen).all
		}
	}
	for i := range c.terms {
		if err := c.accept(&out, r, i, found); err != nil {
			return out, err
		}
	}
	out.Endpoints, out.Addresses = seen.totals()
	return out, nil
}

// accept adds the objects for the pods of one term.
func (c *ClusterPolicies) accept(out *publish.Rendered, r publish.Request, term int, found [][]netip.Prefix) error {
	var all []acceptance // also of rules that match nothing now, so that others stay in their objects
	for _, at := range c.terms[term].rules {
		if c.rules[at].Members == None || c.rules[at].Direction != v1alpha1.PolicyTypeEgress {
			continue
		}
		for _, protocols := range c.rules[at].protocols() {
			all = append(all, acceptance{rule: c.rules[at].Rule, protocols: protocols, prefixes: found[at]})
		}
	}
	for group := 0; len(all) > 0; group++ {
		n := min(len(all), groupSize)
		base := c.plan.Namespace + "." + c.base(partEgress, term)
		if group > 0 {
			base += "." + strconv.Itoa(group+1)
		}
		if err := c.pieces(out, r, term, base, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// acceptance is addresses of one cluster that a rule allows traffic to, by some protocols.
type acceptance struct {
	rule      *Rule
	protocols []calico.ClusterProtocol // nil: any
	prefixes  []netip.Prefix
}

// pieces adds the objects of one base name.
func (c *ClusterPolicies) pieces(out *publish.Rendered, r publish.Request, term int, base string, all []acceptance) error {
	sets := make([][]netip.Prefix, 0, len(all))
	for _, a := range all {
		sets = append(sets, a.prefixes)
	}
	pieces := publish.SplitTogether(sets, r.Pieces(base))
	for i, divided := range pieces {
		var rules []calico.ClusterEgressRule
		for j, prefixes := range divided {
			rules = append(rules, all[j].rules(prefixes)...)
		}
		name := publish.Name(publish.MaxName, base, r.Cluster.Name, i+1)
		switch {
		case len(rules) == 0:
			continue
		case len(rules) > calico.MaxClusterRules:
			out.Refused = append(out.Refused, fmt.Sprintf("ClusterNetworkPolicy %s: it would have %d rules, and %d are all that it may", name, len(rules), calico.MaxClusterRules))
			rules = rules[:calico.MaxClusterRules]
		}
		spec := calico.ClusterNetworkPolicySpec{Tier: adminTier, Priority: c.priority, Egress: rules}
		spec.Subject.Pods = &calico.NamespacedPods{
			NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{metadataName: c.plan.Namespace}},
			PodSelector:       c.terms[term].term.labels(false),
		}
		o, err := calico.Write(calico.ClusterNetworkPolicies, publish.Meta(c.key(), r.Cluster.Name, "", base, i+1, len(pieces), nil), spec)
		if err != nil {
			return err
		}
		out.Objects = append(out.Objects, o)
	}
	return nil
}

// rules are those for a piece of the addresses: as few as hold them.
func (a *acceptance) rules(prefixes []netip.Prefix) (all []calico.ClusterEgressRule) {
	for len(prefixes) > 0 {
		rule := calico.ClusterEgressRule{Name: a.rule.Field, Action: "Accept", Protocols: a.protocols}
		for len(prefixes) > 0 && len(rule.To) < calico.MaxClusterPeers {
			n := min(len(prefixes), calico.MaxNetworks)
			rule.To, prefixes = append(rule.To, calico.ClusterPeer{Networks: publish.Texts(prefixes[:n])}), prefixes[n:]
		}
		all = append(all, rule)
	}
	return all
}

// protocols are those that an egress rule allows, as many at once as one rule takes: nil for any, and none for no port.
func (r *networkRule) protocols() (lists [][]calico.ClusterProtocol) {
	ports := r.Destination().Ports
	if r.Protocol == "" {
		return [][]calico.ClusterProtocol{nil}
	}
	if ports.All {
		ports.Ranges = []PortRange{{1, lastPort}} // a protocol needs a port
	}
	var all []calico.ClusterProtocol
	for _, span := range ports.Ranges {
		port := &calico.ClusterPort{Number: int32(span.First)}
		if span.Last > span.First {
			port = &calico.ClusterPort{Range: &calico.ClusterPortRange{Start: int32(span.First), End: int32(span.Last)}}
		}
		at := &calico.ClusterPorts{DestinationPort: port}
		switch r.Protocol {
		case "TCP":
			all = append(all, calico.ClusterProtocol{TCP: at})
		case "UDP":
			all = append(all, calico.ClusterProtocol{UDP: at})
		default:
			all = append(all, calico.ClusterProtocol{SCTP: at})
		}
	}
	for len(all) > 0 {
		n := min(len(all), calico.MaxClusterPeers)
		lists, all = append(lists, all[:n:n]), all[n:]
	}
	return lists
}
