package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/hawser-io/hawser/fleettest"
)

const (
	servicesPath = "/api/v1/services"
	namespace    = "default"
)

// watch is a cache on the Services of one cluster, kept by a watch over the manager's connection.
type watch struct {
	cluster *fleettest.Cluster
	proxy   *fleettest.HTTPProxy
	seen    chan string // names of Services that appear

	mu      sync.Mutex
	made    int  // Services
	counted harm // by take, and before it by the watch's own beginning
}

// harm is what a watch may suffer.
type harm struct{ dropped, relists int }

// watch begins to watch a cluster and returns once the cache is filled.
func (w *world) watch(ctx context.Context, name string) error {
	conn, err := w.fleet.Get(name)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(conn.Config())
	if err != nil {
		return fmt.Errorf("making a client of %q: %w", name, err)
	}
	v := &watch{cluster: w.clusters[name], proxy: w.proxies[name], seen: make(chan string, 16)}
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Services().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(obj any) {
		if s, ok := obj.(*corev1.Service); ok {
			select {
			case v.seen <- s.Name:
			default: // nobody waits for it
			}
		}
	}})
	if err != nil {
		return fmt.Errorf("watching %q: %w", name, err)
	}
	stop := make(chan struct{})
	w.running.Go(func() { informer.Run(stop) })
	end := w.cancel
	w.cancel = func() { close(stop); end() }
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !cache.WaitForCacheSync(patient.Done(), informer.HasSynced) {
		return fmt.Errorf("watching %q: the cache was not filled within %s", name, patience)
	}
	if _, err := v.delivers(ctx); err != nil { // until then the watch may still be on its way
		return err
	}
	v.take() // its own beginning
	w.watches[name] = v
	return nil
}

// delivers makes a Service in the cluster, by an admin's own way, and waits until the watch has seen it.
func (v *watch) delivers(ctx context.Context) (time.Duration, error) {
	v.mu.Lock()
	v.made++
	name := fmt.Sprintf("demo-%d", v.made)
	v.mu.Unlock()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	began := time.Now()
	if _, err := v.cluster.Client().CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return 0, fmt.Errorf("making a Service in %q: %w", v.cluster.Name, err)
	}
	late := time.After(patience)
	for {
		select {
		case seen := <-v.seen:
			if seen == name {
				return time.Since(began), nil
			}
		case <-late:
			return 0, fmt.Errorf("the watch on %q has not seen Service %q within %s", v.cluster.Name, name, patience)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take returns what the watch has suffered since it was last asked.
func (v *watch) take() harm {
	now := v.harm()
	v.mu.Lock()
	defer v.mu.Unlock()
	since := harm{now.dropped - v.counted.dropped, now.relists - v.counted.relists}
	v.counted = now
	return since
}

// harm counts, at the proxy, the watches that have ended, for whatever reason, and what was listed: by a
// LIST, or by a watch that begins with everything there is.
func (v *watch) harm() harm {
	var h harm
	for _, w := range v.proxy.Watches() {
		if w.Path == servicesPath && w.End != fleettest.WatchOpen {
			h.dropped++
		}
	}
	for _, r := range v.proxy.Requests() {
		if r.Method == http.MethodGet && r.Path == servicesPath && (!isTrue(r.Query, "watch") || isTrue(r.Query, "sendInitialEvents")) {
			h.relists++
		}
	}
	return h
}

func isTrue(query url.Values, key string) bool {
	value := query.Get(key)
	return value == "true" || value == "1"
}
