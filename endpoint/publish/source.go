package publish

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Source asks the controller of a kind of items (EndpointSet or FederatedNetworkPolicy) for those that Notify tells of.
func (l *Leader) Source(kind string) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		stop := l.Notify(func(k Key) {
			if k.Kind == kind {
				queue.Add(reconcile.Request{NamespacedName: client.ObjectKey{Namespace: k.Namespace, Name: k.Name}})
			}
		})
		context.AfterFunc(ctx, stop)
		return nil
	})
}

// EveryOne asks for all objects of a kind, of which none is in the list that is given: each may select a RemoteCluster
// that has changed.
func EveryOne(from client.Reader, kind client.ObjectList) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, rc client.Object) (requests []reconcile.Request) {
		all := kind.DeepCopyObject().(client.ObjectList)
		err := from.List(ctx, all, client.UnsafeDisableDeepCopy)
		if err == nil {
			err = meta.EachListItem(all, func(o runtime.Object) error {
				item, err := meta.Accessor(o)
				if err == nil {
					requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: item.GetNamespace(), Name: item.GetName()}})
				}
				return err
			})
		}
		if err != nil {
			log.FromContext(ctx).Error(err, "listing what may select a changed RemoteCluster", "list", fmt.Sprintf("%T", kind), "cluster", rc.GetName())
			return nil
		}
		return requests
	})
}
