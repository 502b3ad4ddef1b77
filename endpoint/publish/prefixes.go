package publish

import (
	"net/netip"
	"sort"
)

// Holds says that all of a prefix lies in another.
func Holds(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// The sets of addresses below are as Aggregate makes them: prefixes in order, none within another. They are asked of masked
// prefixes.

// Overlapping are the prefixes of a set that share addresses with p: one that holds it, or all that it holds. They are part
// of the set.
func Overlapping(set []netip.Prefix, p netip.Prefix) []netip.Prefix {
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

// Within appends what of a prefix is in a set.
func Within(to []netip.Prefix, p netip.Prefix, set []netip.Prefix) []netip.Prefix {
	for _, o := range Overlapping(set, p) {
		if o.Bits() < p.Bits() {
			o = p
		}
		to = append(to, o)
	}
	return to
}

// Outside appends what of a prefix is not in a set.
func Outside(to []netip.Prefix, p netip.Prefix, set []netip.Prefix) []netip.Prefix {
	set = Overlapping(set, p)
	switch {
	case len(set) == 0:
		return append(to, p)
	case set[0].Bits() <= p.Bits():
		return to
	}
	low, high := halves(p)
	return Outside(Outside(to, low, set), high, set)
}

// halves are the two prefixes that one consists of, which is not a single address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits()
	middle := p.Addr().AsSlice()
	middle[bits/8] |= 0x80 >> (bits % 8)
	address, _ := netip.AddrFromSlice(middle)
	return netip.PrefixFrom(p.Addr(), bits+1), netip.PrefixFrom(address, bits+1)
}
