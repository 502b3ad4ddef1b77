// Package trustedissuer is the controller of TrustedIssuers: it has their keys fetched, judges whether
// they can be trusted beside each other and in this cluster at all, and writes both into their status,
// where the gate reads them. Issuers are asked outside of the reconcile, by the fetcher.
//
// It owns the status but for lastUse and lastFailure, which are the gate's.
package trustedissuer

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/guard"
	"github.com/hawser-io/hawser/trust"
)

// lookAgain is how often each issuer is judged anew: the cluster's own issuer and audiences may change.
const lookAgain = 10 * time.Minute

// unboundedEvery is how soon is looked again whether somebody bounds the authors of issuers.
const unboundedEvery = 15 * time.Second

// reconciler holds what the controller works with.
type reconciler struct {
	client  client.Client
	here    *here
	fetcher *fetcher
	guard   *guard.Policy
	events  events.EventRecorder
	clock   clock.PassiveClock
}

// Reconcile writes into the status of one issuer what is known of it.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var all v1alpha1.TrustedIssuerList
	if err := r.client.List(ctx, &all); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing TrustedIssuers: %w", err)
	}
	var ti *v1alpha1.TrustedIssuer
	for i := range all.Items {
		if all.Items[i].Name == req.Name {
			ti = all.Items[i].DeepCopy()
		}
	}
	if ti == nil || !ti.DeletionTimestamp.IsZero() {
		r.fetcher.forget(req.Name)
		return reconcile.Result{}, nil
	}
	before := ti.DeepCopy()
	known := r.learn(ti)
	known.unbounded = r.guard.Missing(ctx)
	local, unknown := r.here.look(ctx, ti)
	if unknown == nil {
		known.conflict = conflictOf(all.Items, ti, local)
		known.audiences = trust.Audiences(&ti.Spec, v1alpha1.DefaultAudience(local.ClusterID))
		_, known.invalid = trust.New(ti, v1alpha1.DefaultAudience(local.ClusterID))
	}
	apply(ti, known, unknown)
	if err := r.write(ctx, before, ti); err != nil {
		return reconcile.Result{}, err
	}
	if unknown != nil {
		return reconcile.Result{}, fmt.Errorf("judging TrustedIssuer %q: %w", ti.Name, unknown)
	}
	return reconcile.Result{RequeueAfter: r.until(ti, known)}, nil
}

// learn brings the keys up to date.
func (r *reconciler) learn(ti *v1alpha1.TrustedIssuer) observation {
	var o observation
	var published []trust.Key
	at := r.clock.Now()
	if ti.Spec.JWKS != "" {
		r.fetcher.forget(ti.Name)
		published, _ = trust.ParseJWKS([]byte(ti.Spec.JWKS)) // New says what is wrong with it
		ti.Status.FetchedAt = nil
		if len(published) == 0 {
			ti.Status.Keys = nil
		}
	} else {
		answer := r.fetcher.ask(ti)
		o.fetchFailed = answer.err
		if fetched := ti.Status.FetchedAt; len(answer.keys) > 0 && (fetched == nil || !fetched.Time.Equal(answer.at)) {
			published, at = answer.keys, answer.at
			ti.Status.FetchedAt = &metav1.Time{Time: at}
		}
	}
	ti.Status.Keys = trust.KeepKeys(ti, published, at)
	if len(published) > 0 && at.Before(r.clock.Now()) {
		ti.Status.Keys = trust.KeepKeys(ti, nil, r.clock.Now()) // the answer may have waited
	}
	return o
}

// conflictOf judges by the keys that were learned just now.
func conflictOf(all []v1alpha1.TrustedIssuer, ti *v1alpha1.TrustedIssuer, local trust.Local) *trust.Conflict {
	for i := range all {
		if all[i].Name == ti.Name {
			all[i] = *ti
		}
	}
	if c, found := trust.Conflicts(all, local)[ti.Name]; found {
		return &c
	}
	return nil
}

// write patches only what changed, so that what the gate writes at the same time stays.
func (r *reconciler) write(ctx context.Context, before, ti *v1alpha1.TrustedIssuer) error {
	if equality.Semantic.DeepEqual(before.Status, ti.Status) {
		return nil
	}
	next := ti.DeepCopy()
	if err := r.client.Status().Patch(ctx, next, client.MergeFrom(before)); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("writing the status of TrustedIssuer %q: %w", ti.Name, err)
	}
	old, ready := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.Ready), meta.FindStatusCondition(ti.Status.Conditions, v1alpha1.Ready)
	if ready == nil || (old != nil && old.Status == ready.Status && old.Reason == ready.Reason) {
		return nil
	}
	kind := "Normal"
	if ready.Reason != v1alpha1.ReasonTrusted {
		kind = "Warning"
	}
	log.FromContext(ctx).Info("condition changed", "type", ready.Type, "status", ready.Status, "reason", ready.Reason, "message", ready.Message)
	r.events.Eventf(ti, nil, kind, ready.Reason, ready.Type, "%s", note(ready.Message))
	return nil
}

// until is when something changes by itself.
func (r *reconciler) until(ti *v1alpha1.TrustedIssuer, known observation) time.Duration {
	wait := lookAgain
	if known.unbounded != nil {
		wait = unboundedEvery
	}
	if next := trust.NextChange(ti.Status.Keys); !next.IsZero() {
		wait = min(wait, max(next.Sub(r.clock.Now()), time.Second))
	}
	return wait
}

// note fits a message into an event, which takes 1 kB.
func note(message string) string {
	if text := []rune(message); len(text) > 1000 {
		return string(text[:1000]) + "…"
	}
	return message
}
