package publish

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// few are prefixes that lie close to each other, in both families.
var few = rapid.Custom(func(t *rapid.T) netip.Prefix {
	low := byte(rapid.IntRange(0, 255).Draw(t, "low"))
	third := byte(rapid.IntRange(0, 3).Draw(t, "third"))
	wide := rapid.IntRange(0, 19).Draw(t, "wide")
	if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
		bits := 128
		if wide == 0 {
			bits = rapid.IntRange(112, 127).Draw(t, "bits")
		}
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 14: third, 15: low}), bits)
	}
	bits := 32
	if wide == 0 {
		bits = rapid.IntRange(20, 31).Draw(t, "bits")
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, third, low}), bits)
})

// holds says, by looking at each, whether an address is in one of some prefixes.
func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// around are the addresses at the borders of prefixes: if two sets differ, they differ in one of these.
func around(sets ...[]netip.Prefix) (all []netip.Addr) {
	for _, p := range slices.Concat(sets...) {
		first := p.Masked().Addr()
		last := first.AsSlice()
		for i := range last {
			for bit := range 8 {
				if i*8+bit >= p.Bits() {
					last[i] |= 0x80 >> bit
				}
			}
		}
		end, _ := netip.AddrFromSlice(last)
		all = append(all, first, first.Prev(), end, end.Next())
	}
	return slices.DeleteFunc(all, func(a netip.Addr) bool { return !a.IsValid() })
}

func same(t *rapid.T, what string, want, got []netip.Prefix) {
	for _, a := range around(want, got) {
		if holds(want, a) != holds(got, a) {
			t.Fatalf("%s: %s is in one and not in the other:\n%v\n%v", what, a, want, got)
		}
	}
}

func TestAggregationIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(few, 0, 300).Draw(t, "prefixes")
		got := Aggregate(slices.Clone(given))
		same(t, "aggregated", given, got)
		for i := 1; i < len(got); i++ {
			if compare(got[i-1], got[i]) >= 0 || got[i-1].Overlaps(got[i]) {
				t.Fatalf("%s stands before %s", got[i-1], got[i])
			}
			if both, ok := joined(got[i-1], got[i]); ok {
				t.Fatalf("%s and %s are %s", got[i-1], got[i], both)
			}
		}
		if again := Aggregate(slices.Clone(got)); !slices.Equal(got, again) {
			t.Fatalf("aggregated again it is %v, not %v", again, got)
		}
	})
}

func TestPiecesTogetherHoldExactlyTheAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfN(few, 100, 300).Draw(t, "prefixes")
		have := rapid.SampledFrom([]int{0, 1, 2, 3, 8, 64}).Draw(t, "have")
		size := rapid.IntRange(70, 200).Draw(t, "size") // a block has 64 at most
		pieces := split(slices.Clone(given), have, size)
		same(t, "divided", given, slices.Concat(pieces...))
		n := len(pieces)
		if n&(n-1) != 0 || n == 0 {
			t.Fatalf("there are %d pieces", n)
		}
		for i, p := range pieces {
			if len(p) > size {
				t.Fatalf("piece %d has %d prefixes, where %d are allowed", i, len(p), size)
			}
		}
		// Seen from what is there now, nothing is divided anew.
		again := split(slices.Clone(given), n, size)
		if len(again) != n {
			t.Fatalf("%d pieces become %d without a change", n, len(again))
		}
		for i := range again {
			if !slices.Equal(again[i], pieces[i]) {
				t.Fatalf("piece %d is another without a change", i)
			}
		}
	})
}

