package bench

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/fleettest"
)

// NodeName is that of the i-th node, counted from 0.
func NodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// Nodes makes the nodes that pods are put on: Kubernetes deletes the pods of a node that is not there.
func (b *Bench) Nodes(c *fleettest.Cluster, n int) error {
	clientset := c.Client()
	return Parallel(16, n, func(i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: NodeName(i)}}
		if _, err := clientset.CoreV1().Nodes().Create(b.Ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("making node %d: %w", i, err)
		}
		return nil
	})
}

// OnNode puts a pod on one of the nodes. It stays there although nobody plays these, so that they never become ready.
func OnNode(p *corev1.Pod, node int) {
	p.Spec.NodeName = NodeName(node)
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}
