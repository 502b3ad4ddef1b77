package publish

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSetsThatAreSplitTogetherStayWhatTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sets [][]netip.Prefix
		for range rapid.IntRange(1, 4).Draw(t, "sets") {
			var set []netip.Prefix
			for range rapid.IntRange(0, 60).Draw(t, "prefixes") {
				a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "second")), byte(rapid.IntRange(0, 255).Draw(t, "third")), byte(rapid.IntRange(0, 255).Draw(t, "fourth"))})
				set = append(set, netip.PrefixFrom(a, rapid.SampledFrom([]int{24, 30, 31, 32, 32, 32}).Draw(t, "length")).Masked())
			}
			sets = append(sets, set)
		}
		const size = 20
		have := rapid.SampledFrom([]int{0, 1, 2, 3, 8, 64}).Draw(t, "have")
		pieces := splitTogether(sets, have, size)
		if n := len(pieces); n == 0 || n&(n-1) != 0 {
			t.Fatalf("%d pieces", n)
		}
		for i, set := range sets {
			var all []netip.Prefix
			for _, piece := range pieces {
				all = append(all, piece[i]...)
			}
			if got, want := Aggregate(all), Aggregate(slices.Clone(set)); !slices.Equal(got, want) {
				t.Fatalf("set %d: want %v, got %v", i, want, got)
			}
		}
		for _, piece := range pieces {
			count := 0
			for _, set := range piece {
				count += len(set)
			}
			if count > size && len(pieces) < MaxPieces {
				t.Fatalf("a piece of %d has %d prefixes", len(pieces), count)
			}
		}
	})
}
