package publish

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// TestWhatWasMadeOfAClusterThatIsNotHeardOfIsWithdrawnWhereSomebodyDecidedOtherwise: after a restart it stays, unless it
// was made of another cluster, or by an earlier generation of the item.
func TestWhatWasMadeOfAClusterThatIsNotHeardOfIsWithdrawnWhereSomebodyDecidedOtherwise(t *testing.T) {
	object := func(id string) *record {
		return &record{ref: ref{aPolicy, "shop", "web.peers-a"}, annotations: map[string]string{ClusterIDAnnotation: id}}
	}
	frozen := func(by string, deleting bool) *record {
		r := object("other")
		r.name, r.editor, r.deleting = "web.peers-a.2", by, deleting
		return r
	}
	by := func(generation int64) []v1alpha1.FederatedCluster {
		return []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: generation, Endpoints: 1, Objects: 1}}
	}
	for name, c := range map[string]struct {
		known   []v1alpha1.FederatedCluster
		objects []*record
		after   time.Duration // it is withdrawn; 0: not at all
		says    string
		left    int64 // the generation that the status speaks of
	}{
		"it was made by this generation":                     {by(5), []*record{object("id")}, 0, "", 5},
		"nothing was made":                                   {by(4), nil, 0, "", 4},
		"it was made by an earlier generation":               {by(4), []*record{object("id")}, reprieve, "of generation 4, and nothing can be made of it by generation 5", 4},
		"nobody knows by which":                              {nil, []*record{object("id")}, reprieve, "of generation 0", 0},
		"it was made of another cluster":                     {by(5), []*record{object("other")}, time.Nanosecond, "of another cluster", 0},
		"nobody knows of which":                              {by(5), []*record{object("")}, time.Nanosecond, "of another cluster", 0},
		"so was what somebody has edited since":              {by(5), []*record{object("id"), frozen("eve", false)}, 0, "", 5},
		"so was what is being deleted":                       {by(5), []*record{object("id"), frozen("", true)}, 0, "", 5},
		"somebody has edited all that there is":              {by(5), []*record{frozen("eve", false)}, time.Nanosecond, "of another cluster", 0},
		"there is something that is none of the policy's":    {by(5), []*record{object("id"), {ref: ref{aPolicy, "dev", "web.peers-a"}}}, 0, "", 5},
		"that is all there is, and it was an earlier policy": {by(4), []*record{{ref: ref{aPolicy, "dev", "web.peers-a"}}}, 0, "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			p := begin(t, clock, c.known, c.objects...)
			p.items[p.at.key].Generation = 5
			p.unheard()
			withdrawn := func(passed time.Duration) *v1alpha1.FederatedCluster {
				t.Helper()
				all := p.says(passed)
				if len(all) == 0 {
					return nil
				}
				// No object is rendered here. That it is to go shows where its kind is unknown.
				if !slices.ContainsFunc(all[0].Refused, func(s string) bool { return strings.Contains(s, "is not wanted any more") }) {
					return nil
				}
				return &all[0]
			}
			if c.after == 0 || c.after == reprieve {
				if e := withdrawn(0); e != nil {
					t.Fatalf("it was withdrawn at once: %+v", e)
				}
				if e := withdrawn(reprieve - time.Second); e != nil {
					t.Fatalf("it was withdrawn before the time: %+v", e)
				}
			}
			e := withdrawn(time.Second)
			if (e != nil) != (c.after > 0) {
				t.Fatalf("withdrawn: %+v", e)
			}
			if e == nil {
				if all := p.says(0); len(all) != 1 || all[0].ObservedGeneration != c.left || len(all[0].Gaps) > 0 {
					t.Errorf("the status says %+v", all)
				}
				return
			}
			if e.ObservedGeneration != c.left || e.Endpoints != 0 || len(e.Gaps) != 1 || !strings.HasPrefix(e.Gaps[0], "Withdrawn: ") || !strings.Contains(e.Gaps[0], c.says) {
				t.Errorf("the status says %+v", e)
			}
			p.heard()
			if all := p.says(0); all[0].ObservedGeneration != 5 || all[0].Endpoints != 1 || len(all[0].Gaps) > 0 {
				t.Errorf("when it is heard of, the status says %+v", all)
			}
		})
	}
}

// TestWhatWasWithdrawnAsAWholeIsSaidToBeMissing until the cluster was listed, also by the next process.
func TestWhatWasWithdrawnAsAWholeIsSaidToBeMissing(t *testing.T) {
	const why = "Withdrawn: what was made of it was of generation 4, and nothing can be made of it by generation 5 before it was listed"
	p := begin(t, newClock(), []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 4, Gaps: []string{"NotConnected: x", why}}})
	p.items[p.at.key].Generation = 5
	p.unheard()
	for range 2 {
		if all := p.says(grace); len(all) != 1 || !slices.Equal(all[0].Gaps, []string{why}) || all[0].ObservedGeneration != 4 {
			t.Errorf("the status says %+v", all)
		}
	}
	p.heard()
	if all := p.says(0); len(all[0].Gaps) > 0 || all[0].ObservedGeneration != 5 {
		t.Errorf("when it is heard of, the status says %+v", all)
	}
}

// TestWhatSomebodyDeletedIsNotCounted where nobody can make it anew.
func TestWhatSomebodyDeletedIsNotCounted(t *testing.T) {
	p := begin(t, newClock(), []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 1, Endpoints: 2, Addresses: 2, Objects: 1}})
	p.items[p.at.key].Generation = 1
	p.unheard()
	p.says(0)
	if all := p.says(grace); len(all) != 1 || all[0].Endpoints != 0 || all[0].Addresses != 0 || all[0].Objects != 0 {
		t.Errorf("the status says %+v", all)
	}
}

// TestAnEarlierGenerationIsNotForgottenByLooking: somebody comes back to it when its time is over.
func TestAnEarlierGenerationIsNotForgottenByLooking(t *testing.T) {
	p := begin(t, newClock(), []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 4}}, &record{
		ref: ref{aPolicy, "shop", "web.peers-a"}, annotations: map[string]string{ClusterIDAnnotation: "id"}})
	p.items[p.at.key].Generation = 5
	p.unheard()
	p.says(0)
	writes := task{p.at.key, p.at.cluster, writing}
	delete(p.queue.noted, writes)
	p.says(grace)
	if due := p.queue.noted[writes]; due.IsZero() || due.After(p.clock.Now().Add(reprieve-grace)) {
		t.Errorf("it is looked at again at %s", due)
	}
}
