// Package accessrequest is the controller of AccessRequests: it asks, over the connection to a cluster, for
// tokens of the account that the grant over there made for the request's namespace, writes them in the form
// that is wanted, keeps them fresh, and takes the output away when it is of no use any more. Who is let in is
// decided by the remote cluster; who may ask, by the allowedNamespaces of the RemoteCluster; what is written
// is up to package export.
//
// It watches no Secrets: it may only get single ones, and only in namespaces whose owner has bound it to
// hawser-requests. What was changed by others is found when the request is looked at again.
package accessrequest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/grant"
)

// lookAgain is when a request is looked at again that waits for something that is not watched: the right to
// write in its namespace, the labels of that, a Secret that is in the way.
const lookAgain = 30 * time.Second

// Reconciler holds what the controller works with.
type Reconciler struct {
	// Client reads AccessRequests and RemoteClusters from a cache, and everything else from the API server.
	Client client.Client
	Fleet  *fleet.Links
	Minter *Minter
	Events events.EventRecorder
	Clock  clock.PassiveClock
	// Local is the name of the local cluster, and Namespace the one that Hawser runs in there.
	Local, Namespace string
	// Shards says which clusters are this replica's. Nil: all of them.
	Shards Shards

	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]] // nil before the controller runs
	// written is what was written last, by key; outputs what there is of a request that says what was written for it.
	written, outputs sync.Map
}

// written is the status of a request as it was last written: the cache may still show an older one.
type written struct {
	uid    types.UID
	status *v1alpha1.AccessRequestStatus
}

// Reconcile keeps the output of one AccessRequest in step with it, and its status with the output.
func (r *Reconciler) Reconcile(ctx context.Context, ar *v1alpha1.AccessRequest) (reconcile.Result, error) {
	if last, _ := r.written.Load(keyOf(ar)); last != nil && last.(written).uid == ar.UID {
		last.(written).status.DeepCopyInto(&ar.Status) //nolint:forcetypeassert // nothing else is stored
	}
	if err := r.release(ctx, ar); err != nil {
		return reconcile.Result{}, err
	}
	if !ar.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, r.gone(ctx, keyOf(ar))
	}
	if of, known := r.outputs.Load(keyOf(ar)); known && of.(*v1alpha1.AccessRequest).UID != ar.UID {
		if err := r.gone(ctx, keyOf(ar)); err != nil { // nobody has seen the earlier one of this name go
			return reconcile.Result{}, err
		}
	}
	v, err := r.serve(ctx, ar)
	if err != nil {
		return reconcile.Result{}, err
	}
	err = r.report(ctx, ar, v)
	r.remember(ar)
	return reconcile.Result{RequeueAfter: v.again}, err
}

func nameOf(ar *v1alpha1.AccessRequest) string {
	return fmt.Sprintf("AccessRequest %q in namespace %q", ar.Name, ar.Namespace)
}

// serve does what can be done for a request now.
func (r *Reconciler) serve(ctx context.Context, ar *v1alpha1.AccessRequest) (verdict, error) {
	rc, refused, err := r.admit(ctx, ar)
	if err != nil {
		return verdict{}, err
	}
	if refused != nil {
		return r.withdraw(ctx, ar, *refused)
	}
	have, err := r.read(ctx, ar, targetOf(ar))
	if err != nil {
		return r.cannotWrite(ar, err)
	}
	if old := ar.Status.SecretName; old != "" && old != targetOf(ar) {
		if err := r.removeNamed(ctx, ar, old); err != nil {
			return r.cannotWrite(ar, err)
		}
	}
	at, err := r.reach(rc.Name)
	var down *notReadyError
	switch {
	case errors.As(err, &down) && isCutOff(rc):
		r.Minter.Forget(keyOf(ar)) // its account over there is another by the time that the connection is back
		return r.withdraw(ctx, ar, cutOff(rc, r.Local))
	case err != nil && at.Server == "":
		return r.wait(ctx, ar, have, rc, err)
	}
	w := r.wantOf(ar, rc, at)
	k := r.Minter.look(keyOf(ar), w, recovered(have, w.id, r.Clock.Now()))
	if k.err == nil {
		k.err = err
	}
	return r.settle(ctx, ar, rc, have, at, k)
}

// reach returns where a cluster is that the connection to it can be used with. Beside an error it returns an address
// only where the cluster refuses the connection: whether it refuses the tokens that it gave out, too, is asked there.
func (r *Reconciler) reach(name string) (credential.Endpoint, error) {
	conn, err := usable(r.Fleet, name)
	switch {
	case err == nil:
		return conn.Endpoint()
	case conn == nil:
		return credential.Endpoint{}, err
	case !conn.State().Known():
		return credential.Endpoint{}, errStarting
	case refused(conn):
		at, _ := conn.Endpoint() // none without a credential
		return at, err
	}
	return credential.Endpoint{}, err
}

// errStarting says that a connection knows nothing yet, as after a restart.
var errStarting = errors.New("connecting")

