package remotecluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/member"
)

// teardownTimeout is what a remote cluster gets to let us clean up. One that is gone keeps nothing
// of ours alive: its tokens and certificates expire by themselves.
const teardownTimeout = 15 * time.Second

// teardown is the clean-up of one remote side, under way or done.
type teardown struct {
	done   chan struct{}
	err    error // set before done is closed
	cancel context.CancelFunc
	// disowned says that another replica begins anew: what came of this one does not count.
	disowned atomic.Bool
}

// helm is the value of v1alpha1.ManagedByLabel by which Helm marks what is of a release.
const helm = "Helm"

// release takes the finalizer off what no remote cluster has to be told of: it would keep the object where
// no manager runs any more. It stays only where hawser join made the member install, which is known by the
// input Secret, and comes back where hawser leave asks for the end of both sides. Earlier versions put it on
// every object.
func (r *Reconciler) release(ctx context.Context, rc *v1alpha1.RemoteCluster) error {
	if uid, known := r.joined.Load(rc.Name); !controllerutil.ContainsFinalizer(rc, v1alpha1.Finalizer) || known && uid == rc.UID && keepsInput(rc.Spec.Auth.Type) {
		return nil
	}
	if rc.Labels[v1alpha1.ManagedByLabel] != helm && keepsInput(rc.Spec.Auth.Type) {
		input, err := r.Secrets.Get(ctx, v1alpha1.InputSecretName(rc.Name), metav1.GetOptions{})
		if err == nil && input.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy {
			r.joined.Store(rc.Name, rc.UID)
			return nil
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading Secret %q: %w", v1alpha1.InputSecretName(rc.Name), err)
		}
	}
	before := rc.DeepCopy()
	controllerutil.RemoveFinalizer(rc, v1alpha1.Finalizer)
	if err := r.Client.Patch(ctx, rc, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer of RemoteCluster %q: %w", rc.Name, err)
	}
	return nil
}

// keepsInput reports whether the identity of a connection may be one that a member install made for it, and
// so may remove that.
func keepsInput(t v1alpha1.AuthType) bool {
	return t == v1alpha1.AuthBearerToken || t == v1alpha1.AuthMTLS || t == v1alpha1.AuthKubeconfig
}

// finalize removes the member install by the connection's own right, then the connection and what
// was kept for it. The remote part has its own goroutine and deadline, and its failure holds up nothing.
func (r *Reconciler) finalize(ctx context.Context, rc *v1alpha1.RemoteCluster) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(rc, v1alpha1.Finalizer) {
		r.forget(rc.Name)
		return reconcile.Result{}, nil
	}
	t := r.teardown(ctx, rc)
	select {
	case <-t.done:
	default:
		return reconcile.Result{}, nil // its end enqueues the object again
	}
	if t.disowned.Load() {
		return reconcile.Result{}, nil
	}
	if t.err != nil {
		r.Events.Eventf(rc, nil, "Warning", "LeftBehind", "Delete", "%s", note(fmt.Sprintf(
			"the member install in cluster %q could not be removed: %s. It is of no use to anybody once its credentials have expired. Remove it with: hawser leave %s --remote-context CONTEXT", rc.Name, t.err, rc.Name)))
	}
	if err := (credential.Store{Secrets: r.Secrets, Cluster: rc.Name}).Retire(ctx); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.deleteInput(ctx, rc.Name); err != nil {
		return reconcile.Result{}, err
	}
	before := rc.DeepCopy()
	controllerutil.RemoveFinalizer(rc, v1alpha1.Finalizer)
	if err := r.Client.Patch(ctx, rc, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("removing the finalizer of RemoteCluster %q: %w", rc.Name, err)
	}
	r.forget(rc.Name)
	return reconcile.Result{}, nil
}

// forget ends what a cluster that is not there any more may have left in this process.
func (r *Reconciler) forget(name string) {
	r.disconnect(name)
	r.teardowns.Delete(name)
	r.joined.Delete(name)
	r.written.Delete(name)
}

// gone forgets a cluster that nothing held. What was kept for it is the garbage collector's, but for what an
// earlier version left without an owner.
func (r *Reconciler) gone(ctx context.Context, name string) error {
	r.forget(name)
	return credential.Store{Secrets: r.Secrets, Cluster: name}.Retire(ctx)
}

