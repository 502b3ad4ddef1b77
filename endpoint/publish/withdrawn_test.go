package publish

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// pair is a set of two outputs, whose objects stay where the cluster has nothing.
type pair struct {
	*api
	t     *testing.T
	made  *Objects
	clock *testingclock.FakeClock
}

func newPair(t *testing.T) *pair {
	t.Helper()
	a := newAPI(t)
	return &pair{a, t, a.following(t), newClock()}
}

// begins begins a process, which knows what the status says.
func (s *pair) begins(by *v1alpha1.Staleness, known []v1alpha1.FederatedCluster) *process {
	s.t.Helper()
	configMaps := corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind()
	return publishing(s.t, s.clock, s.made, Item{
		Key: webSet, Generation: 5, Known: known, Staleness: by, Places: []Place{{configMaps, "n1"}, {configMaps, "n2"}},
		Render: func(r Request) (Rendered, error) {
			text := strings.Repeat("x", r.Count(0))
			return Rendered{Objects: []client.Object{configMap(ofA, "n1", 1, 1, text), configMap(ofA, "n2", 1, 1, text)}, Endpoints: len(text), Addresses: len(text)}, nil
		},
	})
}

// holds checks what the object of the second output holds.
func (s *pair) holds(when, want string) {
	s.t.Helper()
	if got := s.has()[cmPath("n2", "web-a")]; got != want {
		s.t.Errorf("%s: it holds %q, want %q", when, got, want)
	}
}

// TestWhatSomebodyHasEditedTakesNothingElseAway when the cluster becomes another one, or narrower: what is left as it is says of
// itself what was true once, for ever.
func TestWhatSomebodyHasEditedTakesNothingElseAway(t *testing.T) {
	s := newPair(t)
	p := s.begins(nil, nil)
	p.heard()
	p.state.Bounds = within("10.4.0.0/16")
	p.says(0)
	s.edit(cmPath("n1", "web-a"), s.made, func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "theirs", "data", "addresses")
	})
	p.state.Bounds = within("10.4.0.0/17")
	known := p.says(0)
	if len(known[0].Refused) != 1 || !strings.Contains(known[0].Refused[0], "n1/web-a was edited") {
		t.Fatalf("it says %+v", known[0])
	}
	s.holds("when it is heard of", "x")
	for range 2 {
		p = s.begins(nil, known)
		p.unheard()
		p.state.Bounds = within("10.4.0.0/17")
		p.says(0)
		if known = p.says(grace); len(known[0].Gaps) > 0 {
			t.Errorf("after a restart it says %+v", known[0])
		}
		s.holds("after a restart", "x")
	}
	p.state.Bounds = within("10.4.0.0/18")
	p.says(0)
	s.holds("when it becomes narrower again", "")
}

// TestWhatWasWithdrawnIsMissingUntilTheClusterWasListed, though the objects that are left of it say of themselves what is true
// now, and over restarts.
func TestWhatWasWithdrawnIsMissingUntilTheClusterWasListed(t *testing.T) {
	for name, c := range map[string]struct {
		decided func(*process)
		after   time.Duration
		says    string
	}{
		"it was narrowed":    {func(p *process) { p.state.Bounds = within("10.4.0.0/17") }, 0, "Withdrawn: its endpointCIDRs were narrowed"},
		"it is another one":  {func(p *process) { p.state.ID = "other" }, 0, "Withdrawn: what was made of it was of another cluster"},
		"the set was edited": {func(p *process) { p.items[webSet].Generation = 6 }, reprieve, "Withdrawn: what was made of it was of generation 5"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t)
			p := s.begins(nil, nil)
			p.heard()
			p.state.Bounds = within("10.4.0.0/16")
			known := p.says(0)
			s.holds("at first", "x")
			restart := func() {
				bounds := p.state.Bounds
				p = s.begins(nil, known)
				p.unheard()
				p.state.Bounds = bounds
				c.decided(p)
			}
			missing := func(when string) {
				t.Helper()
				if len(known) != 1 || !slices.ContainsFunc(known[0].Gaps, func(g string) bool { return strings.HasPrefix(g, c.says) }) {
					t.Errorf("%s it says %+v", when, known)
				}
				s.holds(when, "")
			}
			restart()
			p.says(0)
			known = p.says(c.after)
			missing("when it is withdrawn")
			for range 2 {
				known = p.says(grace)
				missing("when it is looked at again")
			}
			restart()
			known = p.says(0)
			missing("after a restart")

			back := func() []v1alpha1.FederatedCluster {
				t.Helper()
				p.state.Synced, p.state.StaleSince = true, time.Time{}
				says := p.says(0)
				if len(says[0].Gaps) > 0 || says[0].ObservedGeneration != p.items[webSet].Generation {
					t.Errorf("when it was listed it says %+v", says[0])
				}
				s.holds("when it was listed", "x")
				return says
			}
			back()
			restart() // before anybody was told that it was listed
			known = p.says(0)
			missing("where it was not told that it was listed")
			known = back()
			restart()
			p.says(0)
			if known = p.says(reprieve); len(known[0].Gaps) > 0 {
				t.Errorf("after the next restart it says %+v", known[0])
			}
			s.holds("after the next restart", "x")
		})
	}
}

// TestWhyItIsWithdrawnIsSaidAsItWasDecidedLast: nothing that was made is of the cluster that has the name now.
func TestWhyItIsWithdrawnIsSaidAsItWasDecidedLast(t *testing.T) {
	s := newPair(t)
	p := s.begins(nil, nil)
	p.heard()
	p.state.Bounds = within("10.4.0.0/16")
	p.says(0)
	p.unheard()
	p.state.Bounds = within("10.4.0.0/17")
	if all := p.says(0); all[0].ObservedGeneration != 5 || !strings.Contains(all[0].Gaps[0], "were narrowed") {
		t.Errorf("when it is narrowed it says %+v", all[0])
	}
	p.state.ID = "other"
	for range 2 {
		if all := p.says(0); all[0].ObservedGeneration != 0 || !strings.Contains(all[0].Gaps[0], "of another cluster") {
			t.Errorf("when it is another one it says %+v", all[0])
		}
	}
}

// TestWhatHasExpiredIsToldByEachObject: the first one may not be there.
func TestWhatHasExpiredIsToldByEachObject(t *testing.T) {
	s := newPair(t)
	s.failing(http.StatusForbidden, http.MethodPost, "/api/v1/namespaces/n1")
	p := s.begins(expiring(), nil)
	p.silent()
	p.says(0)
	s.holds("when it is silent", "x")
	known := p.says(time.Hour)
	if !known[0].Expired || len(known[0].Refused) != 1 {
		t.Fatalf("it says %+v", known[0])
	}
	s.holds("when it has expired", "")
	p = s.begins(expiring(), known)
	p.heard()
	p.says(0)
	s.holds("when it is heard of after a restart", "")
	p.says(10*time.Minute - time.Second)
	s.holds("before it has settled", "")
	p.says(time.Second)
	s.holds("when it has settled", "x")
	for r, o := range s.made.records.of(ofA) {
		if o.annotations[ExpiredAnnotation] != "" {
			t.Errorf("%s says that it has expired", r)
		}
	}
}
