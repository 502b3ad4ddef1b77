// Package capa is the controller that keeps a RemoteCluster for each EKS cluster that Cluster API provisions.
// It reads the objects of Cluster API and its provider for AWS, writes none of them, and asks AWS in
// goroutines of its own.
package capa

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/capa"
	"github.com/hawser-io/hawser/inventory/registry"
)

// DefaultCallTimeout is what AWS gets to answer where the Reconciler does not say otherwise.
const DefaultCallTimeout = 20 * time.Second

// Reconciler holds what the controller works with.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache: RemoteClusters before a new name is given away, and namespaces.
	Live client.Reader
	// Identities, Sessions and Clusters are how AWS is asked.
	Identities aws.Reader
	Sessions   *aws.Sessions
	Clusters   aws.Clusters
	Events     events.EventRecorder
	Clock      clock.WithTicker
	// Local is the name of the local cluster.
	Local string
	// CallTimeout is the deadline of each question to AWS.
	CallTimeout time.Duration
	// FirstRetry is how long after a failure AWS is asked again; it doubles each time.
	FirstRetry time.Duration

	writer      registry.Writer
	describer   *describer
	objects     client.Reader           // the caches of the objects that are watched
	clusterKind schema.GroupVersionKind // as the API server prefers it

	said sync.Map // control plane → what its last event said
}

// Reconcile keeps the RemoteCluster of one control plane in step with it.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	source := req.NamespacedName
	in, object, err := r.observe(ctx, source)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan, err := r.plan(ctx, in)
	if err != nil {
		return reconcile.Result{}, err
	}
	if plan.Ask != nil {
		r.describer.ask(source, *plan.Ask)
	}
	if in.ControlPlane == nil {
		r.describer.forget(source)
		r.said.Delete(source)
	}
	if err := r.act(ctx, plan); err != nil {
		return reconcile.Result{}, err
	}
	r.tell(object, source, plan)
	return reconcile.Result{}, nil
}

// observe reads a control plane and its Cluster, and what AWS has said about it.
func (r *Reconciler) observe(ctx context.Context, source types.NamespacedName) (capa.Input, *unstructured.Unstructured, error) {
	in := capa.Input{Source: source, Local: r.Local}
	object, err := r.read(ctx, capa.ControlPlaneKind, source)
	if object == nil || err != nil {
		return in, nil, err
	}
	if in.ControlPlane, err = capa.DecodeControlPlane(object); err != nil {
		return in, nil, err
	}
	if owner := in.ControlPlane.Owner(); owner != "" {
		cluster, err := r.read(ctx, r.clusterKind, types.NamespacedName{Namespace: source.Namespace, Name: owner})
		if err != nil {
			return in, nil, err
		}
		if cluster != nil {
			if in.Cluster, err = capa.DecodeCluster(cluster); err != nil {
				return in, nil, err
			}
		}
	}
	if question, err := in.ControlPlane.Question(); err == nil {
		in.Answer = r.describer.answer(source, question)
	}
	return in, object, nil
}

// read returns nil where there is no such object.
func (r *Reconciler) read(ctx context.Context, kind schema.GroupVersionKind, key types.NamespacedName) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	err := r.objects.Get(ctx, key, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %q in namespace %q: %w", kind.Kind, key.Name, key.Namespace, err)
	}
	return u, nil
}

// plan decides by the cache, and by the API server itself before a name is given away.
func (r *Reconciler) plan(ctx context.Context, in capa.Input) (capa.Plan, error) {
	var plan capa.Plan
	for _, reader := range []client.Reader{r.Client, r.Live} {
		var all v1alpha1.RemoteClusterList
		if err := reader.List(ctx, &all); err != nil {
			return plan, fmt.Errorf("listing RemoteClusters: %w", err)
		}
		in.Existing = all.Items
		if plan = capa.Decide(in); plan.Want == nil || plan.Have != nil {
			break
		}
	}
	return plan, nil
}

func (r *Reconciler) act(ctx context.Context, plan capa.Plan) error {
	var errs []error
	for _, rc := range plan.Delete {
		err := r.writer.Delete(ctx, rc)
		if err == nil {
			log.FromContext(ctx).Info("RemoteCluster deleted: its control plane is gone", "remoteCluster", rc.Name)
		}
		errs = append(errs, err)
	}
	if plan.Want != nil {
		err := r.writer.Apply(ctx, plan.Want, plan.Have)
		if err == nil && plan.Have == nil {
			log.FromContext(ctx).Info("RemoteCluster created", "remoteCluster", plan.Want.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// tell sends an event when there is something new to be said about a control plane.
func (r *Reconciler) tell(object *unstructured.Unstructured, source types.NamespacedName, plan capa.Plan) {
	if object == nil || plan.Ask != nil {
		return
	}
	message := plan.Message
	if plan.Want != nil && plan.Have == nil {
		message = fmt.Sprintf("connects as RemoteCluster %q", plan.Want.Name)
	}
	if last, _ := r.said.Swap(source, message); message == "" || last == message {
		return
	}
	if plan.Reason == "" {
		r.Events.Eventf(object, nil, "Normal", "Created", "Connect", "%s", note(message))
		return
	}
	r.Events.Eventf(object, nil, "Warning", plan.Reason, "Connect", "%s", note("Hawser does not connect this cluster: "+message))
}

// note fits a message into an event, which takes 1 kB.
func note(message string) string {
	if text := []rune(message); len(text) > 1000 {
		return string(text[:1000]) + "…"
	}
	return message
}

// describe asks AWS about a cluster, on behalf of the namespace that its control plane is in.
func (r *Reconciler) describe(ctx context.Context, source types.NamespacedName, q capa.Question) capa.Answer {
	ctx, cancel := context.WithTimeout(ctx, r.CallTimeout)
	defer cancel()
	var namespace corev1.Namespace
	if err := r.Live.Get(ctx, client.ObjectKey{Name: source.Namespace}, &namespace); err != nil {
		return capa.Answer{Err: aws.AsError(q.Identity, fmt.Errorf("reading namespace %q: %w", source.Namespace, err))}
	}
	chain, err := aws.Resolve(ctx, r.Identities, q.Identity, aws.Namespace{Name: namespace.Name, Labels: namespace.Labels})
	if err != nil {
		var verdict *aws.Error // anything else is the API server's trouble, and says nothing about the identity
		return capa.Answer{Err: aws.AsError(q.Identity, err), Unresolved: errors.As(err, &verdict)}
	}
	cluster, err := r.Clusters.Describe(ctx, r.Sessions.Provider(chain), q.Region, q.Name)
	if err != nil {
		return capa.Answer{Err: aws.AsError(q.Identity, err)}
	}
	return capa.Usable(q.Identity, cluster)
}
