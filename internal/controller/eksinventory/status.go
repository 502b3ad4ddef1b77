package eksinventory

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/eks"
)

const (
	// statusInterval is the least time between two writes of a status in which nothing but syncedAt changed.
	statusInterval = 5 * time.Minute
	// maxGaps keeps a status small where hundreds of accounts do not answer.
	maxGaps = 100
)

// statusNote is what was written last, since the cache may still show an older one.
type statusNote struct {
	uid    types.UID
	status v1alpha1.EKSInventoryStatus
	at     time.Time
}

// report writes the status if it says something new, or is old.
func (r *Reconciler) report(ctx context.Context, inv *v1alpha1.EKSInventory, plan eks.Plan, at time.Time) error {
	last := r.lastWritten(inv)
	before := inv.DeepCopy()
	if !last.at.IsZero() {
		last.status.DeepCopyInto(&inv.Status)
	}
	old := inv.Status.DeepCopy()
	fill(&inv.Status, plan, inv.Generation, at)
	if equality.Semantic.DeepEqual(*old, inv.Status) || (same(*old, inv.Status) && r.Clock.Since(last.at) < statusInterval) {
		return nil
	}
	status := *inv.Status.DeepCopy()
	if err := r.Client.Status().Patch(ctx, inv, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of EKSInventory %q: %w", inv.Name, err)
	}
	r.mu.Lock()
	r.written[inv.Name] = statusNote{inv.UID, status, r.Clock.Now()}
	r.mu.Unlock()
	r.announce(ctx, inv, old)
	return nil
}

func (r *Reconciler) lastWritten(inv *v1alpha1.EKSInventory) statusNote {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.written[inv.Name]; last.uid == inv.UID {
		return last
	}
	return statusNote{}
}

func fill(status *v1alpha1.EKSInventoryStatus, plan eks.Plan, generation int64, at time.Time) {
	ready := plan.Condition()
	ready.ObservedGeneration = generation
	meta.SetStatusCondition(&status.Conditions, ready)
	status.ObservedGeneration = generation
	status.Clusters = int32(min(plan.Clusters, 1<<30)) //nolint:gosec // bounded
	status.Gaps = capped(plan.Gaps())
	if plan.Answered == plan.Asked {
		status.SyncedAt = &metav1.Time{Time: at.Truncate(time.Second)} // what the API server stores
	}
}

func capped(gaps []v1alpha1.InventoryGap) []v1alpha1.InventoryGap {
	if len(gaps) <= maxGaps {
		return gaps
	}
	more := len(gaps) - maxGaps + 1
	return append(gaps[:maxGaps-1:maxGaps-1], v1alpha1.InventoryGap{
		Where: "elsewhere", Reason: gaps[maxGaps-1].Reason, Message: fmt.Sprintf("%d more gaps are not listed", more),
	})
}

// same reports whether two statuses say the same, but for when.
func same(a, b v1alpha1.EKSInventoryStatus) bool {
	a.SyncedAt, b.SyncedAt = nil, nil
	return equality.Semantic.DeepEqual(a, b)
}

// announce logs and sends an event when Ready changed.
func (r *Reconciler) announce(ctx context.Context, inv *v1alpha1.EKSInventory, old *v1alpha1.EKSInventoryStatus) {
	now, then := meta.FindStatusCondition(inv.Status.Conditions, v1alpha1.Ready), meta.FindStatusCondition(old.Conditions, v1alpha1.Ready)
	if now == nil || (then != nil && then.Status == now.Status && then.Reason == now.Reason) {
		return
	}
	kind := "Normal"
	if now.Status != metav1.ConditionTrue {
		kind = "Warning"
	}
	log.FromContext(ctx).Info("condition changed", "type", now.Type, "status", now.Status, "reason", now.Reason, "message", now.Message)
	r.Events.Eventf(inv, nil, kind, now.Reason, now.Type, "%s", note(now.Message))
}

// note fits a message into an event, which takes 1 kB.
func note(message string) string {
	if text := []rune(message); len(text) > 1000 {
		return string(text[:1000]) + "…"
	}
	return message
}
