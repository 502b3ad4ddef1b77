package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/internal/cli/forward"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
)

// askEndpoints answers a question about the clusters of a scope, or about all where it is nil, and says who did.
func (d *deps) askEndpoints(ctx context.Context, here *cluster, fleet contributors, f askFlags, q query.Question, scope *v1alpha1.ClusterScope) (from string, a query.Answer, err error) {
	expected, err := fleet.expected(f.cluster)
	if err != nil {
		return "", a, err
	}
	if scope != nil {
		expected = slices.DeleteFunc(slices.Clone(expected), func(rc v1alpha1.RemoteCluster) bool {
			return !publish.Selects(*scope, rc.Name, rc.Labels, rc.IsLocal())
		})
		if f.cluster != "" && len(expected) == 0 {
			return "", a, fmt.Errorf("cluster %q is not among the clusters that it selects", f.cluster)
		}
	}
	if f.from != fromSelf {
		a, err = d.askManager(ctx, here, f, q)
		if err == nil {
			if scope != nil {
				a = a.Within(*scope)
			}
			a.AddGaps(unheard(a, expected)...)
			return fromManager, a, nil
		}
		var none *noManagerError
		if f.from == fromManager || !errors.As(err, &none) {
			return "", a, err
		}
		fmt.Fprintf(d.err, "the clusters are asked directly: %s\n", shown(err.Error()))
	}
	a, err = d.askSelf(ctx, here, fleet, expected, q)
	return fromSelf, a, err
}

// unheard are the clusters that nobody answered for.
func unheard(a query.Answer, expected []v1alpha1.RemoteCluster) (missing []query.Gap) {
	heard := map[string]bool{}
	for _, c := range a.Clusters {
		heard[c.Name] = true
	}
	for i := range expected {
		rc := &expected[i]
		why := endpoint.Gap{Reason: query.ReasonNotAnswered, Message: "no replica of the manager that answered follows it"}
		switch {
		case heard[rc.Name]:
			continue
		case !endpoints.Contributes(rc):
			why = endpoints.NoCapability
		case rc.Spec.Disabled:
			why = endpoints.Disabled
		}
		missing = append(missing, query.Gap{Cluster: rc.Name, Reason: why.Reason, Message: why.Message})
	}
	return missing
}

// noManagerError says that no manager can be asked. It does not unwrap to why: it is not the local cluster that did not
// answer.
type noManagerError struct{ why error }

func (e *noManagerError) Error() string { return "no manager answers: " + e.why.Error() }

// managerPods selects the pods of the manager, as the chart labels them.
const managerPods = "app.kubernetes.io/name=hawser,app.kubernetes.io/component=manager"

// askManager asks every replica, and makes one answer of theirs. Those that do not answer are gaps; where none does,
// the error is a *noManagerError.
func (d *deps) askManager(ctx context.Context, here *cluster, f askFlags, q query.Question) (query.Answer, error) {
	pods, err := here.Kube.CoreV1().Pods(d.namespace).List(ctx, metav1.ListOptions{LabelSelector: managerPods})
	switch {
	case apierrors.IsForbidden(err):
		return query.Answer{}, &noManagerError{err}
	case err != nil:
		return query.Answer{}, fmt.Errorf("listing the manager's pods: %w", err)
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { // it is no replica any more, as one that was evicted
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	if len(pods.Items) == 0 {
		return query.Answer{}, &noManagerError{fmt.Errorf("there is no pod of it in namespace %q (%s)", d.namespace, managerPods)}
	}
	answers, errs := make([]query.Answer, len(pods.Items)), make([]error, len(pods.Items))
	var group sync.WaitGroup
	for i := range pods.Items {
		group.Go(func() { answers[i], errs[i] = d.askReplica(ctx, here, &pods.Items[i], f.port, q) })
	}
	group.Wait()
	var heard []query.Answer
	var missing []query.Gap
	for i, err := range errs {
		if err == nil {
			heard = append(heard, answers[i])
			continue
		}
		missing = append(missing, query.Gap{Replica: pods.Items[i].Name, Reason: query.ReasonNotAnswered, Message: oneLine(err.Error())})
	}
	if len(heard) == 0 {
		return query.Answer{}, &noManagerError{together(errs)}
	}
	a := query.Merge(heard...)
	a.AddGaps(missing...)
	return a, nil
}

// Bounds of what is said of replicas of which none answers.
const (
	mostReplicas  = 3
	longestReason = 300
)

// together is one error of those of all replicas, in one line.
func together(errs []error) error {
	var texts []string
	for _, err := range errs[:min(len(errs), mostReplicas)] {
		texts = append(texts, upTo(longestReason, oneLine(err.Error())))
	}
	if more := len(errs) - mostReplicas; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(texts, "; "))
}

// askReplica asks one pod.
func (d *deps) askReplica(ctx context.Context, here *cluster, pod *corev1.Pod, port int, q query.Question) (query.Answer, error) {
	if pod.Status.Phase != corev1.PodRunning {
		return query.Answer{}, fmt.Errorf("pod %s does not run: it is %s", pod.Name, pod.Status.Phase)
	}
	client := forward.Client(here.Config, here.Kube, pod.Namespace, pod.Name, port)
	a, err := query.Send(ctx, client, "http://"+pod.Name, q)
	if err != nil {
		return a, fmt.Errorf("asking pod %s at port %d (does it run with --endpoints?): %w", pod.Name, port, err)
	}
	for i := range a.Clusters {
		a.Clusters[i].Replica = pod.Name
	}
	return a, nil
}
