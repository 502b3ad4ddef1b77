package clusterprofile

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// Role is the Role that the controller needs in Namespace, as YAML. Besides it lists and watches RemoteClusters.
//
//go:embed role.yaml
var Role []byte

// SetupWithManager registers the controller, with a cache for the ClusterProfiles of its namespace. It fails where the
// kind is not installed.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if err := r.complete(); err != nil {
		return err
	}
	if _, err := mgr.GetRESTMapper().RESTMapping(clusterprofile.Kind.GroupKind(), clusterprofile.Kind.Version); meta.IsNoMatchError(err) {
		return fmt.Errorf("finding the kind %s: it is not installed: apply the CRD of sigs.k8s.io/cluster-inventory-api", clusterprofile.Kind.GroupKind())
	} else if err != nil {
		return fmt.Errorf("finding the kind %s: %w", clusterprofile.Kind.GroupKind(), err)
	}
	profiles, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), DefaultNamespaces: map[string]cache.Config{r.Namespace: {}},
	})
	if err != nil {
		return fmt.Errorf("making a cache of ClusterProfiles: %w", err)
	}
	if err := mgr.Add(profiles); err != nil {
		return fmt.Errorf("starting a cache of ClusterProfiles: %w", err)
	}
	r.Profiles = profiles
	kind := &unstructured.Unstructured{}
	kind.SetGroupVersionKind(clusterprofile.Kind)
	return ctrl.NewControllerManagedBy(mgr).
		Named("clusterprofile").
		For(&v1alpha1.RemoteCluster{}).
		WatchesRawSource(source.Kind(profiles, kind, handler.TypedEnqueueRequestsFromMapFunc(r.requestOf))).
		WithOptions(controller.Options{SkipNameValidation: new(true)}).
		Complete(reconcile.Func(r.Reconcile))
}

func (r *Reconciler) complete() error {
	if r.Namespace == "" {
		return errors.New("publishing ClusterProfiles: Namespace is empty: name the one namespace for them")
	}
	if r.Manager == "" {
		r.Manager = DefaultManager
	}
	if len(validation.IsDNS1123Label(r.Manager)) > 0 {
		return fmt.Errorf("publishing ClusterProfiles: the name of the manager %q is no DNS label", r.Manager)
	}
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	r.budget.clock = r.Clock
	return nil
}

// requestOf is the RemoteCluster that a ClusterProfile is of, whoever made it: so that we come when it has gone.
func (r *Reconciler) requestOf(_ context.Context, profile *unstructured.Unstructured) []reconcile.Request {
	name, ok := remoteClusterOf(r.Manager, profile.GetName())
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
}
