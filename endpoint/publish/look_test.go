package publish

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// told tells a publisher that a cluster has changed, and says whether everything is made anew.
func (p *process) told() bool {
	p.t.Helper()
	writes := task{p.at.key, p.at.cluster, writing}
	p.queue.mu.Lock()
	delete(p.queue.noted, writes)
	p.queue.mu.Unlock()
	p.spread(task{cluster: p.at.cluster, what: spreading})
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	_, anew := p.queue.noted[writes]
	return anew
}

// TestGapsAloneMakeNothingAnew: a remote cluster can change them as often as it likes.
func TestGapsAloneMakeNothingAnew(t *testing.T) {
	clock := newClock()
	p := begin(t, clock, nil)
	p.heard()
	if !p.told() {
		t.Error("a cluster that was never looked at is not")
	}
	p.says(0)
	reports := task{p.at.key, p.at.cluster, reporting}
	delete(p.reports.noted, reports)
	said := func(want ...string) {
		t.Helper()
		if got := p.progress[p.at].entry.Gaps; !slices.Equal(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	gap := func(count int, address string) {
		p.state.Gaps = []endpoint.Gap{{Reason: "OutsideCIDRs", Message: "addresses outside of spec.endpointCIDRs, as " + address + " of pod shop/web", Count: count}}
	}
	gap(1, "10.9.0.1")
	if p.told() {
		t.Error("everything is made anew for a gap")
	}
	said("OutsideCIDRs: addresses outside of spec.endpointCIDRs")
	if due := p.reports.noted[reports]; !due.Equal(clock.Now().Add(mentionEvery * p.options.StatusEvery)) {
		t.Errorf("it is said at %s", due)
	}
	delete(p.reports.noted, reports)
	gap(2, "10.9.0.7")
	if p.told() || !p.reports.noted[reports].IsZero() {
		t.Error("another address outside is something to say")
	}
	p.says(0)
	said("OutsideCIDRs: addresses outside of spec.endpointCIDRs")

	for what, change := range map[string]func(){
		"its ID":     func() { p.state.ID = "other" },
		"its labels": func() { p.state.Labels = map[string]string{"env": "prod"} },
		"silence":    func() { p.state.StaleSince = clock.Now() },
		"a loss":     func() { p.state.Synced = false },
		"local":      func() { p.state.Local = true },
		"a fault":    func() { p.state.Beginning = true },
		"bounds":     func() { p.state.Bounds = within("10.4.0.0/16") },
	} {
		p.heard()
		p.says(0)
		if change(); !p.told() {
			t.Errorf("nothing is made anew for %s", what)
		}
	}
}

// TestWhatIsMissingIsSaidAsItWasSeenLast: it may change while objects are written.
func TestWhatIsMissingIsSaidAsItWasSeenLast(t *testing.T) {
	p := begin(t, newClock(), nil)
	p.heard()
	p.says(0)
	render := p.items[p.at.key].Render
	p.items[p.at.key].Render = func(r Request) (Rendered, error) {
		p.state.Gaps = []endpoint.Gap{{Reason: "Forbidden", Message: "pods"}}
		p.told()
		return render(r)
	}
	if all := p.says(0); len(all[0].Gaps) != 1 {
		t.Errorf("it says %+v", all)
	}
}

// TestALinkThatFlapsWritesNoObject where addresses expire: they say since when a cluster is silent once it has been for a
// while.
func TestALinkThatFlapsWritesNoObject(t *testing.T) {
	for name, c := range map[string]struct{ expires, lasts time.Duration }{
		"an hour":    {time.Hour, time.Minute},
		"10 seconds": {10 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			p := begin(t, clock, nil)
			item := p.items[p.at.key]
			item.Staleness.ExpireAfter.Duration = c.expires
			p.silent()
			p.says(0)
			writes := task{p.at.key, p.at.cluster, writing}
			since := func() string {
				t.Helper()
				delete(p.queue.noted, writes)
				item, of := p.look(p.at)
				all, err := p.wants(t.Context(), p.at, item, anObject(), of)
				if err != nil {
					t.Fatal(err)
				}
				return all[0].object.GetAnnotations()[StaleSinceAnnotation]
			}
			if got := since(); got != "" {
				t.Errorf("it says at once that it is silent since %s", got)
			}
			if due := p.queue.noted[writes]; !due.Equal(clock.Now().Add(c.lasts)) {
				t.Errorf("it is looked at again at %s", due)
			}
			clock.Step(c.lasts - time.Nanosecond)
			if got := since(); got != "" {
				t.Errorf("it says too early that it is silent since %s", got)
			}
			clock.Step(time.Nanosecond)
			if got := since(); got != "2026-11-21T12:00:00Z" {
				t.Errorf("it is silent since %q", got)
			}
		})
	}
}

// TestMoreAddressesThanAnItemHasOfAClusterAreRefused: what stands stays, unless it is of an earlier generation.
func TestMoreAddressesThanAnItemHasOfAClusterAreRefused(t *testing.T) {
	const removed = "NetworkPolicy shop/web.peers-a is not wanted any more, and cannot be deleted"
	for name, c := range map[string]struct {
		addresses   int
		made, stays int64
		want        []string
	}{
		"as many as may be": {MaxAddresses, 5, 5, []string{removed}},
		"more":              {MaxAddresses + 1, 5, 5, []string{"more than 131072 addresses match in this cluster: what was made stays as it is"}},
		"more, where an earlier generation was made": {MaxAddresses + 1, 4, 5, []string{"more than 131072 addresses match in this cluster: nothing of it is let stand", removed}},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, newClock(), []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: c.made}}, &record{
				ref: ref{aPolicy, "shop", "web.peers-a"}, annotations: map[string]string{ClusterIDAnnotation: "id"}})
			p.heard()
			item := p.items[p.at.key]
			item.Generation = 5
			item.Render = func(r Request) (Rendered, error) { return Rendered{Addresses: c.addresses * r.Count(0)}, nil }
			all := p.says(0)
			if len(all) != 1 || len(all[0].Refused) != len(c.want) || all[0].ObservedGeneration != c.stays {
				t.Fatalf("it says %+v", all)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(all[0].Refused[i], want) {
					t.Errorf("it says %q", all[0].Refused)
				}
			}
		})
	}
}
