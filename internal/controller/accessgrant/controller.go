// Package accessgrant is the controller of AccessGrants. It runs in the cluster that is entered, with
// the member controllers, and makes of each grant what package grant says: accounts in namespace
// hawser-grants, bindings, and the Role by which one connection may mint tokens of its accounts. It
// repairs what others change of that, removes what is no longer asked for, and touches nothing else.
//
// Whether the author of a grant may give away what it says is not decided here, but by the admission
// policy of package member; without that policy the controller gives nothing away.
package accessgrant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/guard"
)

// reconciler holds what the controller works with.
type reconciler struct {
	client client.Client
	// live reads past the cache, which holds only what carries Hawser's label.
	live   client.Reader
	guard  *guard.Policy
	clock  clock.Clock
	usable func(*v1alpha1.TrustedIssuer) bool
}

// Reconcile carries out one grant, or takes it back.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var g v1alpha1.AccessGrant
	if err := r.client.Get(ctx, req.NamespacedName, &g); apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.sweep(ctx, req.Name)
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading AccessGrant %q: %w", req.Name, err)
	}
	there, err := r.madeFor(ctx, g.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if g.DeletionTimestamp != nil { // and waits for somebody else, or for what it owns
		_, err := r.carryOut(ctx, g.Name, grant.ChangesTo(nil, there))
		return reconcile.Result{}, errors.Join(err, r.release(ctx, &g))
	}
	if err := r.release(ctx, &g); err != nil {
		return reconcile.Result{}, err
	}
	if grant.Ended(&g, r.clock.Now()) {
		_, err := r.carryOut(ctx, g.Name, grant.ChangesTo(nil, there))
		return reconcile.Result{}, errors.Join(err, r.report(ctx, &g, outcome{ended: true}))
	}
	done, err := r.carry(ctx, &g, there)
	if err != nil && !permanent(err) {
		return reconcile.Result{}, err
	}
	done.err = err
	return reconcile.Result{RequeueAfter: r.next(&g, done)}, r.report(ctx, &g, done)
}

// carry makes what the grant comes to.
func (r *reconciler) carry(ctx context.Context, g *v1alpha1.AccessGrant, there []client.Object) (outcome, error) {
	world, err := r.world(ctx, g)
	if err != nil {
		return outcome{}, err
	}
	unguarded := r.guard.Missing(ctx)
	for {
		wanted, err := grant.For(g, world.World)
		if err != nil {
			return outcome{}, permanentError{err}
		}
		out := outcome{wanted: wanted, rules: grant.Rules(g, world.Roles), unguarded: unguarded}
		changes := grant.ChangesTo(wanted.Objects, there)
		if unguarded != nil {
			changes.Create, changes.Update = nil, nil
		}
		taken, err := r.carryOut(ctx, g.Name, changes)
		out.taken = append(world.taken(), taken...)
		if !world.take(taken) {
			return out, err
		}
		// Somebody else's account has the name of one of ours: once more, without giving it anything.
	}
}

// sweep removes at once what is left of a grant that is gone, rights first. The garbage collector would do it
// as well, in some order and in its own time.
func (r *reconciler) sweep(ctx context.Context, name string) error {
	there, err := r.madeFor(ctx, name)
	if err != nil || len(there) == 0 {
		return err
	}
	err = r.live.Get(ctx, client.ObjectKey{Name: name}, &v1alpha1.AccessGrant{})
	if !apierrors.IsNotFound(err) {
		return err // it is there and comes as an event, or could not be read
	}
	_, err = r.carryOut(ctx, name, grant.ChangesTo(nil, there))
	return err
}

// release takes off the finalizer that earlier versions put on: a grant owns what was made of it, so that the
// garbage collector takes that back, also where no controller runs any more.
func (r *reconciler) release(ctx context.Context, g *v1alpha1.AccessGrant) error {
	before := g.DeepCopy()
	if !controllerutil.RemoveFinalizer(g, v1alpha1.GrantFinalizer) {
		return nil
	}
	err := r.client.Patch(ctx, g, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of AccessGrant %q: %w", g.Name, err)
	}
	return nil
}

// retry is how soon is tried again what the API server refused, or what the missing policy forbids.
const retry = 15 * time.Second

// next is when to look again without an event: at the end of the grant, and after what went wrong.
func (r *reconciler) next(g *v1alpha1.AccessGrant, done outcome) time.Duration {
	var after time.Duration
	if done.unguarded != nil || done.err != nil || len(done.taken) > 0 {
		after = retry
	}
	if g.Spec.EndsAt != nil {
		left := max(g.Spec.EndsAt.Sub(r.clock.Now()), time.Millisecond)
		after = min(left, cmp.Or(after, left))
	}
	return after
}
