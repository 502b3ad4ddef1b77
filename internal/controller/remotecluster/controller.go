// Package remotecluster is the controller of RemoteClusters: it keeps the fleet's
// connections in step with the objects, writes what the connections know into
// the status, and cleans up both sides at the end. It reaches no remote cluster
// itself, so a dead one costs it nothing.
package remotecluster

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/statuspatch"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

// NewSource makes the credential source of a RemoteCluster. It fails only for an auth.type that this
// program has no source for.
type NewSource func(rc *v1alpha1.RemoteCluster) (credential.Source, error)

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	Fleet  *fleet.Links
	Source NewSource
	// Secrets of the namespace that Hawser runs in.
	Secrets credential.Secrets
	Events  events.EventRecorder
	// Local is the name of the local cluster.
	Local string
	// Connection options, without Changed and Observe, which are made for each cluster.
	Connection connection.Options
	// Observe is told of each probe. May be nil.
	Observe func(cluster string, p connection.Probe)
	// Changed is told, without waiting, that the state of a connection has changed. May be nil.
	Changed func(cluster string)
	// Enqueue asks for a reconcile of a cluster, without waiting.
	Enqueue func(cluster string)
	// Shards says which clusters are this replica's. Nil: all of them.
	Shards Shards

	bound     atomic.Bool // Enqueue is set, as the controller runs
	known     sync.Map    // name → known
	ending    sync.Map    // name → struct{}, while the connection of an earlier object ends
	joined    sync.Map    // name → UID of an object whose finalizer stays
	teardowns sync.Map    // name → *teardown
	written   sync.Map    // name → written
}

// written is the status of an object as it was last written: the cache may still show an older one.
type written struct {
	uid    types.UID
	status *v1alpha1.RemoteClusterStatus
}

// known is what the connection of a cluster was last told.
type known struct {
	uid            types.UID
	spec           connection.Spec
	auth           v1alpha1.Auth
	renew, revoked string
}

// Reconcile brings one connection in step with its object, and the object's status in step with the connection.
func (r *Reconciler) Reconcile(ctx context.Context, rc *v1alpha1.RemoteCluster) (reconcile.Result, error) {
	if id := rc.Status.ClusterID; id != "" {
		ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("cluster", rc.Name, "clusterID", id))
	}
	if !rc.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, rc)
	}
	if err := r.release(ctx, rc); err != nil {
		return reconcile.Result{}, err
	}
	state, err := r.warnOfSharedAudience(ctx, rc, r.connect(rc))
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.report(ctx, rc, state)
}

// connect starts, changes or ends the connection, and returns what it knows.
func (r *Reconciler) connect(rc *v1alpha1.RemoteCluster) connection.State {
	r.heedRevocation(rc)
	if rc.Spec.Disabled {
		r.disconnect(rc.Name)
		return off(v1alpha1.ReasonDisabled, "spec.disabled is true")
	}
	spec, err := inventory.Spec(rc, r.Local)
	if err != nil {
		return r.keep(rc.Name, v1alpha1.ReasonSpecInvalid, err)
	}
	conn, err := r.Fleet.Get(rc.Name)
	if err != nil {
		return r.start(rc, spec)
	}
	last, _ := r.known.Load(rc.Name)
	k, _ := last.(known)
	if k.uid != rc.UID {
		r.succeed(rc.Name)
		return connection.State{}
	}
	var source credential.Source
	if !reflect.DeepEqual(k.auth, rc.Spec.Auth) {
		if source, err = r.Source(rc); err != nil {
			return r.keep(rc.Name, v1alpha1.ReasonAuthTypeUnknown, err)
		}
	}
	if !reflect.DeepEqual(k.spec, spec) {
		conn.Update(spec)
	}
	if source != nil { // after the address, so that what it makes is not tried at the old one
		conn.SetSource(source)
	}
	renew := rc.Annotations[v1alpha1.RenewAnnotation]
	if renew != k.renew && requestedSince(renew, rc.Status.Credential) {
		conn.Renew()
	}
	r.known.Store(rc.Name, known{rc.UID, spec, rc.Spec.Auth, renew, k.revoked})
	return conn.State()
}