// TestAChangeOfOneAddressTouchesOnePiece, unless it is the one too many.
func TestAChangeOfOneAddressTouchesOnePiece(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := Distinct(rapid.SliceOfN(few, 200, 500).Draw(t, "prefixes"))
		if rapid.Bool().Draw(t, "dense") { // a range that lacks some, but for two whole blocks side by side
			lack := rapid.IntRange(9, 30).Draw(t, "lack")
			given = nil
			for i := range 1024 {
				if i%lack > 0 || i >= 256 && i < 384 {
					given = append(given, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
				}
			}
		}
		size := rapid.IntRange(70, 150).Draw(t, "size")
		have := split(slices.Clone(given), 0, size)
		have = split(slices.Clone(given), len(have), size)
		change := few.Draw(t, "change")
		next := slices.Clone(given)
		if at := slices.Index(next, change.Masked()); at >= 0 {
			next = slices.Delete(next, at, at+1)
		} else {
			next = append(next, change)
		}
		after := split(next, len(have), size)
		if len(after) != len(have) {
			return
		}
		touched := 0
		for i := range have {
			if !slices.Equal(have[i], after[i]) {
				touched++
			}
		}
		if touched > 1 {
			t.Fatalf("%s touches %d of %d pieces", change, touched, len(have))
		}
	})
}

func TestAHundredThousandAddressesFit(t *testing.T) {
	var sparse, dense, holes []netip.Prefix
	for i := range uint32(100_000) {
		spread := i * 2654435761 // over all of 10.0.0.0/8
		sparse = append(sparse, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(spread >> 24), byte(spread >> 16), byte(spread >> 8)}), 32))
		dense = append(dense, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
		if i%64 != 9 {
			holes = append(holes, dense[i])
		}
	}
	atMost := map[string]int{"sparse": 100_000, "dense": 6, "with holes": 10_000}
	for name, given := range map[string][]netip.Prefix{"sparse": sparse, "dense": dense, "with holes": holes} {
		t.Run(name, func(t *testing.T) {
			pieces := Split(slices.Clone(given), 0)
			most, count := 0, 0
			for _, p := range pieces {
				most, count = max(most, len(p)), count+len(p)
			}
			if most > PieceSize || count > atMost[name] {
				t.Errorf("they have %d prefixes, a piece has %d", count, most)
			}
			t.Logf("%d pieces with %d prefixes, at most %d", len(pieces), count, most)
			if got, want := Aggregate(slices.Concat(pieces...)), Aggregate(slices.Clone(given)); !slices.Equal(got, want) {
				t.Error("together they hold other addresses")
			}
		})
	}
}

// TestTheNumberOfPiecesDoesNotFlap lets a set breathe around each border.
func TestTheNumberOfPiecesDoesNotFlap(t *testing.T) {
	address := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 2}), 32)
	}
	var given []netip.Prefix
	pieces, changes := 1, []string{}
	step := func(n int) {
		for i := len(given); i < n; i++ {
			given = append(given, address(i))
		}
		given = given[:n]
		if now := len(split(slices.Clone(given), pieces, 100)); now != pieces {
			changes = append(changes, fmt.Sprintf("%d:%d→%d", n, pieces, now))
			pieces = now
		}
	}
	for n := 0; n < 1000; n += 5 {
		step(n)
		step(max(n-20, 0))
	}
	for n := 1000; n >= 0; n -= 5 {
		step(n)
		step(n + 20)
	}
	step(0)
	if len(changes) > 12 || pieces != 1 {
		t.Errorf("the number of pieces changes %d times and ends with %d: %v", len(changes), pieces, changes)
	}
}

// TestAnyNumberOfPiecesCanBeSaidToBeThere: it stands in an object that somebody may have written.
func TestAnyNumberOfPiecesCanBeSaidToBeThere(t *testing.T) {
	given := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	for _, have := range []int{math.MinInt, -1, MaxPieces - 1, MaxPieces, MaxPieces + 1, 1 << 61, 1<<62 + 1, math.MaxInt} {
		if got := Split(slices.Clone(given), have); len(got) != 1 || !slices.Equal(got[0], given) {
			t.Errorf("of %d there are %d", have, len(got))
		}
		if got := SplitTogether([][]netip.Prefix{slices.Clone(given)}, have); len(got) != 1 || !slices.Equal(got[0][0], given) {
			t.Errorf("of %d together there are %d", have, len(got))
		}
	}
}
