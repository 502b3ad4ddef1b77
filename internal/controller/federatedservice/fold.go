package federatedservice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/hawser-io/hawser/endpoint/service"
)

// fieldManager is who applies conditions to objects of others.
const fieldManager = "hawser-federation"

// fold does what the slices of all clusters together ask for.
func (c *Controller) fold(ctx context.Context, key service.Key) (again time.Duration, err error) {
	if !c.local.Synced(key.Import) || !c.leads() {
		c.accompany(key)
		return 0, nil // when that changes, everything is looked at
	}
	if !c.local.HasNamespace(key.Namespace) {
		c.hush(key)
		return 0, nil // it goes with all that is in it
	}
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()
	if key.Import {
		return c.foldImport(ctx, key)
	}
	return 0, c.foldFederated(ctx, key)
}

// foldFederated says on a Service what came of its selector.
func (c *Controller) foldFederated(ctx context.Context, key service.Key) error {
	s := c.local.Service(key.Namespace, key.Name)
	if s == nil {
		c.hush(key)
		return nil
	}
	f, problem := service.ReadFederated(s, c.local.LastSelector(key, s.UID))
	before := meta.FindStatusCondition(s.Status.Conditions, service.ConditionFederated)
	switch {
	case !problem.None():
		return c.say(ctx, key, s, before, metav1.ConditionFalse, problem, corev1.EventTypeWarning)
	case f != nil:
		status, said, event := c.summary(key, f)
		return c.say(ctx, key, s, before, status, said, event)
	case before != nil: // it asks for nothing any more
		c.hush(key)
		return c.apply(ctx, s, nil)
	}
	return nil
}

// summary says which clusters a Service has endpoints of, and what is missing.
func (c *Controller) summary(key service.Key, f *service.Federated) (status metav1.ConditionStatus, p service.Problem, event string) {
	var found, missing []string
	for _, cluster := range c.local.Clusters(key) {
		if len(service.GroupsOf(c.local.Slices(key.Of(cluster)))) > 0 {
			found = append(found, cluster)
		}
	}
	missing = c.missing(key)
	if f.Warning != "" {
		missing = append(missing, f.Warning)
	}
	p = service.Problem{Reason: service.ReasonFederated, Message: "with endpoints of clusters " + strings.Join(found, ", ")}
	event = corev1.EventTypeNormal
	if len(found) == 0 {
		p = service.Problem{Reason: service.ReasonNoEndpoints, Message: "no cluster has endpoints of services that match, with ports of the same names and protocols"}
	}
	if len(missing) > 0 {
		p.Reason, event = service.ReasonPartial, corev1.EventTypeWarning
		p.Message += "; " + strings.Join(missing, "; ")
	}
	p.Message = cut(p.Message, longestMessage)
	return metav1.ConditionTrue, p, event
}

// missing says of each cluster what is missing from the endpoints of a Service, or an import.
func (c *Controller) missing(key service.Key) (all []string) {
	clusters := append(c.local.Clusters(key), c.unwrittenClusters(key)...)
	slices.Sort(clusters)
	for _, cluster := range slices.Compact(clusters) {
		of := key.Of(cluster)
		source := service.SourceOf(of, c.local.Slices(of))
		source.Gaps = with(source.Gaps, c.unwrittenOf(of))
		if text := said(source); text != "" {
			all = append(all, fmt.Sprintf("cluster %q: %s", cluster, text))
		}
	}
	return all
}

// said is what is missing from the endpoints of a cluster.
func said(s service.Source) string {
	var parts []string
	if s.StaleSince != nil {
		parts = append(parts, "not heard of since "+s.StaleSince.UTC().Format(time.RFC3339))
	}
	if s.Expired {
		parts = append(parts, "its endpoints are taken away until it is heard of for a while")
	}
	return strings.Join(append(parts, s.Gaps...), ", ")
}

// say writes a condition where it is another, and an event with it.
func (c *Controller) say(ctx context.Context, key service.Key, s *corev1.Service, before *metav1.Condition, status metav1.ConditionStatus, p service.Problem, kind string) error {
	if before == nil || before.Status != status || before.Reason != p.Reason || before.Message != p.Message {
		condition := metav1.Condition{Type: service.ConditionFederated, Status: status, Reason: p.Reason, Message: p.Message, LastTransitionTime: metav1.NewTime(c.options.Clock.Now())}
		if before != nil && before.Status == status {
			condition.LastTransitionTime = before.LastTransitionTime
		}
		if err := c.apply(ctx, s, &condition); err != nil {
			return err
		}
	}
	c.event(key, s, kind, p)
	return nil
}

// apply writes our condition of a Service, or takes it away where it is nil.
func (c *Controller) apply(ctx context.Context, s *corev1.Service, condition *metav1.Condition) error {
	status := corev1ac.ServiceStatus()
	if condition != nil {
		status = status.WithConditions(conditionOf(condition))
	}
	written, err := c.leader.kube.CoreV1().Services(s.Namespace).ApplyStatus(ctx,
		corev1ac.Service(s.Name, s.Namespace).WithUID(s.UID).WithStatus(status), metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone: the watch tells
	}
	if err != nil {
		return fmt.Errorf("writing the condition of Service %q in namespace %q: %w", s.Name, s.Namespace, err)
	}
	c.local.WroteService(written)
	return nil
}

func conditionOf(c *metav1.Condition) *metav1ac.ConditionApplyConfiguration {
	return metav1ac.Condition().WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
		WithLastTransitionTime(c.LastTransitionTime)
}

// event tells what is new of an object, if it is, and if not too much was told lately: the condition has it anyway.
func (c *Controller) event(key service.Key, about runtime.Object, kind string, p service.Problem) {
	text := p.Reason + ": " + p.Message
	if o, ok := about.(metav1.Object); ok {
		text += string(o.GetUID())
	}
	c.mu.Lock()
	before, known := c.said[key]
	c.said[key] = text
	c.mu.Unlock()
	if known && before == text || !known && kind == corev1.EventTypeNormal || !c.quota.Allow() {
		return // after a restart nothing is news that is well
	}
	c.options.Events.Eventf(about, nil, kind, p.Reason, "FederateServices", "%s", cut(p.Message, longestEvent))
}

const (
	// longestMessage is as much of a message as a condition has: ServiceImports and ServiceExports refuse more than 32 KiB.
	longestMessage = 4096
	// longestEvent is as much of a message as an event may have.
	longestEvent = 1000
)

// cut is a text, or as much of it as there may be.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func (c *Controller) hush(key service.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.said, key)
	delete(c.statuses, key)
	delete(c.specs, key)
	delete(c.specs, key.Of(itsAddresses))
}

// preconditions let a deletion meet only the object that is meant.
func preconditions(uid types.UID) metav1.DeleteOptions {
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
}
