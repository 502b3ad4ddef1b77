// Package certificaterequest owns the approval of client certificate renewals. It runs in a remote
// cluster, with the member controllers, and is the only part of Hawser that may approve anything. It
// approves or denies requests of connections for their own next certificate, and
// touches no other. It issues nothing: the cluster's own signer does.
package certificaterequest

import (
	"context"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// DefaultMaxLifetime is the longest lifetime that a renewal may ask for where the options set none.
// It is short because nothing revokes a client certificate.
const DefaultMaxLifetime = 7 * 24 * time.Hour

// Options of the controller.
type Options struct {
	// MaxLifetime caps expirationSeconds of a request. Default DefaultMaxLifetime; 10 minutes at least.
	MaxLifetime time.Duration
}

// SetupWithManager adds the controller to a manager of the remote cluster, whose client needs the
// rights of member.ControllersRole.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	if o.MaxLifetime == 0 {
		o.MaxLifetime = DefaultMaxLifetime
	}
	if o.MaxLifetime < minLifetime {
		return fmt.Errorf("setting up certificate renewals: maximum lifetime %s: use 10m at least, since an API server accepts no less", o.MaxLifetime)
	}
	r := &reconciler{client: mgr.GetClient(), maxLifetime: o.MaxLifetime}
	undecided := predicate.NewPredicateFuncs(func(obj client.Object) bool {
		csr, ok := obj.(*certificatesv1.CertificateSigningRequest)
		return ok && ours(csr) && !decided(csr)
	})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("certificaterequest").
		For(&certificatesv1.CertificateSigningRequest{}, builder.WithPredicates(undecided)).
		WithOptions(controller.Options{SkipNameValidation: new(true)}). // tests and benchmarks run several in one process
		Complete(reconcile.AsReconciler(r.client, r))
	if err != nil {
		return fmt.Errorf("setting up certificate renewals: %w", err)
	}
	return nil
}

// reconciler decides on one request: get, decide, act.
type reconciler struct {
	client      client.Client
	maxLifetime time.Duration
}

// Reconcile writes the decision as a condition. The resource version in the update makes sure that what is
// approved is what was read, also where the requester deletes a request and makes another of the same name.
func (r *reconciler) Reconcile(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) (ctrl.Result, error) {
	decision := Decide(csr, r.maxLifetime)
	if decision.Verdict == Ignore {
		return ctrl.Result{}, nil
	}
	csr.Status.Conditions = append(csr.Status.Conditions, condition(decision))
	err := r.client.SubResource("approval").Update(ctx, csr)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return ctrl.Result{}, nil // it is gone or was changed, which comes back as an event
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("deciding on certificate request %q: %w", csr.Name, err)
	}
	log.FromContext(ctx).Info("decided on certificate request",
		"verdict", decision.Verdict, "user", csr.Spec.Username, "reason", decision.Reason, "message", decision.Message)
	return ctrl.Result{}, nil
}

func condition(d Decision) certificatesv1.CertificateSigningRequestCondition {
	kind := certificatesv1.CertificateApproved
	if d.Verdict == Deny {
		kind = certificatesv1.CertificateDenied
	}
	return certificatesv1.CertificateSigningRequestCondition{
		Type:    kind,
		Status:  corev1.ConditionTrue,
		Reason:  d.Reason,
		Message: d.Message,
	}
}
