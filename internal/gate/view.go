package gate

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// view is what the gate knows of the cluster, kept by informers. Their goroutines end with the cache.
type view struct {
	issuers *issuers
	grants  *grants
	figures *figures
	reports *reports
}

// follow begins to listen to both kinds. What it returns tells whether all of them are known.
func (v *view) follow(ctx context.Context, c cache.Cache) ([]toolscache.InformerSynced, error) {
	trusted, err := handle(ctx, c, &v1alpha1.TrustedIssuer{}, v.issuers.set, v.forgetIssuer)
	if err != nil {
		return nil, err
	}
	granted, err := handle(ctx, c, &v1alpha1.AccessGrant{}, v.grants.set, v.grants.remove)
	return []toolscache.InformerSynced{trusted, granted}, err
}

func (v *view) forgetIssuer(name string) {
	v.issuers.remove(name)
	v.figures.forget(name)
	v.reports.forget(name)
}

// handle tells set of each object that is new or changed, and remove of each that is gone.
func handle[T client.Object](ctx context.Context, c cache.Cache, kind T, set func(T), remove func(name string)) (toolscache.InformerSynced, error) {
	informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("following %T: is its CRD installed? %w", kind, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if obj, ok := obj.(T); ok {
				set(obj)
			}
		},
		UpdateFunc: func(_, obj any) {
			if obj, ok := obj.(T); ok {
				set(obj)
			}
		},
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if obj, ok := obj.(T); ok {
				remove(obj.GetName())
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("following %T: %w", kind, err)
	}
	return registration.HasSynced, nil
}
