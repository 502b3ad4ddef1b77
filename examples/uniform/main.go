// Command uniform runs a reconciler that knows of one cluster in every cluster whose kubeconfig lies in the directories
// that it is given: a namespace with the label example.com/isolated=true gets a NetworkPolicy that lets nothing in.
package main

import (
	"context"
	"os"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/inventory/kubeconfigfile"
)

type isolator struct{ client.Client }

func (r isolator) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var namespace corev1.Namespace
	if err := r.Get(ctx, req.NamespacedName, &namespace); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "isolated"}}
	if namespace.Labels["example.com/isolated"] == "true" {
		_, err := ctrl.CreateOrUpdate(ctx, r.Client, policy, func() error {
			policy.Spec = networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"}}
			return ctrl.SetControllerReference(&namespace, policy, r.Scheme())
		})
		return ctrl.Result{}, err
	}
	err := r.Get(ctx, client.ObjectKeyFromObject(policy), policy)
	if err == nil && metav1.IsControlledBy(policy, &namespace) {
		err = r.Delete(ctx, policy)
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

func main() {
	ctrl.SetLogger(klog.Background())
	o := fleet.Options{Inventory: &kubeconfigfile.Inventory{Directories: os.Args[1:]}}
	o.Manager.Metrics.BindAddress = "0"
	f, err := fleet.New(ctrl.GetConfigOrDie(), o)
	utilruntime.Must(err)
	utilruntime.Must(fleet.NewControllerManagedBy(f).For(&corev1.Namespace{}).Owns(&networkingv1.NetworkPolicy{}).
		Uniform(func(c *fleet.Cluster) reconcile.Reconciler { return isolator{c.GetClient()} }))
	utilruntime.Must(f.Start(ctrl.SetupSignalHandler()))
}
