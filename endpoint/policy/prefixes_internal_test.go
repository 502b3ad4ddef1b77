package policy

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/publish"
)

// somePrefixes draws ranges around a few addresses, of one family or the other.
func somePrefixes(t *rapid.T, what string) (all []netip.Prefix) {
	for range rapid.IntRange(0, 6).Draw(t, what) {
		all = append(all, somePrefix(t))
	}
	return all
}

func somePrefix(t *rapid.T) netip.Prefix {
	last := byte(rapid.IntRange(0, 31).Draw(t, "last"))
	if rapid.Bool().Draw(t, "IPv6") {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 15: last}), rapid.IntRange(123, 128).Draw(t, "length")).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), rapid.IntRange(27, 32).Draw(t, "length")).Masked()
}

func has(set []netip.Prefix, a netip.Addr) bool {
	for _, p := range set {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func TestSetsOfAddressesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, nets, not := somePrefix(t), somePrefixes(t, "nets"), somePrefixes(t, "not")
		side := &Side{Nets: nets, NotNets: not}
		sieve := sieve{nets: publish.Aggregate(append([]netip.Prefix(nil), nets...)), not: publish.Aggregate(append([]netip.Prefix(nil), not...)), bounded: nets != nil}
		kept := sieve.keep(nil, p)
		blocks, bounded := side.blocks()
		for i := range 40 {
			for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.AddrFrom16([16]byte{0xfd, 15: byte(i)})} {
				allowed := (nets == nil || has(nets, a)) && !has(not, a)
				if got := has(kept, a); got != (allowed && p.Contains(a)) {
					t.Fatalf("is %s in what is kept of %s? nets %v, not %v: got %t", a, p, nets, not, got)
				}
				in := !bounded
				for _, b := range blocks {
					in = in || b.net.Contains(a) && !has(b.except, a)
					for _, x := range b.except {
						if x.Bits() <= b.net.Bits() || !b.net.Contains(x.Addr()) {
							t.Fatalf("the exception %s is no part of %s", x, b.net)
						}
					}
				}
				if in != allowed {
					t.Fatalf("is %s in the blocks %v of nets %v, not %v? got %t", a, blocks, nets, not, in)
				}
			}
		}
	})
}

func TestPortsThatAreLeftAreExact(t *testing.T) {
	draw := func(t *rapid.T, what string) (all []PortRange) {
		for range rapid.IntRange(0, 5).Draw(t, what) {
			first := rapid.SampledFrom([]uint16{1, 2, 3, 5, 8, 65534, 65535}).Draw(t, "first")
			last := rapid.SampledFrom([]uint16{1, 2, 4, 5, 9, 65534, 65535}).Draw(t, "last")
			all = append(all, PortRange{min(first, last), max(first, last)})
		}
		return all
	}
	in := func(all []PortRange, n int) bool {
		for _, r := range all {
			if int(r.First) <= n && n <= int(r.Last) {
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(t *rapid.T) {
		said, not := draw(t, "ports"), draw(t, "not")
		left := without(merged(append([]PortRange(nil), said...)), merged(append([]PortRange(nil), not...)))
		for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30000, 65533, 65534, 65535} {
			if got := in(left, n); got != (in(said, n) && !in(not, n)) {
				t.Fatalf("is %d in %v, which is %v without %v? got %t", n, left, said, not, got)
			}
		}
		for i, r := range left {
			if r.First > r.Last || i > 0 && int(r.First) <= int(left[i-1].Last)+1 {
				t.Fatalf("%v is not in order, or not apart", left)
			}
		}
	})
}
