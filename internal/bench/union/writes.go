package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/hawser-io/hawser/internal/fedtest"
)

// writes counts the writes of every object that the replicas make: each is an event of a watch, which are never put
// together for objects in etcd.
type writes struct {
	mu      sync.Mutex
	objects map[string]int
	total   int
	failed  error
}

var kindsWritten = []schema.GroupVersionResource{
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, {Version: "v1", Resource: "configmaps"},
}

// countWrites counts from now on, until ctx ends.
func (r *run) countWrites(ctx context.Context) (*writes, error) {
	client, err := metadata.NewForConfig(r.clusters[0].of.AdminConfig())
	if err != nil {
		return nil, err
	}
	w := &writes{objects: map[string]int{}}
	for _, kind := range kindsWritten {
		only := metav1.ListOptions{LabelSelector: fedtest.ManagedBy + "=hawser"}
		list, err := client.Resource(kind).List(ctx, only)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", kind.Resource, err)
		}
		only.ResourceVersion = list.ResourceVersion
		events, err := client.Resource(kind).Watch(ctx, only)
		if err != nil {
			return nil, fmt.Errorf("watching %s: %w", kind.Resource, err)
		}
		go w.count(ctx, kind.Resource, events) // ends with ctx, or with the watch
	}
	return w, nil
}

func (w *writes) count(ctx context.Context, resource string, events watch.Interface) {
	defer events.Stop()
	for event := range events.ResultChan() {
		object, ok := event.Object.(*metav1.PartialObjectMetadata)
		if !ok {
			continue
		}
		if object.Labels[fedtest.OfSet]+object.Labels[fedtest.OfPolicy] == "" {
			continue
		}
		w.mu.Lock()
		w.objects[resource+" "+object.Namespace+"/"+object.Name]++
		w.total++
		w.mu.Unlock()
	}
	if ctx.Err() == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = fmt.Errorf("the watch of %s has ended, and writes are not counted any more", resource)
	}
}

func (w *writes) sum() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total, w.failed
}

// most are how often the object was written that was written most often, which one that is, and the one in the middle.
func (w *writes) most() (most int, name string, median int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int
	for object, n := range w.objects {
		all = append(all, n)
		if n > most {
			most, name = n, object
		}
	}
	if len(all) == 0 {
		return 0, "", 0
	}
	slices.Sort(all)
	return most, name, all[len(all)/2]
}
