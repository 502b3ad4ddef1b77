package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

const seed = 20261121

// client is an admin's, by protobuf: what this program reads and writes is to cost the clusters as little as can be.
func client(c *fleettest.Cluster) (kubernetes.Interface, error) {
	config := c.AdminConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return kubernetes.NewForConfig(config)
}

// fill makes what is in a cluster.
func (r *run) fill(c *cluster) error {
	for i := range namespaces {
		if err := r.space(c, i); err != nil {
			return err
		}
	}
	if err := r.Nodes(c.of, nodes); err != nil {
		return err
	}
	for i := range nodes {
		region := []string{"north", "south"}[i%2]
		patch := encoded(map[string]any{"metadata": map[string]any{"labels": map[string]string{"region": region}}})
		if _, err := c.Kube.CoreV1().Nodes().Patch(r.Ctx, bench.NodeName(i), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("labelling node %d of %s: %w", i, c.Name, err)
		}
		status := encoded(map[string]any{"status": map[string]any{"addresses": []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: bench.NodeName(i)}, {Type: corev1.NodeInternalIP, Address: c.v4(nodesFrom + i).String()},
		}}})
		if _, err := c.Kube.CoreV1().Nodes().Patch(r.Ctx, bench.NodeName(i), types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
			return fmt.Errorf("addressing node %d of %s: %w", i, c.Name, err)
		}
	}
	return bench.Parallel(12, r.perCluster, func(i int) error {
		return r.create(c, rand.New(rand.NewPCG(seed+uint64(c.number), uint64(i))))
	})
}

// space makes a namespace with its accounts.
func (r *run) space(c *cluster, i int) error {
	core := c.Kube.CoreV1()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i), Labels: namespaceLabels(i, 0)}}
	if _, err := core.Namespaces().Create(r.Ctx, ns, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making namespace %s of %s: %w", ns.Name, c.Name, err)
	}
	for n, name := range accounts {
		labels := accountLabels(i+n, 0)
		if n > 0 {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
			if _, err := core.ServiceAccounts(ns.Name).Create(r.Ctx, account, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("making account %s/%s of %s: %w", ns.Name, name, c.Name, err)
			}
			continue
		}
		ctx, cancel := context.WithTimeout(r.Ctx, time.Minute)
		patch := encoded(map[string]any{"metadata": map[string]any{"labels": labels}})
		err := fleettest.Until(ctx, 100*time.Millisecond, func() error { // Kubernetes makes it
			_, err := core.ServiceAccounts(ns.Name).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		})
		cancel()
		if err != nil {
			return fmt.Errorf("labelling account %s/%s of %s: %w", ns.Name, name, c.Name, err)
		}
	}
	return nil
}

// create makes a pod and lets it run.
func (r *run) create(c *cluster, random *rand.Rand) error {
	p, object, addresses := c.newPod(random)
	if _, err := c.Kube.CoreV1().Pods(p.namespace).Create(r.Ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making pod %s/%s of %s: %w", p.namespace, p.name, c.Name, err)
	}
	if err := r.patchStatus(c, p, running(addresses)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods = append(c.pods, p)
	r.made.Add(1)
	return nil
}

func (r *run) patchStatus(c *cluster, p *pod, patch []byte) error {
	if _, err := c.Kube.CoreV1().Pods(p.namespace).Patch(r.Ctx, p.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("writing the status of pod %s/%s of %s: %w", p.namespace, p.name, c.Name, err)
	}
	return nil
}