// heedRevocation ends what runs over a connection that was cut off, whatever else its object says.
func (r *Reconciler) heedRevocation(rc *v1alpha1.RemoteCluster) {
	last, _ := r.known.Load(rc.Name)
	k, running := last.(known)
	revoked := rc.Annotations[v1alpha1.RevokedAnnotation]
	if !running || revoked == k.revoked {
		return
	}
	if conn, err := r.Fleet.Get(rc.Name); err == nil && revoked != "" {
		conn.Interrupt()
	}
	k.revoked = revoked
	r.known.Store(rc.Name, k)
}

func (r *Reconciler) start(rc *v1alpha1.RemoteCluster, spec connection.Spec) connection.State {
	if _, wait := r.ending.Load(rc.Name); wait {
		return connection.State{} // its end enqueues the object
	}
	source, err := r.Source(rc)
	if err != nil {
		return off(v1alpha1.ReasonAuthTypeUnknown, err.Error())
	}
	options, name := r.Connection, rc.Name // the object itself is the reconciler's, and changes
	options.Last = lastKnown(rc)
	options.Changed = func() {
		r.Enqueue(name)
		if r.Changed != nil {
			r.Changed(name)
		}
	}
	if r.Observe != nil {
		options.Observe = func(p connection.Probe) { r.Observe(name, p) }
	}
	conn, err := r.Fleet.Add(spec, source, options)
	if err != nil {
		return off(v1alpha1.ReasonConnecting, err.Error())
	}
	renew := rc.Annotations[v1alpha1.RenewAnnotation]
	if requestedSince(renew, rc.Status.Credential) {
		conn.Renew() // asked for while no manager ran
	}
	r.known.Store(rc.Name, known{rc.UID, spec, rc.Spec.Auth, renew, rc.Annotations[v1alpha1.RevokedAnnotation]})
	return conn.State()
}

// lastKnown is what was known of a cluster by whoever had its connection before, of the object as it is.
func lastKnown(rc *v1alpha1.RemoteCluster) *connection.Last {
	if ready := meta.FindStatusCondition(rc.Status.Conditions, v1alpha1.Ready); ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != rc.Generation {
		return nil
	}
	return &connection.Last{
		KubernetesVersion: rc.Status.KubernetesVersion, MemberVersion: rc.Status.MemberVersion,
		ClusterProperty: rc.Status.ClusterProperty, ClusterSet: rc.Status.ClusterSet,
	}
}

// succeed ends the connection of an earlier object of the same name, which was deleted while nobody held it.
// What that keeps at its end is not to come after what the new one keeps.
func (r *Reconciler) succeed(name string) {
	r.ending.Store(name, struct{}{})
	ended := r.disconnect(name)
	go func() { // ends with the connection, which has deadlines for all that it does
		<-ended
		r.ending.Delete(name)
		r.Enqueue(name)
	}()
}

func (r *Reconciler) disconnect(name string) (ended <-chan struct{}) {
	r.known.Delete(name)
	return r.Fleet.Remove(name)
}

// keep leaves a running connection as it is, whatever was written into its object, and says so.
func (r *Reconciler) keep(name, reason string, err error) connection.State {
	conn, missing := r.Fleet.Get(name)
	if missing != nil {
		return off(reason, err.Error())
	}
	return warn(conn.State(), reason, fmt.Sprintf("the connection goes on as it was: %s", err))
}

// requestedSince reports whether a renewal was asked for after the credential in use took over.
func requestedSince(request string, in *v1alpha1.CredentialStatus) bool {
	at, err := time.Parse(time.RFC3339Nano, request)
	return err == nil && (in == nil || in.RenewedAt == nil || at.After(in.RenewedAt.Time))
}

