package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/manager"
)

// Names of what tells of processes: the chart's Deployments, and the objects of managers that share clusters.
const (
	managerDeployment     = "hawser"
	controllersDeployment = "hawser-member"
	shardsConfigMap       = "hawser-shards"
)

// leaseSkew is how much older than it is good for a Lease may be: the time in it is that of its holder's clock.
const leaseSkew = 15 * time.Second

// leaseFresh is how old a Lease may be before its holder is taken to be away.
func leaseFresh(lease *coordinationv1.Lease) time.Duration {
	good := 15 * time.Second // which managers ask for
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil && *seconds > 0 {
		good = time.Duration(*seconds) * time.Second
	}
	return good + leaseSkew
}

// processes tells what runs in this cluster, by Leases and by the chart's Deployments. A gate holds no Lease.
func (r *statusReader) processes(ctx context.Context, id identity) error {
	leader, err := r.process(ctx, processManager, manager.LeaderLease, managerDeployment)
	if err != nil {
		return err
	}
	if leader.State == stateAbsent && id.Version != "" {
		leader.State = stateUnknown // it has been here, without leader election
	}
	if err := r.replicas(ctx, &leader); err != nil {
		return err
	}
	r.judge(leader, len(r.s.Clusters) > 0, "what is said of clusters and AccessRequests is no newer")
	controllers, err := r.process(ctx, processControllers, v1alpha1.MemberControllersLease, controllersDeployment)
	if err != nil {
		return err
	}
	r.judge(controllers, len(r.s.AccessGrants)+len(r.s.TrustedIssuers) > 0, "nobody carries out AccessGrants, fetches the keys of TrustedIssuers or approves certificates")
	gate, err := r.process(ctx, processGate, "", v1alpha1.GateServiceAccount)
	if err != nil {
		return err
	}
	r.judge(gate, false, "nobody new is let in by a TrustedIssuer")
	r.s.Processes = []Process{leader, controllers, gate}
	return nil
}

// process looks at one kind of process. Either name may be empty.
func (r *statusReader) process(ctx context.Context, kind, leaseName, deployment string) (Process, error) {
	p := Process{Kind: kind, State: stateAbsent}
	var pods appsv1.Deployment
	readable, err := r.get(ctx, "Deployment", deployment, &pods)
	if err != nil {
		return p, err
	}
	if pods.Name != "" {
		ready, wanted := pods.Status.ReadyReplicas, int32(1)
		if pods.Spec.Replicas != nil {
			wanted = *pods.Spec.Replicas
		}
		p.Ready, p.Wanted = &ready, &wanted
		p.State = stateRunning
		if ready == 0 {
			p.State = stateStopped
		}
	}
	if leaseName == "" {
		if !readable {
			p.State = stateUnknown
		}
		return p, nil
	}
	var lease coordinationv1.Lease
	readable, err = r.get(ctx, "Lease", leaseName, &lease)
	switch {
	case err != nil:
		return p, err
	case !readable:
		p.State = stateUnknown
	case lease.Name != "":
		p.State, p.Holder, p.SeenAt = r.heldBy(&lease)
	case p.State == stateRunning:
		p.State = stateUnknown // pods are ready, and none of them has taken the Lease yet
	}
	return p, nil
}

// get reads an object of Hawser's namespace, if it is there and may be read.
func (r *statusReader) get(ctx context.Context, kind, name string, into client.Object) (readable bool, err error) {
	err = r.c.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, into)
	if err == nil || apierrors.IsNotFound(err) {
		return true, nil
	}
	if err := r.note(kind, err); err != nil {
		return false, fmt.Errorf("reading %s %q in namespace %q: %w", kind, name, r.namespace, err)
	}
	return false, nil
}

// heldBy reads a Lease. What follows the host's name in a holder tells apart two processes of one host.
func (r *statusReader) heldBy(lease *coordinationv1.Lease) (state, holder string, seen *metav1.Time) {
	if lease.Spec.RenewTime != nil {
		seen = &metav1.Time{Time: lease.Spec.RenewTime.Time}
	}
	if lease.Spec.HolderIdentity != nil {
		holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
	}
	switch {
	case holder == "":
		state = stateStopped
	case seen == nil || r.s.At.Sub(seen.Time) > leaseFresh(lease):
		state = stateStale
	default:
		state = stateRunning
	}
	return state, holder, seen
}

