package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// marked is a pod of which nothing changes.
type marked struct {
	cluster         *cluster
	namespace, name string
	labels          map[string]string // that selectors see, but for those that it inherits
	addresses       []netip.Addr
}

// String names it for people.
func (m *marked) String() string {
	return fmt.Sprintf("pod %s/%s/%s", m.cluster.Name, m.namespace, m.name)
}

// mark makes a pod by which it is seen how far everything is. Nothing else changes it.
func (r *run) mark(c *cluster) (*marked, error) {
	random := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
	place, own := c.pool.take(), c.podLabels(random)
	delete(own, "canary")
	own[marker], own["app"], own["tier"], own["side"] = "true", fmt.Sprintf("app-%d", 7%c.apps), "tier-3", "side-0"
	own["component"], own["stable"] = "component-4", "true"
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "marker-", Labels: own}}
	bench.OnNode(object, 0)
	object.Spec.Containers = []corev1.Container{{Name: "c", Image: "registry.example.com/team/app:v1.2.3"}}
	object, err := c.Kube.CoreV1().Pods(namespace(1)).Create(r.Ctx, object, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("making a pod in %s: %w", c.Name, err)
	}
	p := &pod{namespace: object.Namespace, name: object.Name, place: place}
	if err := r.patchStatus(c, p, running(c.at(place))); err != nil {
		return nil, err
	}
	r.made.Add(1)
	all := map[string]string{"projectcalico.org/orchestrator": "k8s", "hawser.io/cluster": c.Name, "projectcalico.org/namespace": p.namespace}
	for name, value := range own {
		all[name] = value
	}
	return &marked{cluster: c, namespace: p.namespace, name: p.name, labels: all, addresses: c.at(place)}, nil
}

// place is an object, or all pieces of it, with an address that is to be in it.
type place struct {
	kind, base string
	address    netip.Addr
}

// places are those that a pod belongs to for its own labels: of the EndpointSets that take nothing away.
func (r *run) places(m *marked) map[place]bool {
	all := map[place]bool{}
	for _, s := range r.sets {
		if !fedtest.Takes(s.Object.Spec.Clusters, &m.cluster.Cluster) || !s.Selector.Holds(m.labels) || s.Object.Name == expiring {
			continue
		}
		for _, o := range s.Object.Spec.Outputs {
			kind := "ConfigMap"
			if o.NetworkPolicy != nil {
				kind = "NetworkPolicy"
			}
			for _, a := range m.addresses {
				all[place{kind, s.Object.Name + "-" + o.Name + "-" + m.cluster.Name, a}] = true
			}
		}
	}
	return all
}

// arrived waits until pods are in every object that they belong to.
func (r *run) arrived(h *churn, markers ...*marked) error {
	for _, m := range markers {
		missing := r.places(m)
		if len(missing) < 4 {
			return fmt.Errorf("%s belongs to %d objects only: that says nothing", m, len(missing))
		}
		only := labels.Set{fedtest.ManagedBy: "hawser", fedtest.OfCluster: m.cluster.Name}.String()
		err := r.within(patience, 250*time.Millisecond, fmt.Sprintf("%s to be in all objects", m), h, func() error {
			objects, err := r.found(only)
			if err != nil {
				return err
			}
			for _, o := range objects {
				prefixes, err := o.Prefixes()
				if err != nil {
					return err
				}
				for _, a := range m.addresses {
					if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
						delete(missing, place{o.Kind, o.Base(), a})
					}
				}
			}
			for at := range missing {
				return fmt.Errorf("%d are missing, such as %s in %s %s", len(missing), at.address, at.kind, at.base)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
