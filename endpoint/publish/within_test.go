package publish

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

func within(cidrs ...string) endpoint.Bounds {
	b, err := endpoint.ParseBounds(cidrs)
	if err != nil {
		panic(err)
	}
	return b
}

// TestWhatMayLieOutsideOfNarrowedBoundsIsWithdrawn, also of a cluster that was not listed since a restart: at once, and in
// whole, as nobody knows what was where.
func TestWhatMayLieOutsideOfNarrowedBoundsIsWithdrawn(t *testing.T) {
	for name, c := range map[string]struct {
		made []string // where
		now  endpoint.Bounds
		want bool
	}{
		"the same":                       {[]string{"10.4.0.0/16,10.6.0.0/16"}, within("10.6.0.0/16", "10.4.0.0/16"), false},
		"wider":                          {[]string{"10.4.0.0/16"}, within("10.0.0.0/8"), false},
		"narrower":                       {[]string{"10.4.0.0/16"}, within("10.4.0.0/17"), true},
		"one range less":                 {[]string{"10.4.0.0/16,10.6.0.0/16"}, within("10.4.0.0/16"), true},
		"one object of before":           {[]string{"10.4.0.0/16", "10.4.0.0/15"}, within("10.4.0.0/16"), true},
		"the local one, bounded at last": {[]string{endpoint.Bounds{Local: true}.Extent()}, endpoint.Bounds{Local: true, Within: within("10.4.0.0/16").Within}, true},
		"nobody knows where":             {[]string{""}, within("10.4.0.0/16"), false},
		"nothing was made":               {nil, within("10.4.0.0/16"), false},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			var objects []*record
			for i, where := range c.made {
				objects = append(objects, &record{ref: ref{aPolicy, "shop", Name(MaxName, "web.peers", "a", i+1)}, annotations: map[string]string{ClusterIDAnnotation: "id", WithinAnnotation: where}})
			}
			p := begin(t, clock, []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 5, Endpoints: 1, Objects: 1}}, objects...)
			p.items[p.at.key].Generation = 5
			p.unheard()
			p.state.Bounds = c.now
			all := p.says(0)
			// No object is rendered here. That it is to go shows where its kind is unknown.
			gone := len(all) == 1 && slices.ContainsFunc(all[0].Refused, func(s string) bool { return strings.Contains(s, "is not wanted any more") })
			if gone != c.want {
				t.Fatalf("withdrawn: %t: %+v", gone, all)
			}
			if gone && (all[0].Endpoints != 0 || len(all[0].Gaps) != 1 || !strings.HasPrefix(all[0].Gaps[0], "Withdrawn: ")) {
				t.Errorf("the status says %+v", all[0])
			}
		})
	}
}

// Whether all that bounds allowed is allowed by others, as when somebody edits them.
func TestWhichBoundsHoldOthers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		now    endpoint.Bounds
		extent string
		want   bool
	}{
		{"the same", within("10.4.0.0/16", "fd00::/64"), "10.4.0.0/16,fd00::/64", true},
		{"wider", within("10.0.0.0/8", "fd00::/8"), "10.4.0.0/16,fd00::/64", true},
		{"narrower", within("10.4.0.0/17"), "10.4.0.0/16", false},
		{"one is taken out", within("10.4.0.0/16"), "10.4.0.0/16,10.6.0.0/28", false},
		{"of the other family", within("0.0.0.0/0"), "fd00::/64", false},
		{"two halves", within("10.4.0.0/17", "10.4.128.0/17"), "10.4.0.0/16", true},
		{"pieces of all sizes", within("10.4.128.0/17", "10.4.64.0/18", "10.4.0.0/19", "10.4.32.0/19"), "10.4.0.0/16", true},
		{"pieces with a hole", within("10.4.128.0/17", "10.4.64.0/18", "10.4.0.0/19", "10.4.32.0/20", "10.4.48.0/21", "10.4.57.0/24"), "10.4.0.0/16", false},
		{"all but one address", within("10.4.0.0/32", "10.4.0.2/31"), "10.4.0.0/30", false},
		{"one address", within("10.4.0.1/32"), "10.4.0.1/32", true},
		{"halves of IPv6", within("fd00::/65", "fd00:0:0:0:8000::/65"), "fd00::/64", true},
		{"nothing", endpoint.Bounds{}, "10.4.0.0/16", false},
		{"the local one, of which nothing is said", endpoint.Bounds{Local: true}, "10.4.0.0/16,fd00::/64", true},
		{"what was anywhere, and is not any more", endpoint.Bounds{Local: true, Within: within("10.4.0.0/16").Within}, endpoint.Bounds{Local: true}.Extent(), false},
		{"anywhere, in halves", within("0.0.0.0/1", "128.0.0.0/1", "::/0"), endpoint.Bounds{Local: true}.Extent(), true},
		{"what cannot be read", endpoint.Bounds{Local: true}, "10.4.0.0/16,web", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := stillWithin(tt.now, tt.extent); got != tt.want {
				t.Errorf("%s holds %s: %t", tt.now.Extent(), tt.extent, got)
			}
			if own := tt.now.Extent(); own != "" && !stillWithin(tt.now, own) {
				t.Errorf("%s does not hold itself", own)
			}
		})
	}
}

// TestObjectsSayWhereTheirAddressesMayBe: all of them, as one may be written, and another not.
func TestObjectsSayWhereTheirAddressesMayBe(t *testing.T) {
	p := begin(t, newClock(), nil)
	for want, of := range map[string]endpoint.Bounds{"10.4.0.0/16,10.6.0.0/16": within("10.6.0.0/16", "10.4.0.0/16"), "0.0.0.0/0,::/0": {Local: true}, "": {}} {
		two := anObject()
		two.Objects = append(two.Objects, anObject().Objects...)
		two.Objects[1].SetName("second")
		all, err := p.wants(t.Context(), p.at, p.items[p.at.key], two, view{phase: current, state: endpoint.ClusterState{Bounds: of}})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range all {
			if got := w.object.GetAnnotations()[WithinAnnotation]; got != want {
				t.Errorf("%s is within %q, want %q", w.ref, got, want)
			}
		}
	}
	if !slices.Contains(written, WithinAnnotation) {
		t.Error("that is no part of what we write")
	}
}

// TestAFirstListThatTakesLongTakesNothingAway, as long as nothing is wrong with it. Until then nobody says that the cluster is
// not heard of, or the next process would count from there.
func TestAFirstListThatTakesLongTakesNothingAway(t *testing.T) {
	clock := newClock()
	p := begin(t, clock, []v1alpha1.FederatedCluster{{Name: "a", Endpoints: 1}})
	p.items[p.at.key].Staleness.ExpireAfter.Duration = 10 * time.Second
	listing := func() {
		p.unheard()
		p.state.Beginning = true
		p.state.Gaps = []endpoint.Gap{{Reason: endpoint.ReasonNotListed, Message: "not everything was listed yet"}}
	}
	listing()
	p.says(0)
	all := p.is(2*time.Minute, never, false)
	if !slices.Equal(all[0].Gaps, []string{"NotListedYet: not everything was listed yet"}) {
		t.Errorf("the status says %+v", all)
	}
	p = begin(t, clock, all) // and another one
	p.items[p.at.key].Staleness.ExpireAfter.Duration = 10 * time.Second
	listing()
	since := clock.Now()
	p.says(0)
	p.is(time.Minute, never, false)
	p.state.Beginning = false
	if !p.told() {
		t.Error("nothing is made anew when it goes wrong")
	}
	p.is(0, since, true)
}
