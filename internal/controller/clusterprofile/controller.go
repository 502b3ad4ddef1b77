// Package clusterprofile is the controller that publishes each RemoteCluster as a ClusterProfile (KEP-4322), for schedulers
// and controllers that know nothing of Hawser: how the cluster is, which version it has, what it calls itself, and how to
// get access to it, with a credential of one's own, by the plugin hawser-auth. It holds no secret.
//
// It writes when something changes, and within the budget of the KEP: what would be too often is written later. A
// ClusterProfile that somebody else made is left alone, and so is what others add to ours. It goes with its RemoteCluster.
package clusterprofile

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// Reasons of events.
const (
	reasonNotOurs    = "ClusterProfileNotOurs"
	reasonIncomplete = "ClusterProfileIncomplete"
)

// staleCache is how long after a write the cache may not show it yet.
const staleCache = time.Second

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	// Profiles reads the ClusterProfiles in Namespace. SetupWithManager sets it to a cache of its own.
	Profiles client.Reader
	Events   events.EventRecorder
	Clock    clock.PassiveClock
	// Namespace is where the ClusterProfiles are published. Required. It must exist.
	Namespace string
	// Manager is the name of the cluster manager that they have. Empty means DefaultManager. Two Hawsers that
	// publish into one namespace need two names.
	Manager string

	budget  budget
	written sync.Map // name → written
	said    sync.Map // name of a RemoteCluster → what its last event said
}

// written is the last status that was written: an API server of an older version may keep less than it was given,
// which is no reason to write it again.
type written struct {
	uid        types.UID
	want, kept object
}

// Reconcile keeps the ClusterProfile of one RemoteCluster in step with it.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rc := &v1alpha1.RemoteCluster{}
	err := r.Client.Get(ctx, req.NamespacedName, rc)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("reading RemoteCluster %q: %w", req.Name, err)
	}
	gone := err != nil
	have, err := r.read(ctx, nameOf(r.Manager, req.Name))
	if err != nil {
		return reconcile.Result{}, err
	}
	switch {
	case gone:
		return reconcile.Result{}, r.remove(ctx, req.Name, have)
	case have == nil:
		return r.create(ctx, rc)
	case !isOurs(have, rc.Name, r.Manager):
		r.say(rc, reasonNotOurs, fmt.Sprintf("it is not published: ClusterProfile %q in namespace %q is somebody else's: rename or remove it", have.GetName(), have.GetNamespace()))
		return reconcile.Result{}, nil
	case !isOf(have, rc): // an earlier one of the name
		return reconcile.Result{}, r.delete(ctx, have)
	}
	return r.update(ctx, rc, have)
}

// read returns nil where there is no such ClusterProfile.
func (r *Reconciler) read(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterprofile.Kind)
	err := r.Profiles.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ClusterProfile %q in namespace %q: %w", name, r.Namespace, err)
	}
	return u, nil
}

// create makes the ClusterProfile; its status follows when it is seen.
func (r *Reconciler) create(ctx context.Context, rc *v1alpha1.RemoteCluster) (reconcile.Result, error) {
	if !rc.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	profile := newProfile(rc, r.Namespace, r.Manager)
	if wait := r.budget.take(profile.GetName()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err := r.Client.Create(ctx, profile, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return reconcile.Result{RequeueAfter: staleCache}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("creating ClusterProfile %q in namespace %q: %w", profile.GetName(), r.Namespace, err)
	}
	log.FromContext(ctx).Info("ClusterProfile created", "cluster", rc.Name, "clusterID", rc.Status.ClusterID, "clusterProfile", profile.GetName())
	return reconcile.Result{}, nil
}

// update writes the status where it has changed and may be written.
func (r *Reconciler) update(ctx context.Context, rc *v1alpha1.RemoteCluster, have *unstructured.Unstructured) (reconcile.Result, error) {
	name := have.GetName()
	status, _ := have.Object["status"].(object)
	want, left := statusFor(rc, status, r.Clock.Now())
	if len(left) > 0 {
		r.say(rc, reasonIncomplete, "what is published lacks: "+strings.Join(left, "; "))
	} else {
		r.said.Delete(rc.Name)
	}
	if reflect.DeepEqual(want, status) || r.wrote(have, rc, status) {
		return reconcile.Result{}, nil
	}
	if wait := r.budget.take(name); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	next := have.DeepCopy()
	next.Object["status"] = want
	if err := r.Client.Status().Update(ctx, next, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return reconcile.Result{}, fmt.Errorf("writing the status of ClusterProfile %q in namespace %q: %w", name, r.Namespace, err)
	}
	kept, _ := next.Object["status"].(object)
	r.written.Store(name, written{have.GetUID(), want, kept})
	return reconcile.Result{}, nil
}

// wrote reports whether the status that is wanted was written already, and is there as it was kept. What was kept may
// be less: then it is by what was wanted that a change is seen.
func (r *Reconciler) wrote(have *unstructured.Unstructured, rc *v1alpha1.RemoteCluster, status object) bool {
	last, ok := r.written.Load(have.GetName())
	if !ok {
		return false
	}
	w := last.(written)
	if w.uid != have.GetUID() || !reflect.DeepEqual(w.kept, status) {
		return false
	}
	want, _ := statusFor(rc, w.want, r.Clock.Now())
	return reflect.DeepEqual(want, w.want)
}

// remove removes the ClusterProfile of a RemoteCluster that is gone, if it is ours.
func (r *Reconciler) remove(ctx context.Context, remoteCluster string, have *unstructured.Unstructured) error {
	r.said.Delete(remoteCluster)
	r.budget.forget(nameOf(r.Manager, remoteCluster))
	if have == nil || !isOurs(have, remoteCluster, r.Manager) {
		return nil
	}
	return r.delete(ctx, have)
}

// delete deletes the object that it is given, and no other of the same name.
func (r *Reconciler) delete(ctx context.Context, have *unstructured.Unstructured) error {
	r.written.Delete(have.GetName())
	uid := have.GetUID()
	err := r.Client.Delete(ctx, have, client.Preconditions(metav1.Preconditions{UID: &uid}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting ClusterProfile %q in namespace %q: %w", have.GetName(), have.GetNamespace(), err)
	}
	return nil
}

// say sends an event when there is something new to be said.
func (r *Reconciler) say(rc *v1alpha1.RemoteCluster, reason, message string) {
	if last, _ := r.said.Swap(rc.Name, message); last != message {
		r.Events.Eventf(rc, nil, "Warning", reason, "Publish", "%s", message)
	}
}
