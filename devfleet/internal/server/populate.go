package server

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The pods of a fleet are spread over these namespaces, apps and tiers, so that a selector finds some of them.
var (
	namespaces = []string{"shop", "payments", "search"}
	apps       = []struct{ name, tier string }{
		{"web", "frontend"}, {"cart", "backend"}, {"orders", "backend"}, {"index", "data"}, {"cache", "data"},
	}
)

// writers is how many pods are made at a time: enough to keep an API server on two cores busy.
const writers = 16

// populate makes the nodes and pods that are missing, and starts to schedule.
func (c *cluster) populate(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	for i := range c.spec.Nodes {
		if err := ignoreExists(client.CoreV1().Nodes().Create(ctx, node(i), metav1.CreateOptions{})); err != nil {
			return fmt.Errorf("making node: %w", err)
		}
	}
	go schedule(ctx, client)
	if c.spec.Pods == 0 {
		return nil
	}
	for _, ns := range namespaces {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		if err := ignoreExists(client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{})); err != nil {
			return fmt.Errorf("making namespace: %w", err)
		}
	}
	if err := c.waitFor(ctx, func(ctx context.Context) error {
		for _, ns := range namespaces {
			if _, err := client.CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for i := range c.spec.Pods {
		group.Go(func() error {
			pod := c.pod(i)
			return ignoreExists(client.CoreV1().Pods(pod.Namespace).Create(gctx, pod, metav1.CreateOptions{}))
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("making pods: %w", err)
	}
	return c.waitFor(ctx, func(ctx context.Context) error { return allRunning(ctx, client, c.spec.Pods) })
}

// allRunning reads the API server's cache (resourceVersion 0) and one field's worth of pods: it is asked often.
func allRunning(ctx context.Context, client kubernetes.Interface, want int) error {
	running := 0
	for _, ns := range namespaces {
		list, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{ResourceVersion: "0", FieldSelector: "status.phase=Running"})
		if err != nil {
			return fmt.Errorf("counting running pods: %w", err)
		}
		running += len(list.Items)
	}
	if running < want {
		return fmt.Errorf("%d of %d pods run", running, want)
	}
	return nil
}

func node(i int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
	}}
}

func (c *cluster) pod(i int) *corev1.Pod {
	app := apps[i%len(apps)]
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s-%05d", app.name, i),
			Namespace: namespaces[(i/len(apps))%len(namespaces)],
			Labels:    map[string]string{"app": app.name, "tier": app.tier},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i%c.spec.Nodes),
			Containers: []corev1.Container{{
				Name: app.name, Image: "example.com/" + app.name + ":1",
				Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
			}},
		},
	}
}

func ignoreExists[T any](_ T, err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// schedule binds pods without a node to the nodes in turn, so that Deployments work. There is no
// kube-scheduler here: every node of kwok has room for everything.
func schedule(ctx context.Context, client kubernetes.Interface) {
	const pause = time.Second
	for next := 0; ctx.Err() == nil; {
		watch, err := client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName="})
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		for event := range watch.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || pod.DeletionTimestamp != nil || (event.Type != "ADDED" && event.Type != "MODIFIED") {
				continue
			}
			next = bind(ctx, client, pod, next)
		}
	}
}

func bind(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, next int) int {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil || len(nodes.Items) == 0 {
		return next // the next watch, which begins with all such pods, tries again
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: nodes.Items[next%len(nodes.Items)].Name},
	}
	_ = client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	return next + 1
}
