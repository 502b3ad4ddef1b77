package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// watch follows the Leases of all replicas and the assignment until live ends, and returns when both are known.
func (r *Replica) watch(ctx, live context.Context, running *sync.WaitGroup) error {
	o := r.options
	leases := informers.NewSharedInformerFactoryWithOptions(r.watching, 0, informers.WithNamespace(o.Namespace),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = groupLabel + "=" + o.Name }))
	maps := informers.NewSharedInformerFactoryWithOptions(r.watching, 0, informers.WithNamespace(o.Namespace),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) {
			l.FieldSelector = fields.OneTermEqualSelector("metadata.name", ConfigMapName(o.Name)).String()
		}))
	lease, configMap := leases.Coordination().V1().Leases().Informer(), maps.Core().V1().ConfigMaps().Informer()
	r.assign.stored = func() *corev1.ConfigMap { return stored(configMap.GetStore().List()) }
	_, errLeases := lease.AddEventHandler(onLease(r.peers))
	_, errMaps := configMap.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.told(o) },
		UpdateFunc: func(_, o any) { r.told(o) },
		DeleteFunc: func(any) { signal(r.assign.wake) }, // the leader writes it anew
	})
	if err := errors.Join(errLeases, errMaps); err != nil {
		return fmt.Errorf("watching Leases and ConfigMap %q: %w", ConfigMapName(o.Name), err)
	}
	for _, i := range []cache.SharedIndexInformer{lease, configMap} {
		running.Go(func() { i.RunWithContext(live) }) // ends with live
	}
	if !cache.WaitForCacheSync(ctx.Done(), lease.HasSynced, configMap.HasSynced) {
		return nil // ctx has ended: there is nothing to leave yet
	}
	return nil
}

// told takes in an assignment.
func (r *Replica) told(o any) {
	if cm, ok := o.(*corev1.ConfigMap); ok {
		r.follow.obey(cm)
		signal(r.assign.wake)
	}
}

func onLease(o *observer) cache.ResourceEventHandler {
	seen := func(obj any) {
		if l, ok := obj.(*coordinationv1.Lease); ok {
			o.seen(l)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, obj any) { seen(obj) },
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if l, ok := obj.(*coordinationv1.Lease); ok {
				o.gone(l)
			}
		},
	}
}
