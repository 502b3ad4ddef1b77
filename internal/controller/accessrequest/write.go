package accessrequest

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/export"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// write puts a token that is good into the output.
func (r *Reconciler) write(ctx context.Context, ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster, have *output, at credential.Endpoint, k known) (verdict, error) {
	end, _ := k.held.cred.Deadline()
	out, err := export.Make(export.Access{
		Name: ar.Name, Namespace: ar.Namespace, Target: targetOf(ar), Cluster: rc.Name, ClusterID: rc.Status.ClusterID,
		Endpoint: at, Token: k.held.cred.Token, ExpiresAt: end, Facts: factsOf(rc),
	}, ar.Spec.Output)
	if err != nil {
		return r.cannotMake(ctx, ar, have, err)
	}
	secret, err := secretOf(ar, out, k.held)
	if err != nil {
		return verdict{}, err
	}
	if out.Profile != nil { // where it cannot be written, no Secret is of use either
		if _, err := r.readProfile(ctx, ar, targetOf(ar)); err != nil {
			return r.cannotWrite(ar, err)
		}
	}
	if err := r.intend(ctx, ar); err != nil {
		return verdict{}, err
	}
	if err := r.put(ctx, ar, have, secret); err != nil {
		return r.cannotWrite(ar, err)
	}
	if out.Profile != nil {
		if err := r.putProfile(ctx, ar, rc, out.Profile); err != nil {
			return r.cannotWrite(ar, err)
		}
	}
	v := verdict{status: metav1.ConditionTrue, reason: v1alpha1.ReasonWritten, message: writtenMessage(ar), target: secret.Name, held: k.held}
	if k.err != nil {
		v.reason = v1alpha1.ReasonClusterNotReady
		v.message = fmt.Sprintf("%s; renewing it failed and is tried again: %s", v.message, describe(k.err))
	}
	return v, nil
}

// intend records where something will be written before it is: whatever happens, it is found again.
func (r *Reconciler) intend(ctx context.Context, ar *v1alpha1.AccessRequest) error {
	if ar.Status.SecretName == targetOf(ar) {
		return nil
	}
	ar.Status.SecretName = targetOf(ar)
	return r.patchStatus(ctx, ar)
}

// factsOf is what a ClusterProfile says of a cluster.
func factsOf(rc *v1alpha1.RemoteCluster) export.Facts {
	f := export.Facts{Version: rc.Status.KubernetesVersion, ClusterProperty: rc.Status.ClusterProperty, Reason: v1alpha1.ReasonNotProbed}
	if c := meta.FindStatusCondition(rc.Status.Conditions, v1alpha1.Reachable); c != nil {
		f.Healthy, f.Reason = c.Status == metav1.ConditionTrue, c.Reason
	}
	return f
}

// cannotMake leaves what was written before a change that makes no sense, for as long as its token lives.
func (r *Reconciler) cannotMake(ctx context.Context, ar *v1alpha1.AccessRequest, have *output, err error) (verdict, error) {
	v := no(v1alpha1.ReasonOutputUnsupported, describe(err))
	if left := have.life(r.Clock.Now()); left > 0 {
		v.target, v.again = targetOf(ar), left
		return v, nil
	}
	return r.withdraw(ctx, ar, v)
}

// cannotWrite is the verdict where the local cluster does not take an output.
func (r *Reconciler) cannotWrite(ar *v1alpha1.AccessRequest, err error) (verdict, error) {
	var foreign *notOursError
	v := verdict{status: metav1.ConditionFalse, target: ar.Status.SecretName, again: lookAgain}
	switch {
	case errors.As(err, &foreign):
		v.reason, v.message = v1alpha1.ReasonSecretNotOurs, err.Error()
		if foreign.name == v.target {
			v.target = ""
		}
	case apierrors.IsForbidden(err):
		v.reason = v1alpha1.ReasonOutputForbidden
		v.message = fmt.Sprintf("Hawser may not write in namespace %[1]q. Allow it: kubectl -n %[1]s create rolebinding hawser-requests --clusterrole=hawser-requests --serviceaccount=%[2]s:hawser. It was told: %[3]s",
			ar.Namespace, r.Namespace, describe(err))
	case apierrors.IsInvalid(err):
		v.reason, v.message = v1alpha1.ReasonOutputUnsupported, "the API server does not take the output: "+describe(err)
	case meta.IsNoMatchError(err):
		v.reason = v1alpha1.ReasonOutputUnsupported
		v.message = fmt.Sprintf("the kind %s is not installed: apply the CRD of sigs.k8s.io/cluster-inventory-api", clusterprofile.Kind.GroupKind())
	default:
		return verdict{}, fmt.Errorf("serving %s: %w", nameOf(ar), err)
	}
	return v, nil
}

// withdraw takes the output of a request away, and forgets its token: it will not be used any more.
func (r *Reconciler) withdraw(ctx context.Context, ar *v1alpha1.AccessRequest, v verdict) (verdict, error) {
	if v.reason != v1alpha1.ReasonNotGranted && v.reason != v1alpha1.ReasonClusterNotReady { // which are asked about again
		r.Minter.Forget(keyOf(ar))
	}
	if ar.Status.SecretName == "" { // nothing was written
		return v, nil
	}
	err := r.removeNamed(ctx, ar, ar.Status.SecretName)
	if apierrors.IsForbidden(err) {
		denied, _ := r.cannotWrite(ar, err)
		v.message = fmt.Sprintf("%s. What was written is still there. %s", v.message, denied.message)
		v.target, v.again = ar.Status.SecretName, lookAgain
		return v, nil
	}
	if err != nil {
		return verdict{}, fmt.Errorf("serving %s: %w", nameOf(ar), err)
	}
	return v, nil
}
