package publish

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestWhatAPrefixHasInCommonWithOthers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	draw := func() netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))}), 24+random.IntN(9)).Masked()
	}
	for range 2000 {
		var others []netip.Prefix
		for range random.IntN(6) {
			others = append(others, draw())
		}
		p := draw()
		others = Aggregate(others)
		var want []netip.Prefix
		for _, o := range others {
			if p.Overlaps(o) && p.Bits() < o.Bits() {
				want = append(want, o)
			} else if p.Overlaps(o) {
				want = append(want, p)
			}
		}
		if got := Within(nil, p, others); !slices.Equal(got, want) {
			t.Fatalf("%s has %v in common with %v, want %v", p, got, others, want)
		}
	}
}

func TestWhatIsLeftOfAPrefix(t *testing.T) {
	for _, test := range []struct{ name, p, taken, want string }{
		{"nothing is taken", "10.0.0.0/8", "", "[10.0.0.0/8]"},
		{"others are", "10.4.0.0/16", "10.3.0.0/16 10.5.0.0/16 fd00::/8", "[10.4.0.0/16]"},
		{"itself is", "10.4.0.0/16", "10.3.0.0/16 10.4.0.0/16", "[]"},
		{"a wider one is", "10.4.0.0/16", "10.0.0.0/8", "[]"},
		{"its ends are", "10.4.0.0/30", "10.4.0.0/32 10.4.0.3/32", "[10.4.0.1/32 10.4.0.2/32]"},
		{"a half is, of another family, too", "fd00::/126", "10.0.0.0/8 fd00::2/127", "[fd00::/127]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var taken []netip.Prefix
			for _, text := range strings.Fields(test.taken) {
				taken = append(taken, netip.MustParsePrefix(text))
			}
			if got := fmt.Sprint(Outside(nil, netip.MustParsePrefix(test.p), taken)); got != test.want {
				t.Errorf("%s is left, want %s", got, test.want)
			}
		})
	}
}
