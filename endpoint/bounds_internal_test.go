package endpoint

import (
	"net/netip"
	"testing"
)

// What no endpoint has is refused also where somebody says that a cluster may contribute it.
func TestWhichAddressesAClusterMayContribute(t *testing.T) {
	everything := bounds("0.0.0.0/0", "::/0")
	everything.Never = Prefixes(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
	local := Bounds{Local: true, Never: everything.Never}
	some := bounds("10.4.0.0/16", "fd00::/64")
	none := Bounds{}
	for _, tt := range []struct {
		address                       string
		everything, local, some, none string // reasons
	}{
		{"10.4.0.1", "", "", "", ReasonUnbounded},
		{"10.4.0.0/24", "", "", "", ReasonUnbounded},
		{"10.4.0.0/16", "", "", "", ReasonUnbounded},
		{"10.4.0.0/15", "", "", ReasonOutside, ReasonUnbounded},
		{"10.5.0.1", "", "", ReasonOutside, ReasonUnbounded},
		{"::ffff:10.4.0.1", "", "", "", ReasonUnbounded},
		{"::ffff:10.4.0.0/112", "", "", "", ReasonUnbounded},
		{"::ffff:10.5.0.1", "", "", ReasonOutside, ReasonUnbounded},
		{"fd00::1", "", "", "", ReasonUnbounded},
		{"fd00:0:0:1::1", "", "", ReasonOutside, ReasonUnbounded},

		{"192.0.2.1", ReasonOwn, "", ReasonOutside, ReasonUnbounded},
		{"::ffff:192.0.2.1", ReasonOwn, "", ReasonOutside, ReasonUnbounded},
		{"192.0.2.0/24", ReasonOwn, "", ReasonOutside, ReasonUnbounded},
		{"2001:db8::1", ReasonOwn, "", ReasonOutside, ReasonUnbounded},
		{"192.0.2.2", "", "", ReasonOutside, ReasonUnbounded},

		{"127.0.0.1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"127.8.9.1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::ffff:127.0.0.1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"169.254.169.254", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::ffff:169.254.169.254", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"fe80::1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"224.0.0.1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"239.255.255.250", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"ff02::1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"0.0.0.0", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},

		// Ranges with such an address in them, as network sets may have them.
		{"0.0.0.0/0", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::/0", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::ffff:0:0/96", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"126.0.0.0/7", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"169.0.0.0/8", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"192.0.0.0/2", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"::/64", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"fe00::/8", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},
		{"8000::/1", ReasonSpecial, ReasonSpecial, ReasonSpecial, ReasonSpecial},

		{"", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
		{"web", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
		{"10.4.0.1/33", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
		{"010.4.0.1", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
		{"fd00::1%eth0", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
		{"::ffff:10.4.0.0/90", ReasonUnreadable, ReasonUnreadable, ReasonUnreadable, ReasonUnreadable},
	} {
		t.Run(tt.address, func(t *testing.T) {
			for _, by := range []struct {
				name   string
				bounds Bounds
				want   string
			}{{"one that may contribute everything", everything, tt.everything}, {"the local one", local, tt.local}, {"one that may contribute some", some, tt.some}, {"one that may contribute nothing", none, tt.none}} {
				got := ReasonUnreadable
				if p, err := read(tt.address); err == nil {
					got = by.bounds.refuses(p)
				}
				if got != by.want {
					t.Errorf("%s: %q, want %q", by.name, got, by.want)
				}
				if a, err := netip.ParseAddr(tt.address); err == nil { // as services ask
					if got := by.bounds.Refuses(a); got != by.want {
						t.Errorf("as an address, %s: %q, want %q", by.name, got, by.want)
					}
				}
			}
		})
	}
}

func TestTheExtentOfBounds(t *testing.T) {
	if got := bounds("10.6.0.0/16", "10.4.0.0/16", "10.6.0.0/16").Extent(); got != "10.4.0.0/16,10.6.0.0/16" {
		t.Errorf("the extent is %s", got)
	}
}
