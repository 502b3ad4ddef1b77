package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// maxNumbers is how many numbers the names of a rule's ports may have in one cluster: each is a set of its own.
const maxNumbers = 100

// Render says what the objects of one cluster are: a set for each peer, and what names of ports come to there.
func (c *CalicoPolicies) Render(r publish.Request) (publish.Rendered, error) {
	var out publish.Rendered
	seen := counted{endpoints: map[index.ID]struct{}{}}
	native := r.Cluster.Local && c.plan.LocalPeers == v1alpha1.LocalPeersSelectors
	sets, ports := map[string][]netip.Prefix{}, c.spec
	for i := range c.rules {
		rule := &c.rules[i]
		if rule.Members == None {
			continue
		}
		found := rule.resolve(c.plan, r, native, &seen)
		if numbers := rule.Peer.Ports; numbers.All || len(numbers.Ranges) > 0 {
			sets[rule.set(c.plan, "")] = found.all
		}
		out.Refused = append(out.Refused, rule.named(c.plan, found, sets, &ports)...)
	}
	for _, value := range slices.Sorted(maps.Keys(sets)) {
		base := c.plan.Namespace + "." + c.plan.Name + "." + value
		pieces := publish.Split(sets[value], r.Pieces(base))
		for i, prefixes := range pieces {
			if len(prefixes) == 0 {
				continue
			}
			meta := publish.Meta(c.key(), r.Cluster.Name, "", base, i+1, len(pieces), map[string]string{MembersLabel: value})
			set, err := calico.Write(calico.GlobalNetworkSets, meta, calico.NetworkSetSpec{Nets: publish.Texts(prefixes)})
			if err != nil {
				return out, err
			}
			out.Objects = append(out.Objects, set)
		}
	}
	if len(ports.Types) > 0 {
		meta := publish.Meta(c.key(), r.Cluster.Name, c.plan.Namespace, c.plan.Name+"-"+partNamedPorts, 1, 1, nil)
		policy, err := calico.Write(calico.NetworkPolicies, meta, ports)
		if err != nil {
			return out, err
		}
		out.Objects = append(out.Objects, policy)
	}
	out.Endpoints, out.Addresses = seen.totals()
	return out, nil
}

// named adds a set, and rules for it, for each number that a name of the rule's ports has.
func (r *calicoRule) named(p *Plan, found resolved, sets map[string][]netip.Prefix, to *calico.NetworkPolicySpec) (refused []string) {
	numbers := slices.Sorted(maps.Keys(found.named))
	if len(numbers) > maxNumbers {
		refused = append(refused, fmt.Sprintf("%s.ports: the names have %d numbers there, and no more than the first %d are let through", r.Peer.Field, len(numbers), maxNumbers))
		numbers = numbers[:maxNumbers]
	}
	for _, number := range numbers {
		if r.Peer.Ports.contains(number) { // as it is for all of them
			continue
		}
		value := r.set(p, strconv.Itoa(int(number)))
		rules := r.with(membersOf(value), nil, Ports{Ranges: []PortRange{{number, number}}})
		all, direction := &to.Ingress, string(r.Direction)
		if r.Direction == v1alpha1.PolicyTypeEgress {
			all = &to.Egress
		}
		if len(*all)+len(rules) > calico.MaxRules {
			return append(refused, fmt.Sprintf("%s.ports: with the numbers that the names have there, there are more than %d rules, which Calico does not take", r.Peer.Field, calico.MaxRules))
		}
		*all, sets[value] = append(*all, rules...), found.named[number]
		if !slices.Contains(to.Types, direction) {
			to.Types = append(to.Types, direction)
		}
	}
	return refused
}
