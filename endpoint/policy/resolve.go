package policy

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// resolved is what a rule's peer stands for in one cluster.
type resolved struct {
	all   []netip.Prefix
	named map[uint16][]netip.Prefix // by the number that one of the rule's names has there
}

// resolve finds what the peer stands for: without pods, if those are rendered natively.
func (r *networkRule) resolve(p *Plan, req publish.Request, native bool, seen *counted) (found resolved) {
	named := len(r.Peer.Ports.Names) > 0
	if !native && !named && r.NotMembers == None && r.Peer.Nets == nil && len(r.Peer.NotNets) == 0 && len(p.Selectors) == 1 {
		found.all = slices.Collect(req.Addresses(r.Members)) // without making an Endpoint of each
		seen.most, seen.addresses = max(seen.most, req.Count(r.Members)), append(seen.addresses, found.all...)
		return found
	}
	members, not := r.read(req)
	side := r.sieve(not)
	found.named = map[uint16][]netip.Prefix{}
	var kept []netip.Prefix
	for e := range members {
		kept = kept[:0]
		for _, a := range e.Addresses {
			kept = side.keep(kept, a.Masked())
		}
		if len(kept) == 0 {
			continue
		}
		seen.endpoints[e.ID] = struct{}{}
		seen.addresses = append(seen.addresses, kept...)
		if native && e.Kind == index.Pod {
			continue
		}
		found.all = append(found.all, kept...)
		if named {
			for number := range r.numbers(&e) {
				found.named[number] = append(found.named[number], kept...)
			}
		}
	}
	return found
}

// read reads what the peer's selectors match, and what notSelector takes away. These are asked one after the other, and an
// endpoint may come to be both in between, or neither: it is taken away if it was to be before or after the others were read.
func (r *networkRule) read(req publish.Request) (members iter.Seq[index.Endpoint], not []index.Endpoint) {
	if r.NotMembers == None {
		return req.Members(r.Members), nil
	}
	not = slices.Collect(req.Members(r.NotMembers))
	all := slices.Collect(req.Members(r.Members))
	return slices.Values(all), slices.AppendSeq(not, req.Members(r.NotMembers))
}

// numbers are those that an endpoint has for the names of the rule's ports.
func (r *networkRule) numbers(e *index.Endpoint) map[uint16]bool {
	all := map[uint16]bool{}
	for _, p := range e.Ports {
		if p.Protocol == r.Protocol && slices.Contains(r.Peer.Ports.Names, p.Name) {
			all[p.Number] = true
		}
	}
	return all
}

// sieve is what decides of the peer's addresses in a cluster, where notSelector takes some endpoints away.
func (r *networkRule) sieve(taken []index.Endpoint) sieve {
	not := slices.Clone(r.Peer.NotNets)
	for _, e := range taken {
		not = append(not, e.Addresses...)
	}
	return sieve{
		nets: publish.Aggregate(slices.Clone(r.Peer.Nets)), bounded: r.Peer.Nets != nil,
		not: publish.Aggregate(not),
	}
}

// sieve keeps the addresses that a peer's nets, notNets and notSelector leave.
type sieve struct {
	nets, not []netip.Prefix
	bounded   bool // by nets
}

func (s *sieve) keep(to []netip.Prefix, p netip.Prefix) []netip.Prefix {
	if !s.bounded {
		return publish.Outside(to, p, s.not)
	}
	for _, part := range publish.Within(nil, p, s.nets) {
		to = publish.Outside(to, part, s.not)
	}
	return to
}

// byLabel says whether the local pods are allowed by what is said of their labels: where there are some, and labels alone
// say which of them notSelector takes away. It takes away by address, and something else that matches it, such as a
// network set, may have the address of a pod whose labels do not. Another pod is no such thing: two that have one address
// are one that runs, and one that is long gone and that nobody could delete, as its node is lost.
func (r *networkRule) byLabel(req publish.Request) (some bool, refused []string) {
	members, taken := r.read(req)
	not := map[index.ID]struct{}{}
	var ranges []netip.Prefix
	for _, e := range taken {
		not[e.ID] = struct{}{}
		if e.Kind != index.Pod {
			ranges = append(ranges, e.Addresses...)
		}
	}
	ranges = publish.Aggregate(ranges)
	var first *index.ID
	for e := range members {
		if _, taken := not[e.ID]; taken || e.Kind != index.Pod {
			continue
		}
		some = true
		alike := slices.ContainsFunc(e.Addresses, func(a netip.Prefix) bool { return len(publish.Overlapping(ranges, a)) > 0 })
		if alike && (first == nil || cmp.Or(cmp.Compare(e.Namespace, first.Namespace), cmp.Compare(e.Name, first.Name)) < 0) {
			first = &e.ID
		}
	}
	if first == nil {
		return some, nil
	}
	return false, []string{fmt.Sprintf("%s.notSelector: it takes pod %s/%s away by the address alone, which something else has that matches: NetworkPolicy does not select pods by label and address together, and so the rule allows no local pod; spec.localPeers: Addresses can",
		r.Peer.Field, first.Namespace, first.Name)}
}
