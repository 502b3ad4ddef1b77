// Package awsidentity is the controller of AWSIdentities: it says in their status
// whether they can be taken on and which link of the chain broke, and keeps those
// that are in use from being deleted. AWS is asked outside of the reconcile, by
// the Asker.
package awsidentity

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
)

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache, before an identity is let go.
	Live   client.Reader
	Reader aws.Reader
	Asker  *Asker
	Events events.EventRecorder
}

// Reconcile writes what is known of one identity into its status, and lets a deleted one go once nothing names it.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var id v1alpha1.AWSIdentity
	err := r.Client.Get(ctx, req.NamespacedName, &id)
	if apierrors.IsNotFound(err) {
		r.Asker.forget(req.Name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading AWSIdentity %q: %w", req.Name, err)
	}
	users, err := usersOf(ctx, r.Client, id.Name)
	if err == nil && len(users) == 0 && !id.DeletionTimestamp.IsZero() {
		users, err = usersOf(ctx, r.Live, id.Name) // the cache may not have seen the newest
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if done, err := r.finalize(ctx, &id, users); done || err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.report(ctx, &id, users)
}

// finalize reports whether the object is gone.
func (r *Reconciler) finalize(ctx context.Context, id *v1alpha1.AWSIdentity, users []string) (done bool, err error) {
	before := id.DeepCopy()
	switch {
	case id.DeletionTimestamp.IsZero():
		if !controllerutil.AddFinalizer(id, v1alpha1.IdentityFinalizer) {
			return false, nil
		}
	case len(users) > 0:
		return false, nil
	case !controllerutil.RemoveFinalizer(id, v1alpha1.IdentityFinalizer):
		return true, nil // somebody else's finalizer is what is left
	}
	err = r.Client.Patch(ctx, id, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("changing the finalizer of AWSIdentity %q: %w", id.Name, err)
	}
	return !id.DeletionTimestamp.IsZero(), nil
}

func (r *Reconciler) report(ctx context.Context, id *v1alpha1.AWSIdentity, users []string) error {
	before := id.DeepCopy()
	chain, err := aws.Resolve(ctx, r.Reader, aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: id.Name}, aws.Namespace{})
	known := Answer{}
	if err == nil {
		id.Status.Chain = chain.Names()
		known = r.Asker.ask(id.Name, chain)
	}
	ready := readyOf(err, known)
	if !id.DeletionTimestamp.IsZero() {
		ready.Reason = v1alpha1.ReasonIdentityInUse
		ready.Message = fmt.Sprintf("it is deleted once nothing names it any more, and still named by %s. %s", list(users), ready.Message)
	}
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
	if err := r.Client.Status().Patch(ctx, id, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
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

// list names the first few of many.
func list(items []string) string {
	const most = 5
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
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