// replicas tells which manager owns which cluster, where several share them.
func (r *statusReader) replicas(ctx context.Context, p *Process) error {
	var cm corev1.ConfigMap
	if _, err := r.get(ctx, "ConfigMap", shardsConfigMap, &cm); err != nil || cm.Name == "" {
		return err
	}
	assignment, unreadable := shard.Decode(&cm)
	if unreadable != nil {
		r.s.Gaps = append(r.s.Gaps, Gap{Kind: "ConfigMap", Namespace: r.namespace, Name: shardsConfigMap, Reason: "Unreadable", Message: unreadable.Error()})
		return nil //nolint:nilerr // it is a gap, and the rest goes on
	}
	var leases coordinationv1.LeaseList
	readable, err := r.list(ctx, "Lease", &leases, client.InNamespace(r.namespace))
	if err != nil {
		return err
	}
	for uid, s := range assignment.Shards {
		replica := Replica{Name: s.Replica, State: stateStopped, Clusters: s.Owns}
		if !readable {
			replica.State = stateUnknown
		}
		for i := range leases.Items {
			if leases.Items[i].UID == uid {
				replica.State, _, replica.SeenAt = r.heldBy(&leases.Items[i])
			}
		}
		for name := range s.Ends {
			if name != "" { // which stands for whatever it had
				replica.Leaving = append(replica.Leaving, name)
			}
		}
		r.show(p, replica)
	}
	slices.SortFunc(p.Replicas, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	for i := range r.s.Clusters {
		r.owned(&r.s.Clusters[i], assignment)
	}
	return nil
}

// show adds a replica that does something, and a gap where it does not do what it should.
func (r *statusReader) show(p *Process, replica Replica) {
	slices.Sort(replica.Leaving)
	if replica.Clusters == nil {
		replica.Clusters = []string{}
	}
	if len(replica.Clusters)+len(replica.Leaving) > 0 || replica.State == stateRunning {
		p.Replicas = append(p.Replicas, replica)
	}
	if n := len(replica.Clusters); n > 0 && (replica.State == stateStale || replica.State == stateStopped) {
		r.s.Gaps = append(r.s.Gaps, Gap{
			Kind: "Process", Namespace: r.namespace, Name: "replica " + replica.Name, Reason: replica.State, Since: replica.SeenAt,
			Message: fmt.Sprintf("it does not renew its Lease, and owns %s that nobody else looks after", count(n, "cluster")),
		})
	}
}

// owned says who has a cluster. One that nobody has is on its way from one replica to the next, or forgotten.
func (r *statusReader) owned(c *ClusterStatus, assignment shard.Assignment) {
	if c.Owner = assignment.Owner(c.Name); c.Owner == "" && !c.Disabled {
		r.s.Gaps = append(r.s.Gaps, Gap{Kind: "RemoteCluster", Name: c.Name, Reason: "Unowned", Message: "no replica of the manager has it now"})
	}
}

// judge makes a gap of a process that should run and does not.
func (r *statusReader) judge(p Process, needed bool, so string) {
	what := map[string]string{processManager: "the manager", processControllers: "the member controllers", processGate: "the gate"}[p.Kind]
	g := Gap{Kind: "Process", Namespace: r.namespace, Name: p.Kind, Reason: p.State, Since: p.SeenAt}
	var why error
	switch {
	case p.State == stateStale:
		why = fmt.Errorf("%s of %s has stopped renewing its Lease", what, p.Holder)
	case p.State == stateStopped:
		why = errors.New("no replica of " + what + " runs")
	case p.State == stateAbsent && needed:
		why = errors.New(what + " has never run here")
	default:
		return
	}
	g.Message = why.Error() + ": " + so
	r.s.Gaps = append(r.s.Gaps, g)
}
