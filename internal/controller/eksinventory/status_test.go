package eksinventory

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory/eks"
)

func TestTheStatusIsWrittenWhenItSaysSomethingNew(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	writes := 0
	stale := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all", UID: "u", Generation: 1}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(stale.DeepCopy()).WithStatusSubresource(stale).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			writes++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		}}).Build()
	clock := clocktesting.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Client: c, Clock: clock, Events: recorder}
	r.complete()

	good := eks.Plan{Clusters: 3, Answered: 2, Asked: 2}
	partly := eks.Plan{Clusters: 3, Answered: 1, Asked: 2, Failures: []v1alpha1.InventoryGap{{Where: "a", Reason: v1alpha1.ReasonThrottled, Message: "no"}}}
	steps := []struct {
		name    string
		after   time.Duration
		plan    eks.Plan
		changed func(*v1alpha1.EKSInventory)
		written bool
		event   bool
	}{
		{"the first one", 0, good, nil, true, true},
		{"the same, a minute later, by a cache that does not know it yet", time.Minute, good, nil, false, false},
		{"the same, after five minutes", 4 * time.Minute, good, nil, true, false},
		{"a gap", time.Second, partly, nil, true, true},
		{"the gap goes on, and there is nothing new to say", 10 * time.Minute, partly, nil, false, false},
		{"one more cluster", time.Second, eks.Plan{Clusters: 4, Answered: 2, Asked: 2}, nil, true, true},
		{"another generation", time.Second, eks.Plan{Clusters: 4, Answered: 2, Asked: 2}, func(inv *v1alpha1.EKSInventory) { inv.Generation = 2 }, true, false},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			clock.Step(step.after)
			inv := stale.DeepCopy()
			if step.changed != nil {
				step.changed(inv)
			}
			before := writes
			if err := r.report(t.Context(), inv, step.plan, clock.Now()); err != nil {
				t.Fatal(err)
			}
			if (writes > before) != step.written {
				t.Errorf("%d writes", writes-before)
			}
			event := false
			select {
			case <-recorder.Events:
				event = true
			default:
			}
			if event != step.event {
				t.Errorf("event: %t", event)
			}
		})
	}
}

func TestAStatusStaysSmall(t *testing.T) {
	var gaps []v1alpha1.InventoryGap
	for i := range 250 {
		gaps = append(gaps, v1alpha1.InventoryGap{Where: fmt.Sprint(i), Reason: v1alpha1.ReasonThrottled})
	}
	got := capped(gaps)
	if len(got) != maxGaps || got[maxGaps-2].Where != "98" || got[maxGaps-1].Message != "151 more gaps are not listed" {
		t.Errorf("%d gaps, the last of them %+v", len(got), got[maxGaps-2:])
	}
	if len(capped(gaps[:maxGaps])) != maxGaps {
		t.Error("as many as fit are not kept")
	}
}
