package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/internal/cli/forward"
)

// askEndpoints answers a question, and says who did.
func (d *deps) askEndpoints(ctx context.Context, here *cluster, f askFlags, q query.Question) (from string, a query.Answer, err error) {
	fleet, err := d.readContributors(ctx, here)
	if err != nil {
		return "", a, err
	}
	expected, err := fleet.expected(f.cluster)
	if err != nil {
		return "", a, err
	}
	if f.from != fromSelf {
		a, err = d.askManager(ctx, here, f, q)
		if err == nil {
			a.AddGaps(unheard(a, expected)...)
			return fromManager, a, nil
		}
		var none *noManagerError
		if f.from == fromManager || !errors.As(err, &none) {
			return "", a, err
		}
		fmt.Fprintf(d.err, "the clusters are asked directly: %s\n", oneLine(err.Error()))
	}
	a, err = d.askSelf(ctx, here, fleet, expected, q)
	return fromSelf, a, err
}

// unheard are the clusters that nobody answered for.
func unheard(a query.Answer, expected []v1alpha1.RemoteCluster) (missing []query.Gap) {
	for _, rc := range expected {
		if !slices.ContainsFunc(a.Clusters, func(c query.Cluster) bool { return c.Name == rc.Name }) {
			missing = append(missing, query.Gap{Cluster: rc.Name, Reason: query.ReasonNotAnswered, Message: "no replica of the manager that answered follows it"})
		}
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
	case len(pods.Items) == 0:
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
		return query.Answer{}, &noManagerError{errors.Join(errs...)}
	}
	a := query.Merge(heard...)
	a.AddGaps(missing...)
	return a, nil
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

// tellGaps names what is missing from an answer, in calicoq's words, and makes of it the exit code.
func (d *deps) tellGaps(missing []query.Gap) error {
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(d.err, "The following problems were encountered connecting to the remote clusters")
	fmt.Fprintln(d.err, "which may have resulted in incomplete data:")
	lines := make([]string, 0, len(missing))
	for _, g := range missing {
		line := "-  " + whose(g) + shown(g.Message)
		if g.Count > 1 {
			line += fmt.Sprintf(" (%d)", g.Count)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(d.err, line)
	}
	return gaps()
}

// whose is what a gap is of.
func whose(g query.Gap) string {
	switch {
	case g.Cluster != "":
		return "RemoteCluster(" + g.Cluster + "): "
	case g.Replica != "":
		return "Manager(" + g.Replica + "): "
	case g.Object != "":
		return g.Object + ": "
	}
	return ""
}
