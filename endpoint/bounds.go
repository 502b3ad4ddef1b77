package endpoint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Bounds are the addresses that a cluster may contribute.
type Bounds struct {
	// Within are where its endpoints may be. For a remote cluster, none is nowhere.
	Within []netip.Prefix
	// Local says that the cluster is the one we run in, which is not bounded by Within if that is empty.
	Local bool
	// Never are addresses of the local cluster that no other may claim: its nodes and API servers.
	Never []netip.Prefix
}

// ParseBounds reads the endpointCIDRs of a remote cluster.
func ParseBounds(endpointCIDRs []string) (Bounds, error) {
	var b Bounds
	for _, text := range endpointCIDRs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return Bounds{}, fmt.Errorf("reading endpointCIDRs: %w", err)
		}
		b.Within = append(b.Within, p.Masked())
	}
	return b, nil
}

// relevant are the bounds without what changes nothing about them: which nodes come and go in the local cluster
// matters only to those who could claim their addresses.
func (b Bounds) relevant() Bounds {
	b.Within = slices.Clone(b.Within)
	slices.SortFunc(b.Within, netip.Prefix.Compare)
	if b.Local {
		b.Never = nil
		return b
	}
	claims := func(own netip.Prefix) bool {
		return slices.ContainsFunc(b.Within, func(w netip.Prefix) bool { return w.Overlaps(own) })
	}
	b.Never = slices.DeleteFunc(slices.Clone(b.Never), func(own netip.Prefix) bool { return !claims(own) })
	slices.SortFunc(b.Never, netip.Prefix.Compare)
	b.Never = slices.Compact(b.Never)
	return b
}

func (b Bounds) equal(other Bounds) bool {
	return b.Local == other.Local && slices.Equal(b.Within, other.Within) && slices.Equal(b.Never, other.Never)
}

// Extent says where addresses may be: the ranges, sorted, with commas between them. What no other cluster may claim of them
// is not taken out.
func (b Bounds) Extent() string {
	var texts []string
	for _, p := range slices.SortedFunc(slices.Values(b.Ranges()), netip.Prefix.Compare) {
		texts = append(texts, p.String())
	}
	return strings.Join(slices.Compact(texts), ",")
}

// Reasons why an address is not taken.
const (
	ReasonUnbounded  = "NoEndpointCIDRs"   // the cluster has no endpointCIDRs
	ReasonOutside    = "OutsideCIDRs"      // it is outside of them
	ReasonOwn        = "LocalAddress"      // it is one of the local cluster's nodes or API servers
	ReasonSpecial    = "NotAnEndpoint"     // loopback, link-local, multicast, unspecified
	ReasonUnreadable = "AddressUnreadable" // it is none
	ReasonTooMany    = "TooManyAddresses"  // the pod has many others
)

// Refuses returns the reason why an address is not the cluster's to contribute; "" if it is.
func (b Bounds) Refuses(a netip.Addr) string {
	if !a.IsValid() || a.Zone() != "" {
		return ReasonUnreadable
	}
	a = a.Unmap()
	return b.refuses(netip.PrefixFrom(a, a.BitLen()))
}

// refuses returns the reason why an address, or a range, is not the cluster's to contribute; "" if it is.
func (b Bounds) refuses(p netip.Prefix) string {
	addr := p.Addr()
	switch {
	case addr.IsUnspecified() && p.Bits() > 0, special(p):
		return ReasonSpecial
	case b.everywhere():
		return ""
	}
	if !b.Local {
		for _, own := range b.Never {
			if own.Overlaps(p) {
				return ReasonOwn
			}
		}
		if len(b.Within) == 0 {
			return ReasonUnbounded
		}
	}
	for _, w := range b.Within {
		if w.Bits() <= p.Bits() && w.Contains(addr) {
			return ""
		}
	}
	return ReasonOutside
}

// keep leaves of addresses those that are the cluster's to contribute. It works in their place.
func (b Bounds) keep(addresses []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(addresses, func(p netip.Prefix) bool { return b.refuses(p) != "" })
}

// specials are ranges that no endpoint is in: loopback, link-local, multicast.
var specials = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// NoEndpointIn says that no endpoint has an address of a range: all of it is loopback, link-local, multicast, or nothing.
func NoEndpointIn(p netip.Prefix) bool {
	return p.IsSingleIP() && p.Addr().IsUnspecified() ||
		slices.ContainsFunc(specials, func(s netip.Prefix) bool { return s.Bits() <= p.Bits() && s.Contains(p.Addr()) })
}

// special says that a range, which may be wide, has special addresses in it.
func special(p netip.Prefix) bool {
	for _, s := range specials {
		if s.Overlaps(p) {
			return true
		}
	}
	return false
}

// read reads an address as it stands in a status: alone, or with the length of a prefix. An IPv4 address
// that is written as one of IPv6 is one of IPv4: or it would be outside of every range, and yet the same.
func read(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("reading address %q: %w", text, err)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("reading address %q: a range of IPv4 addresses has at least 96 bits as one of IPv6", text)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
