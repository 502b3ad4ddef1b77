// Package eksinventory is the controller of EKSInventories: it keeps RemoteClusters in step with the EKS
// clusters that are found. AWS is asked by one goroutine for each inventory, so that no reconcile waits for
// it, and a region that never answers costs a gap and nothing else.
package eksinventory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/eks"
	"github.com/hawser-io/hawser/inventory/registry"
)

// What a look is given where the Reconciler does not say otherwise.
const (
	DefaultCallTimeout = 20 * time.Second
	DefaultParallel    = 8
)

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	// Live reads RemoteClusters past the cache before a new name is given away.
	Live client.Reader
	// Identities, Sessions and Clusters are how AWS is asked.
	Identities aws.Reader
	Sessions   *aws.Sessions
	Clusters   aws.Clusters
	Events     events.EventRecorder
	Clock      clock.WithTicker
	// Local is the name of the local cluster.
	Local string
	// CallTimeout is the deadline of each call to AWS, Parallel how many are made at a time, for each inventory.
	CallTimeout time.Duration
	Parallel    int

	writer   registry.Writer
	lifetime context.Context //nolint:containedctx // that of the controller, in which collectors live longer than the reconcile that starts them
	enqueue  func(inventory string)
	running  sync.WaitGroup // collectors

	mu         sync.Mutex
	ended      bool                  // no collector may be started any more
	collectors map[string]*collector // by inventory, as all here
	written    map[string]statusNote
}

// Reconcile brings the RemoteClusters of an inventory in step with what was found last, and says so. A
// deleted inventory leaves its RemoteClusters as they are.
func (r *Reconciler) Reconcile(ctx context.Context, inv *v1alpha1.EKSInventory) (reconcile.Result, error) {
	if !inv.DeletionTimestamp.IsZero() {
		r.forget(inv.Name)
		return reconcile.Result{}, nil
	}
	found := r.collector(inv).result()
	if found == nil {
		return reconcile.Result{}, nil // the collector enqueues the inventory when it knows something
	}
	plan, err := r.plan(ctx, inv, found)
	if err != nil {
		return reconcile.Result{}, err
	}
	acted := r.act(ctx, inv, &plan)
	return reconcile.Result{}, errors.Join(acted, r.report(ctx, inv, plan, found.at))
}

// plan decides by the cache, and by the API server itself before a name is given away: a cache that
// does not know the latest name yet would give it to two clusters.
func (r *Reconciler) plan(ctx context.Context, inv *v1alpha1.EKSInventory, found *result) (eks.Plan, error) {
	in := eks.Input{Inventory: inv, Answers: found.answers, Local: r.Local, Now: r.Clock.Now()}
	var plan eks.Plan
	for _, reader := range []client.Reader{r.Client, r.Live} {
		var all v1alpha1.RemoteClusterList
		if err := reader.List(ctx, &all); err != nil {
			return plan, fmt.Errorf("listing RemoteClusters: %w", err)
		}
		in.Existing = all.Items
		if plan = eks.Decide(in); !plan.Creates() {
			break
		}
	}
	return plan, nil
}

// act carries the plan out. What cannot be done becomes a gap, and holds up nothing else.
func (r *Reconciler) act(ctx context.Context, inv *v1alpha1.EKSInventory, plan *eks.Plan) error {
	var errs []error
	for _, step := range plan.Steps {
		name, err := r.do(ctx, step)
		switch {
		case err == nil:
			r.tell(ctx, inv, step.Do, name)
			continue
		case !apierrors.IsConflict(err): // which comes right with the next attempt
			plan.Failures = append(plan.Failures, v1alpha1.InventoryGap{
				Where: fmt.Sprintf("RemoteCluster %q", name), Reason: reasonOf(err), Message: err.Error(),
			})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *Reconciler) do(ctx context.Context, step eks.Step) (name string, err error) {
	if step.Do == eks.Delete {
		return step.Have.Name, r.writer.Delete(ctx, step.Have)
	}
	return step.Want.Name, r.writer.Apply(ctx, step.Want, step.Have)
}

// done says what a step did, for events and logs.
var done = map[eks.Action]struct{ reason, text string }{
	eks.Create:  {"Created", "connects RemoteCluster %q"},
	eks.Enable:  {"Enabled", "enabled RemoteCluster %q, whose cluster was found again"},
	eks.Disable: {v1alpha1.ReasonDisabled, "disabled RemoteCluster %q, whose cluster is gone"},
	eks.Delete:  {"Deleted", "deleted RemoteCluster %q, whose cluster is gone"},
}

func (r *Reconciler) tell(ctx context.Context, inv *v1alpha1.EKSInventory, did eks.Action, name string) {
	what, ok := done[did]
	if !ok {
		return
	}
	log.FromContext(ctx).Info("RemoteCluster changed", "action", did, "remoteCluster", name)
	r.Events.Eventf(inv, nil, "Normal", what.reason, string(did), what.text, name)
}

func reasonOf(err error) string {
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return v1alpha1.ReasonServerError
}
