package policy

import (
	"net/netip"
	"sort"
)

// The sets of addresses here are as publish.Aggregate makes them: prefixes in order, none within another.

// overlapping are the prefixes of a set that share addresses with p: one that holds it, or all that it holds.
func overlapping(set []netip.Prefix, p netip.Prefix) []netip.Prefix {
	from := sort.Search(len(set), func(i int) bool { return set[i].Addr().Compare(p.Addr()) > 0 })
	if from > 0 && set[from-1].Overlaps(p) {
		from--
	}
	to := from
	for to < len(set) && set[to].Overlaps(p) {
		to++
	}
	return set[from:to]
}

// within appends what of a prefix is in a set.
func within(to []netip.Prefix, p netip.Prefix, set []netip.Prefix) []netip.Prefix {
	for _, o := range overlapping(set, p) {
		if o.Bits() < p.Bits() {
			o = p
		}
		to = append(to, o)
	}
	return to
}

// outside appends what of a prefix is not in a set.
func outside(to []netip.Prefix, p netip.Prefix, set []netip.Prefix) []netip.Prefix {
	set = overlapping(set, p)
	switch {
	case len(set) == 0:
		return append(to, p)
	case set[0].Bits() <= p.Bits():
		return to
	}
	low, high := halves(p)
	return outside(outside(to, low, set), high, set)
}

// halves are the two prefixes that one consists of, which is not a single address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	middle := p.Addr().AsSlice()
	middle[(bits-1)/8] |= 1 << (7 - (bits-1)%8)
	address, _ := netip.AddrFromSlice(middle)
	return netip.PrefixFrom(p.Addr(), bits), netip.PrefixFrom(address, bits)
}
