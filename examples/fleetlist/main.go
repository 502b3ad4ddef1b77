// Command fleetlist counts the Pods of every cluster whose kubeconfig lies in the directories that it is given. Clusters
// that are missing from the answer are named on stderr, with the reason, and the program then exits with 1.
package main

import (
	"fmt"
	"os"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/inventory/kubeconfigfile"
)

func main() {
	ctrl.SetLogger(logr.Discard())
	o := fleet.Options{Inventory: &kubeconfigfile.Inventory{Directories: os.Args[1:]}}
	o.Manager.Metrics.BindAddress = "0"
	f, err := fleet.New(&rest.Config{}, o) // without a local cluster: no leader, no events
	utilruntime.Must(err)
	ctx := ctrl.SetupSignalHandler()
	go func() { utilruntime.Must(f.Start(ctx)) }() // ends with the program
	select {
	case <-f.Synced():
	case <-ctx.Done():
	}
	pods := fleet.List(ctx, f, func() *corev1.PodList { return &corev1.PodList{} }, fleet.Live())
	for _, r := range pods {
		if r.Err == nil {
			fmt.Printf("%s\t%d pods\n", r.Cluster, len(r.Value.Items))
		}
	}
	if gaps := fleet.Gaps(pods); gaps != nil {
		fmt.Fprintln(os.Stderr, gaps)
		os.Exit(1)
	}
}