// report writes the status if it says something new, with an event for each condition that changed.
func (r *Reconciler) report(ctx context.Context, rc *v1alpha1.RemoteCluster, state connection.State) error {
	connecting := !state.Known() || state.ProbedAt.IsZero() && state.Condition(v1alpha1.Ready).Status == metav1.ConditionUnknown
	if connecting && len(rc.Status.Conditions) > 0 {
		return nil // a restart does not make us forget what was known before it
	}
	if last, _ := r.written.Load(rc.Name); last != nil && last.(written).uid == rc.UID {
		last.(written).status.DeepCopyInto(&rc.Status) //nolint:forcetypeassert // nothing else is stored
	}
	before := rc.DeepCopy()
	changed := apply(&rc.Status, state, rc.Generation)
	if before.Status.ObservedGeneration == 0 {
		changed = slices.DeleteFunc(changed, unremarkable)
	}
	if equality.Semantic.DeepEqual(before.Status, rc.Status) {
		return nil
	}
	status := rc.Status.DeepCopy()
	patch := statuspatch.Of(status)
	if _, again := r.written.Load(rc.Name); !again && r.Shards != nil {
		// Another replica may have written last, and our cache not show it yet.
		patch = client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	}
	if err := r.Client.Status().Patch(ctx, rc, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of RemoteCluster %q: %w", rc.Name, err)
	}
	r.written.Store(rc.Name, written{rc.UID, status})
	for _, c := range changed {
		log.FromContext(ctx).Info("condition changed", "type", c.Type, "status", c.Status, "reason", c.Reason, "message", c.Message)
		r.Events.Eventf(rc, nil, kindOf(c), c.Reason, c.Type, "%s", note(c.Message))
	}
	if rc.Status.ClusterID != before.Status.ClusterID {
		return r.warnOfDuplicates(ctx, rc)
	}
	return nil
}

// unremarkable reports whether a condition of a cluster that is new says nothing that Ready does not say as well.
func unremarkable(c metav1.Condition) bool {
	return c.Type != v1alpha1.Ready && kindOf(c) == "Normal"
}

// kindOf is the kind of event that a condition is worth.
func kindOf(c metav1.Condition) string {
	switch {
	case c.Status != metav1.ConditionTrue, c.Type == v1alpha1.Ready && c.Reason != v1alpha1.ReasonConnected,
		c.Reason == v1alpha1.ReasonExpiresSoon, c.Reason == v1alpha1.ReasonNeverExpires, c.Reason == v1alpha1.ReasonVersionUntested:
		return "Warning"
	}
	return "Normal"
}

// note fits a message into an event, which takes 1 kB.
func note(message string) string {
	if text := []rune(message); len(text) > 1000 {
		return string(text[:1000]) + "…"
	}
	return message
}

// warnOfDuplicates tells of other names for the same cluster: allowed, and seldom meant.
func (r *Reconciler) warnOfDuplicates(ctx context.Context, rc *v1alpha1.RemoteCluster) error {
	var all v1alpha1.RemoteClusterList
	if err := r.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing RemoteClusters: %w", err)
	}
	var twins []string
	for i := range all.Items {
		if other := &all.Items[i]; other.Name != rc.Name && other.Status.ClusterID != "" && other.Status.ClusterID == rc.Status.ClusterID {
			twins = append(twins, strconv.Quote(other.Name))
		}
	}
	if len(twins) > 0 { // one event for all of them: each has its own
		r.Events.Eventf(rc, nil, "Warning", v1alpha1.ReasonDuplicateCluster, v1alpha1.Ready,
			"the same cluster (%s) is RemoteCluster %s as well: delete one of them if this is not intended", rc.Status.ClusterID, several(twins))
	}
	return nil
}

// several names the first of many.
func several(names []string) string {
	const most = 5
	slices.Sort(names)
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
