// Package awsidentity is the controller of AWSIdentities: it says in their status
// whether they can be taken on and which link of the chain broke, and tells those
// who name one that was deleted. AWS is asked outside of the reconcile, by the Asker.
package awsidentity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/internal/statuspatch"
)

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	Reader aws.Reader
	Asker  *Asker
	Events events.EventRecorder
}

// Reconcile writes what is known of one identity into its status.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var id v1alpha1.AWSIdentity
	err := r.Client.Get(ctx, req.NamespacedName, &id)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, r.gone(ctx, req.Name)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading AWSIdentity %q: %w", req.Name, err)
	}
	if err := r.release(ctx, &id); err != nil || !id.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.report(ctx, &id)
}

// gone warns those who name an identity that is not there any more. Holding it until nobody does would take a
// manager that runs: without one, nothing could be deleted.
func (r *Reconciler) gone(ctx context.Context, name string) error {
	if !r.Asker.forget(name) {
		return nil // it has been gone for a while
	}
	users, err := usersOf(ctx, r.Client, name)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		log.FromContext(ctx).Info("AWSIdentity deleted that is named by others", "identity", name, "by", len(users))
	}
	for _, user := range users {
		r.Events.Eventf(user, nil, "Warning", v1alpha1.ReasonIdentityInUse, "Delete",
			"AWSIdentity %q, which this names, was deleted: nothing is renewed by it any more. Make it again, or name another", name)
	}
	return nil
}

// release takes off the finalizer by which earlier versions held an identity that was named.
func (r *Reconciler) release(ctx context.Context, id *v1alpha1.AWSIdentity) error {
	before := id.DeepCopy()
	if !controllerutil.RemoveFinalizer(id, v1alpha1.IdentityFinalizer) {
		return nil
	}
	err := r.Client.Patch(ctx, id, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of AWSIdentity %q: %w", id.Name, err)
	}
	return nil
}

func (r *Reconciler) report(ctx context.Context, id *v1alpha1.AWSIdentity) error {
	before := id.DeepCopy()
	chain, err := aws.Resolve(ctx, r.Reader, aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: id.Name}, aws.Namespace{})
	known := Answer{}
	if err == nil {
		id.Status.Chain = chain.Names()
		known = r.Asker.ask(id.Name, chain)
	}
	ready := readyOf(err, known)
	ready.ObservedGeneration = id.Generation
	old := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.Ready)
	if ready.Status == metav1.ConditionUnknown && old != nil && old.ObservedGeneration == id.Generation {
		return nil // a restart does not make us forget what was known before it
	}
	meta.SetStatusCondition(&id.Status.Conditions, ready)
	id.Status.ObservedGeneration = id.Generation
	id.Status.ARN, id.Status.ExpiresAt = known.ARN, stamp(known.ExpiresAt)
	if equality.Semantic.DeepEqual(before.Status, id.Status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, id, statuspatch.Of(id.Status)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of AWSIdentity %q: %w", id.Name, err)
	}
	if old == nil || old.Status != ready.Status || old.Reason != ready.Reason {
		kind := "Normal"
		if ready.Reason != v1alpha1.ReasonIdentityReady {
			kind = "Warning"
		}
		log.FromContext(ctx).Info("condition changed", "type", ready.Type, "status", ready.Status, "reason", ready.Reason, "message", ready.Message)
		r.Events.Eventf(id, nil, kind, ready.Reason, ready.Type, "%s", note(ready.Message))
	}
	return nil
}

// readyOf decides the condition from what the chain resolved to and what AWS answered.
func readyOf(unresolved error, known Answer) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionFalse}
	err := unresolved
	if err == nil {
		err = known.Err
	}
	good := unresolved == nil && known.Usable && known.ARN != ""
	if good {
		c.Status = metav1.ConditionTrue
	}
	switch {
	case err != nil:
		c.Reason, c.Message = reasonOf(err)
		if good {
			c.Message = fmt.Sprintf("as %s, and the session in use is good until %s, but: %s", known.ARN, known.ExpiresAt.UTC().Format(time.RFC3339), c.Message)
		}
	case good:
		c.Reason, c.Message = v1alpha1.ReasonIdentityReady, "as "+known.ARN
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "AWS has not been asked yet"
	}
	return c
}

func reasonOf(err error) (reason, message string) {
	var known *aws.Error
	if errors.As(err, &known) {
		return known.Reason, known.Message()
	}
	return v1alpha1.ReasonAWSError, err.Error()
}

// note fits a message into an event, which takes 1 kB.
func note(message string) string {
	if text := []rune(message); len(text) > 1000 {
		return string(text[:1000]) + "…"
	}
	return message
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)} // what the API server stores
}
