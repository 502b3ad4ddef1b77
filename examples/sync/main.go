// Command sync copies labelled ConfigMaps of the local cluster to every cluster whose kubeconfig it finds in a directory.
package main

import (
	"context"
	"errors"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/inventory/kubeconfigfile"
)

var labelled = client.MatchingLabels{"example.com/sync": "true"}

type syncer struct{ *fleet.Fleet }

// Reconcile makes one namespace of one cluster be as that of the local cluster.
func (s syncer) Reconcile(ctx context.Context, req fleet.Request) (ctrl.Result, error) {
	target, err := s.Get(req.Cluster)
	if err != nil {
		return ctrl.Result{}, err // called again when the cluster is back
	}
	var originals corev1.ConfigMapList
	if err := s.Manager().GetClient().List(ctx, &originals, client.InNamespace(req.Name), labelled); err != nil {
		return ctrl.Result{}, err
	}
	var others []fields.Selector
	for _, original := range originals.Items {
		copied := applycorev1.ConfigMap(original.Name, req.Name).WithLabels(labelled).WithData(original.Data)
		err = errors.Join(err, client.IgnoreNotFound(target.GetClient().Apply(ctx, copied, client.FieldOwner("sync"))))
		others = append(others, fields.OneTermNotEqualSelector("metadata.name", original.Name))
	}
	rest := client.MatchingFieldsSelector{Selector: fields.AndSelectors(others...)}
	return ctrl.Result{}, errors.Join(err, target.GetClient().DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(req.Name), labelled, rest))
}

func main() {
	ctrl.SetLogger(klog.Background())
	o := fleet.Options{Inventory: &kubeconfigfile.Inventory{Directories: os.Args[1:]}}
	o.Manager.Metrics.BindAddress = "0"
	f, err := fleet.New(ctrl.GetConfigOrDie(), o)
	utilruntime.Must(err)
	everywhere := func(_ context.Context, original client.Object) (requests []fleet.Request) {
		for _, c := range f.Clusters() {
			requests = append(requests, fleet.NewRequest(c.Name(), "", original.GetNamespace()))
		}
		return requests
	}
	utilruntime.Must(fleet.NewControllerManagedBy(f).For(&corev1.Namespace{}).WatchesLocal(&corev1.ConfigMap{}, everywhere).Complete(syncer{f}))
	utilruntime.Must(f.Start(ctrl.SetupSignalHandler()))
}
