package federatedservice

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
)

// tellExport says on the local export, if there is one, what came of it: folded is nil where nobody exports the service.
func (c *Controller) tellExport(ctx context.Context, key service.Key, folded *service.Import, problem service.Problem) error {
	e := c.local.Export(key.Namespace, key.Name)
	if e == nil || e.DeletionTimestamp != nil {
		for _, kind := range []mcs.ServiceExportConditionType{mcs.ServiceExportConditionValid, mcs.ServiceExportConditionReady, mcs.ServiceExportConditionConflict} {
			c.hush(exportKey(key, string(kind)))
		}
		return nil
	}
	exported := len(c.local.Slices(key.Of(c.options.Local))) > 0
	_, follows := c.clusters.State(c.options.Local)
	conditions := conditionsOf(c.local.Exportable(key.Namespace, key.Name), exported, follows || c.shards != nil, folded, problem, c.unwrittenOf(key.Of(c.options.Local)))
	same := true
	for i := range conditions {
		conditions[i] = c.dated(e.Status.Conditions, conditions[i])
		before := meta.FindStatusCondition(e.Status.Conditions, conditions[i].Type)
		same = same && before != nil && before.Status == conditions[i].Status && before.Reason == conditions[i].Reason && before.Message == conditions[i].Message
	}
	c.tellConditions(key, e, conditions)
	if same {
		return nil
	}
	return c.applyExport(ctx, e, conditions)
}

// conditionsOf are those of the local export. unwritten says why its endpoints could not be written.
func conditionsOf(invalid service.Problem, exported, follows bool, folded *service.Import, problem service.Problem, unwritten string) []metav1.Condition {
	valid := metav1.Condition{Type: string(mcs.ServiceExportConditionValid), Status: metav1.ConditionTrue, Reason: string(mcs.ServiceExportReasonValid)}
	ready := metav1.Condition{Type: string(mcs.ServiceExportConditionReady), Status: metav1.ConditionTrue, Reason: string(mcs.ServiceExportReasonReady),
		Message: "its endpoints are there for every cluster that imports them"}
	conflict := metav1.Condition{Type: string(mcs.ServiceExportConditionConflict), Status: metav1.ConditionFalse, Reason: string(mcs.ServiceExportReasonNoConflicts)}
	if folded != nil && len(folded.Conflicts) > 0 {
		var reasons, messages []string
		for _, p := range folded.Conflicts {
			reasons, messages = append(reasons, p.Reason), append(messages, p.Message)
		}
		conflict.Status, conflict.Reason, conflict.Message = metav1.ConditionTrue, strings.Join(reasons, ","), strings.Join(messages, "; ")
	}
	switch {
	case !invalid.None():
		valid.Status, valid.Reason, valid.Message = metav1.ConditionFalse, invalid.Reason, invalid.Message
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(mcs.ServiceExportReasonFailed), "it is not exported: "+invalid.Message
	case !follows:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(mcs.ServiceExportReasonPending), "the local cluster is not in its own fleet: there is no RemoteCluster for it"
	case !exported && unwritten != "":
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(mcs.ServiceExportReasonFailed), unwritten
	case !exported:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(mcs.ServiceExportReasonPending), "its endpoints are not collected yet"
	case !problem.None():
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, string(mcs.ServiceExportReasonFailed), problem.Message
	}
	return []metav1.Condition{valid, ready, conflict}
}

// exportKey keeps the events of an export apart, by the condition that they are about.
func exportKey(key service.Key, condition string) service.Key { return key.Of("export " + condition) }

// tellConditions makes events of what is wrong with an export.
func (c *Controller) tellConditions(key service.Key, e *mcs.ServiceExport, conditions []metav1.Condition) {
	for _, of := range conditions {
		bad := (of.Status == metav1.ConditionTrue) == (of.Type == string(mcs.ServiceExportConditionConflict))
		if pending := of.Reason == string(mcs.ServiceExportReasonPending); pending {
			continue
		}
		kind := corev1.EventTypeNormal
		if bad {
			kind = corev1.EventTypeWarning
		}
		c.event(exportKey(key, of.Type), e, kind, service.Problem{Reason: of.Reason, Message: joined(of.Type, of.Message)})
	}
}

// applyExport writes our conditions of an export, and leaves those of others.
func (c *Controller) applyExport(ctx context.Context, e *mcs.ServiceExport, conditions []metav1.Condition) error {
	var all []any
	for i := range conditions {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&conditions[i])
		if err != nil {
			return fmt.Errorf("encoding the conditions of ServiceExport %q: %w", e.Name, err)
		}
		all = append(all, object)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": e.APIVersion, "kind": mcs.ServiceExportKindName,
		"metadata": map[string]any{"namespace": e.Namespace, "name": e.Name, "uid": string(e.UID)},
		"status":   map[string]any{"conditions": all},
	}}
	written, err := c.objects(e.APIVersion, mcs.ServiceExportPluralName, e.Namespace).ApplyStatus(ctx, e.Name, u, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone: the watch tells
	}
	if err != nil {
		return fmt.Errorf("writing the conditions of ServiceExport %q in namespace %q: %w", e.Name, e.Namespace, err)
	}
	result := &mcs.ServiceExport{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written.Object, result); err != nil {
		return fmt.Errorf("reading ServiceExport %q in namespace %q: %w", e.Name, e.Namespace, err)
	}
	c.local.WroteExport(result)
	return nil
}
