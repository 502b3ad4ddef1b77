package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
)

// federated is the cluster with a pod that a policy of the primary names.
const federated = "beta"

const shop = "shop"

const policy = `
apiVersion: hawser.io/v1alpha1
kind: FederatedNetworkPolicy
metadata: {namespace: shop, name: from-db}
spec:
  selector: app == 'web'
  clusters: {local: false, names: [beta]}
  ingress:
  - action: Allow
    protocol: TCP
    source: {selector: app == 'db' && hawser.io/cluster == 'beta'}
    destination: {ports: [8080]}
`

// federate lets a policy of the primary follow a pod of a remote cluster to another address.
func federate(ctx context.Context, w *world, _ *result) error {
	heading("Let a policy here name a pod over there, and follow it")
	for _, c := range []interface {
		Apply(ctx context.Context, manifests []byte) error
	}{w.primary, w.clusters[federated]} {
		if err := c.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+shop+"}}")); err != nil {
			return err
		}
	}
	if _, err := runPod(ctx, w.primary, "web", "web-0"); err != nil {
		return err
	}
	address, err := runPod(ctx, w.clusters[federated], "db", "db-0")
	if err != nil {
		return err
	}
	said("pod %s/db-0 of %s has the address %s", shop, federated, address)
	if err := w.primary.Apply(ctx, []byte(policy)); err != nil {
		return err
	}
	fmt.Println(indent(indent(strings.TrimSpace(policy))))
	fmt.Println()
	if err := w.lets(ctx, address); err != nil {
		return err
	}
	said("nobody's kubelet forwards ports here, so the clusters are asked; the nodes are played, at addresses that no endpoint may have, and are named for that:")
	if err := w.hawserFails(ctx, everything, "policy", "explain", "from-db", "-n", shop); err != nil {
		return err
	}
	moved, err := runPod(ctx, w.clusters[federated], "db", "db-1")
	if err != nil {
		return err
	}
	if err := w.clusters[federated].Client().CoreV1().Pods(shop).Delete(ctx, "db-0", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		return fmt.Errorf("deleting the pod: %w", err)
	}
	said("pod db-1 took its place over there, and has the address %s", moved)
	return w.lets(ctx, moved)
}

// runPod runs a pod that the policy names, and returns its address.
func runPod(ctx context.Context, c *fleettest.Cluster, app, name string) (address string, err error) {
	pods := c.Client().CoreV1().Pods(shop)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: "registry.example.com/" + app + ":1"}}},
	}
	err = await(ctx, "for pod "+name+" to be made", func(ctx context.Context) error { // its service account may take a moment
		_, err := pods.Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return "", err
	}
	err = await(ctx, "for the address of pod "+name, func(ctx context.Context) error {
		running, err := pods.Get(ctx, name, getOptions)
		if err != nil {
			return err
		}
		if address = running.Status.PodIP; address == "" {
			return fmt.Errorf("it is %s", running.Status.Phase)
		}
		return nil
	})
	return address, err
}

// lets waits until the policies of the primary let in one address of the remote cluster, and no other.
func (w *world) lets(ctx context.Context, address string) error {
	started := time.Now()
	err := await(ctx, "for the NetworkPolicy to let "+address+" in", func(ctx context.Context) error {
		rendered, err := w.primary.Client().NetworkingV1().NetworkPolicies(shop).List(ctx, metav1.ListOptions{LabelSelector: publish.ClusterLabel + "=" + federated})
		if err != nil {
			return err
		}
		var in []string
		for _, p := range rendered.Items {
			for _, rule := range p.Spec.Ingress {
				for _, peer := range rule.From {
					in = append(in, peer.IPBlock.CIDR)
				}
			}
		}
		if !slices.Equal(in, []string{address + "/32"}) {
			return fmt.Errorf("it lets %v in", in)
		}
		return nil
	})
	if err == nil {
		said("a NetworkPolicy in %s/%s lets exactly %s in, after %s", primary, shop, address, time.Since(started).Round(time.Millisecond))
	}
	return err
}
