package publish

import (
	"cmp"
	"net/netip"
	"slices"
)

// Aggregate returns the fewest prefixes that hold exactly the addresses that some prefixes hold, in order. It sorts
// what it is given.
func Aggregate(prefixes []netip.Prefix) []netip.Prefix {
	for i, p := range prefixes {
		prefixes[i] = p.Masked()
	}
	slices.SortFunc(prefixes, compare)
	var stack []netip.Prefix
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		if n := len(stack); n > 0 && Holds(stack[n-1], p) {
			continue
		}
		stack = append(stack, p)
		for n := len(stack); n > 1; n-- {
			both, ok := joined(stack[n-2], stack[n-1])
			if !ok {
				break
			}
			stack = append(stack[:n-2], both)
		}
	}
	return stack
}

// compare orders prefixes by address, IPv4 first; one that holds another comes before it.
func compare(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// joined is the prefix that consists of two neighbours, the lower one first.
func joined(a, b netip.Prefix) (both netip.Prefix, ok bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().BitLen() != b.Addr().BitLen() {
		return both, false
	}
	both = netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return both, both.Addr() == a.Addr() && both.Contains(b.Addr())
}

// Distinct sorts prefixes and leaves each once, whether or not others hold it.
func Distinct(prefixes []netip.Prefix) []netip.Prefix {
	for i, p := range prefixes {
		prefixes[i] = p.Masked()
	}
	slices.SortFunc(prefixes, compare)
	return slices.Compact(prefixes)
}

// Texts are prefixes as objects have them.
func Texts(prefixes []netip.Prefix) []string {
	all := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		all = append(all, p.String())
	}
	return all
}
