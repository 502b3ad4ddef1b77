package publish

import (
	"context"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Clusters reads what a leader has to know of RemoteClusters.
func Clusters(ctx context.Context, from client.Reader) ([]Cluster, error) {
	var all v1alpha1.RemoteClusterList
	if err := from.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing RemoteClusters: %w", err)
	}
	clusters := make([]Cluster, 0, len(all.Items))
	for i := range all.Items {
		clusters = append(clusters, clusterOf(&all.Items[i]))
	}
	return clusters, nil
}

func clusterOf(rc *v1alpha1.RemoteCluster) Cluster {
	return Cluster{
		Name: rc.Name, Labels: rc.Labels, Local: rc.IsLocal(),
		Gone:      !rc.DeletionTimestamp.IsZero(), // one that is disabled is not heard of, and keeps everything else
		Answering: meta.IsStatusConditionTrue(rc.Status.Conditions, v1alpha1.Authenticated),
	}
}

// ClusterChanged lets those changes of RemoteClusters through that Clusters tells of.
func ClusterChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.RemoteCluster)
		after, both := e.ObjectNew.(*v1alpha1.RemoteCluster)
		if !ok || !both {
			return true
		}
		a, b := clusterOf(before), clusterOf(after)
		return a.Local != b.Local || a.Gone != b.Gone || a.Answering != b.Answering || !maps.Equal(a.Labels, b.Labels)
	}}
}