// deleteInput deletes the input Secret if hawser join made it.
func (r *Reconciler) deleteInput(ctx context.Context, cluster string) error {
	name := v1alpha1.InputSecretName(cluster)
	secret, err := r.Secrets.Get(ctx, name, metav1.GetOptions{})
	if err == nil && secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy {
		err = r.Secrets.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting Secret %q: %w", name, err)
	}
	return nil
}

// teardown returns the clean-up of the remote side, and starts it the first time.
func (r *Reconciler) teardown(ctx context.Context, rc *v1alpha1.RemoteCluster) *teardown {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownTimeout) // outlives the reconcile by design
	t := &teardown{done: make(chan struct{}), cancel: cancel}
	if known, loaded := r.teardowns.LoadOrStore(rc.Name, t); loaded {
		cancel()
		return known.(*teardown) //nolint:forcetypeassert // nothing else is stored
	}
	if !rc.Spec.Disabled {
		r.connect(rc) // it may not be up yet, after a restart
	}
	conn, err := r.Fleet.Get(rc.Name)
	// The other side of what is of a Helm release has a release of its own.
	name, identity, ours := rc.Name, member.IdentityOf(rc.Spec.Auth), r.ours(rc) && rc.Labels[v1alpha1.ManagedByLabel] != helm && !r.shared(ctx, rc)
	inAWS := rc.Spec.Auth.EKS != nil && rc.Status.Credential != nil && !r.shared(ctx, rc)
	go func() { // ends by its deadlines
		defer r.Enqueue(name)
		defer close(t.done)
		defer cancel()
		switch {
		case inAWS: // an identity in AWS may remove neither what it is bound to nor its access entry
			t.err = fmt.Errorf("the rights of group %q and the access entry are not the connection's to remove", v1alpha1.MembersGroup)
		case !ours: // somebody else's account: what it is bound to is theirs
		case err != nil:
			t.err = errors.New("there is no connection to it")
		default:
			t.err = removeMember(ctx, conn, r.Local, identity)
		}
		<-r.disconnect(name) // nothing may be kept for it after it has been forgotten
	}()
	return t
}

// ours reports whether the connection's identity is the one that a member install made for it.
func (r *Reconciler) ours(rc *v1alpha1.RemoteCluster) bool {
	if rc.Status.Credential == nil {
		return false
	}
	switch rc.Status.Credential.Subject {
	case "system:serviceaccount:" + v1alpha1.MemberNamespace(r.Local) + ":" + v1alpha1.MemberServiceAccount, v1alpha1.MemberUser(r.Local):
		return true
	}
	return false
}

// shared reports whether another name for the same cluster uses the member install too, or may do so.
func (r *Reconciler) shared(ctx context.Context, rc *v1alpha1.RemoteCluster) bool {
	var all v1alpha1.RemoteClusterList
	if err := r.Client.List(ctx, &all); err != nil {
		return true
	}
	for _, other := range all.Items {
		if other.Name != rc.Name && other.DeletionTimestamp.IsZero() && other.Status.ClusterID != "" && other.Status.ClusterID == rc.Status.ClusterID {
			return true
		}
	}
	return false
}

// removeMember deletes what a connection may delete of itself, in the order that leaves it the right to go on.
func removeMember(ctx context.Context, conn *connection.Connection, local string, identity member.Identity) error {
	if identity == member.Foreign {
		identity = member.ServiceAccount // a kubeconfig that join made holds a token of the connection's own account
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := connected(ctx, conn); err != nil {
		return err
	}
	c, err := client.New(conn.Config(), client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: v1alpha1.MemberNamespace(local)}, &ns); err == nil && ns.Labels[v1alpha1.ManagedByLabel] == helm {
		return fmt.Errorf("it is of Helm release %q there, which would bring it back", ns.Annotations["meta.helm.sh/release-name"])
	}
	going := false // the namespace is on its way out, and the rest with it
	for _, obj := range member.Teardown(local, identity) {
		err := c.Delete(ctx, obj)
		_, decisive := obj.(*corev1.Namespace)
		switch {
		case err == nil, apierrors.IsNotFound(err):
			going = going || decisive
		case going, apierrors.IsForbidden(err) && !decisive:
		default:
			return fmt.Errorf("deleting %s %q: %w", obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName(), err)
		}
	}
	return nil
}

// connected waits until a connection has a credential that its cluster accepts, as after a restart.
func connected(ctx context.Context, conn *connection.Connection) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for conn.State().Subject == "" {
		select {
		case <-ctx.Done():
			return fmt.Errorf("connecting: %s", conn.State().Condition(v1alpha1.Ready).Message)
		case <-tick.C:
		}
	}
	return nil
}
