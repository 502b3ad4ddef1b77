// Command cachebytes measures what a cached pod of 8.6 kB JSON takes of the heap:
// whole, trimmed by transforms, and as metadata only.
package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	crcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/bench"
)

const pods = 10_000

// ways to cache pods.
var ways = []struct {
	name, note string
	cache      fleet.CacheOptions
	object     client.Object
}{
	{"full", "", fleet.CacheOptions{}, &corev1.Pod{}},
	{"no_managed_fields", "cache.TransformStripManagedFields", fleet.CacheOptions{DefaultTransform: crcache.TransformStripManagedFields()}, &corev1.Pod{}},
	{"trimmed", "name, labels, owners, node, addresses, phase and conditions are kept", fleet.CacheOptions{DefaultTransform: trim}, &corev1.Pod{}},
	{"metadata", "MetadataOnly", fleet.CacheOptions{MetadataOnly: []client.Object{&corev1.Pod{}}}, metadata()},
	{"metadata_no_managed_fields", "MetadataOnly with cache.TransformStripManagedFields", fleet.CacheOptions{
		MetadataOnly: []client.Object{&corev1.Pod{}}, DefaultTransform: crcache.TransformStripManagedFields(),
	}, metadata()},
}

func main() {
	bench.Main("cachebytes", []string{"alpha"}, func(b *bench.Bench) error {
		alpha, err := b.Filled("alpha", pods)
		if err != nil {
			return err
		}
		size, err := alpha.PodSize(b.Ctx)
		if err != nil {
			return err
		}
		for _, w := range ways {
			bytes, err := measure(b, alpha, w.cache, w.object)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			note := fmt.Sprintf("live heap for each of %d %s", pods, size)
			if w.note != "" {
				note += "; " + w.note
			}
			b.Add(w.name, bytes, "bytes", note)
		}
		return nil
	})
}

func metadata() client.Object {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return m
}

// measure compares the heap of a fleet that is connected with that of one that has cached the pods as well.
func measure(b *bench.Bench, c bench.Filled, o fleet.CacheOptions, object client.Object) (float64, error) {
	names := &bench.Names{}
	names.Set(bench.Named("alpha", c.Cluster, c.Token.Credential))
	f, err := b.Start(c.Cluster, fleet.Options{Inventory: names, Cache: o}, nil)
	if err != nil {
		return 0, err
	}
	if err := f.Connected(b.Ctx, 1); err != nil {
		return 0, err
	}
	before := bench.Heap()
	alpha, err := f.Get("alpha")
	if err != nil {
		return 0, err
	}
	informer, err := alpha.GetCache().GetInformer(b.Ctx, object)
	if err != nil {
		return 0, err
	}
	shared, ok := informer.(cache.SharedIndexInformer)
	if !ok {
		return 0, fmt.Errorf("an informer is a %T, of which nobody can tell what it holds", informer)
	}
	if n := len(shared.GetStore().ListKeys()); n != pods {
		return 0, fmt.Errorf("%d pods are cached, of %d", n, pods)
	}
	after := bench.Heap()
	return float64(after-before) / pods, f.End()
}

// trim is the transform of somebody who wants to know where pods run and at which addresses.
func trim(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion,
			Labels: p.Labels, OwnerReferences: p.OwnerReferences,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp,
		},
		Spec:   corev1.PodSpec{NodeName: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork},
		Status: corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs, Conditions: p.Status.Conditions},
	}, nil
}
