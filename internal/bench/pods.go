package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/fleettest"
)

// PodNamespace is where Fill makes pods, and PodsPath where they are listed and watched.
const (
	PodNamespace = "default"
	PodsPath     = "/api/v1/pods"
)

// Fill makes pods, as fast as the server takes them.
func (b *Bench) Fill(c *fleettest.Cluster, pods int) error {
	return b.FillWith(c, pods, func(int, *corev1.Pod) {})
}

// FillWith is Fill of pods that are edited before they are made. They are counted from 1.
func (b *Bench) FillWith(c *fleettest.Cluster, pods int, edit func(i int, p *corev1.Pod)) error {
	b.Say("making %d pods in cluster %s", pods, c.Name)
	clientset := c.Client()
	return Parallel(16, pods, func(i int) error {
		p := pod(i + 1)
		edit(i+1, p)
		if _, err := clientset.CoreV1().Pods(PodNamespace).Create(b.Ctx, p, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("making pod %d: %w", i+1, err)
		}
		return nil
	})
}

// Parallel calls do with 0 to n-1, a few at a time, until one fails.
func Parallel(atOnce, n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, atOnce)
	for range atOnce {
		wg.Go(func() { // ends with the last call, or the first that fails
			for i := int(next.Add(1)) - 1; i < n && len(errs) == 0; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// PodName is the name of the i-th pod, counted from 1.
func PodName(i int) string { return fmt.Sprintf("pod-%05d", i) }

// PodLabels are those of the i-th pod: one in a hundred has the same.
func PodLabels(i int) map[string]string {
	return map[string]string{"app": fmt.Sprintf("app-%d", i%100), "tier": "backend"}
}

// pod has 8.6 kB of JSON once it is made, 4.7 kB without managedFields, as those have by which others were
// measured: what is cached of it, and what it costs to read, can only be compared among the same.
func pod(i int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: PodName(i), Labels: PodLabels(i)}}
	for n := range 2 {
		container := corev1.Container{Name: fmt.Sprintf("c%d", n), Image: "registry.example.com/team/app:v1.2.3"}
		for e := range 25 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%02d", e), Value: strings.Repeat("v", 23)})
		}
		p.Spec.Containers = append(p.Spec.Containers, container)
	}
	return p
}

// Filled is a cluster with pods, and with an account that may read them.
type Filled struct {
	*fleettest.Cluster
	Account *Account
	// Token lasts longer than any benchmark.
	Token BoundToken
}

// Filled starts a cluster and fills it.
func (b *Bench) Filled(name string, pods int) (Filled, error) {
	c, admin, err := b.Cluster(name)
	if err != nil {
		return Filled{}, err
	}
	account, err := NewAccount(b.Ctx, c, admin)
	if err != nil {
		return Filled{}, err
	}
	token, err := account.Token(b.Ctx)
	if err != nil {
		return Filled{}, err
	}
	return Filled{c, account, token}, b.Fill(c, pods)
}

// PodSize is how long the JSON of a pod is that Fill has made, as a note for figures.
func (f Filled) PodSize(ctx context.Context) (string, error) { return PodSize(ctx, f.Client()) }

// PodSize is how long the JSON of the first pod of a cluster is, as a note for figures.
func PodSize(ctx context.Context, clientset kubernetes.Interface) (string, error) {
	p, err := clientset.CoreV1().Pods(PodNamespace).Get(ctx, PodName(1), metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	whole, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	p.ManagedFields = nil
	rest, err := json.Marshal(p)
	return fmt.Sprintf("pods of %.1f kB JSON, %.1f kB without managedFields", float64(len(whole))/1000, float64(len(rest))/1000), err
}