// wantOf is what a request wants of a cluster that is at an address.
func (r *Reconciler) wantOf(ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster, at credential.Endpoint) want {
	account := grant.AccountName(ar.Spec.Grant, v1alpha1.GrantSubject{
		LocalCluster: &v1alpha1.GrantLocalCluster{Name: r.Local, Namespace: ar.Namespace},
	})
	life := lifetimeOf(ar)
	return want{
		cluster: rc.Name, account: account, lifetime: life, seed: string(ar.UID),
		id: credential.Fingerprint([]byte(ar.UID), []byte(rc.UID), []byte(rc.Name), []byte(rc.Status.ClusterID), []byte(account), []byte(life.String()),
			[]byte(at.Server), at.CAData, []byte(at.TLSServerName), []byte(at.ProxyURL)),
	}
}

const defaultLifetime = time.Hour

func lifetimeOf(ar *v1alpha1.AccessRequest) time.Duration {
	if ar.Spec.Lifetime == nil {
		return defaultLifetime
	}
	return ar.Spec.Lifetime.Duration
}

// settle writes a token that is good, and otherwise does what its lack asks for.
func (r *Reconciler) settle(ctx context.Context, ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster, have *output, at credential.Endpoint, k known) (verdict, error) {
	again := max(k.due.Sub(r.Clock.Now()), time.Second)
	var refused *refusal
	var down *notReadyError
	if errors.As(k.err, &down) {
		again = max(again, lookAgain) // before that, the connection says that it is back
	}
	switch {
	case k.held != nil:
		v, err := r.write(ctx, ar, rc, have, at, k)
		if v.again == 0 || again < v.again {
			v.again = again
		}
		return v, err
	case errors.As(k.err, &refused):
		v := no(v1alpha1.ReasonNotGranted, notGranted(ar, rc, r.Local))
		v.again = again
		return r.withdraw(ctx, ar, v)
	case k.dead:
		v := no(v1alpha1.ReasonClusterNotReady, fmt.Sprintf("cluster %q does not know the token that was written any more, and there is no other: %s", rc.Name, describe(k.err)))
		v.again = again
		return r.withdraw(ctx, ar, v)
	case k.err != nil:
		v, err := r.wait(ctx, ar, have, rc, k.err)
		if v.again == 0 || again < v.again {
			v.again = again
		}
		return v, err
	}
	return verdict{keep: true, again: lookAgain, status: metav1.ConditionUnknown, reason: v1alpha1.ReasonNotProbed,
		message: fmt.Sprintf("asking cluster %q", rc.Name)}, nil // the end of the attempt enqueues the request again
}

// wait leaves an output that cannot be renewed now for as long as its token lives.
func (r *Reconciler) wait(ctx context.Context, ar *v1alpha1.AccessRequest, have *output, rc *v1alpha1.RemoteCluster, why error) (verdict, error) {
	left := have.life(r.Clock.Now())
	switch {
	case left > 0 && errors.Is(why, errStarting):
		return verdict{keep: true, again: 5 * time.Second, status: metav1.ConditionTrue, reason: v1alpha1.ReasonWritten, message: writtenMessage(ar)}, nil
	case left > 0:
		return verdict{status: metav1.ConditionTrue, reason: v1alpha1.ReasonClusterNotReady, target: targetOf(ar), again: min(left, lookAgain),
			message: fmt.Sprintf("%s; it cannot be renewed: cluster %q: %s", writtenMessage(ar), rc.Name, describe(why))}, nil
	}
	v := no(v1alpha1.ReasonClusterNotReady, fmt.Sprintf("cluster %q: %s", rc.Name, describe(why)))
	if have.exists() {
		v.message = "the token that was written has ended, and cannot be renewed: " + v.message
	}
	return r.withdraw(ctx, ar, v)
}

// release takes off the finalizer that earlier versions put on: the request owns what was written for it, so
// that the garbage collector removes it, also where no manager runs any more.
func (r *Reconciler) release(ctx context.Context, ar *v1alpha1.AccessRequest) error {
	before := ar.DeepCopy()
	if !controllerutil.RemoveFinalizer(ar, v1alpha1.RequestFinalizer) {
		return nil
	}
	if err := r.Client.Patch(ctx, ar, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of %s: %w", nameOf(ar), err)
	}
	before.Status.DeepCopyInto(&ar.Status)
	return nil
}

// remember where the output of a request is: its object does not say so when it is gone.
func (r *Reconciler) remember(ar *v1alpha1.AccessRequest) {
	if ar.Status.SecretName == "" {
		return
	}
	of := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: ar.Namespace, Name: ar.Name, UID: ar.UID}}
	of.Spec.Output, of.Status.SecretName = ar.Spec.Output, ar.Status.SecretName
	r.outputs.Store(keyOf(ar), of)
}

// gone removes at once what a request that is gone has left. The garbage collector would do it as well, in its
// own time, and does it where we may not or do not know.
func (r *Reconciler) gone(ctx context.Context, key types.NamespacedName) error {
	if of, known := r.outputs.Load(key); known {
		of := of.(*v1alpha1.AccessRequest) //nolint:forcetypeassert // nothing else is stored
		if err := r.removeNamed(ctx, of, of.Status.SecretName); err != nil && !apierrors.IsForbidden(err) {
			return fmt.Errorf("removing what was written for %s: %w", nameOf(of), err)
		}
	}
	r.forget(key)
	return nil
}

// forget drops what is known of a request that has ended.
func (r *Reconciler) forget(key types.NamespacedName) {
	r.Minter.Forget(key)
	r.written.Delete(key)
	r.outputs.Delete(key)
}
