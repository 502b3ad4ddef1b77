package federatedservice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/service"
)

// exportedAnnotation of an import holds the names of the labels and annotations that its export gave it.
const exportedAnnotation = "hawser.io/exported"

// exportedNames is what exportedAnnotation holds.
type exportedNames struct {
	Labels      []string `json:"labels,omitempty"`
	Annotations []string `json:"annotations,omitempty"`
}

// ours says whether we made an object, and so may change and remove it.
func ours(o metav1.Object) bool { return o.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy }

// foldImport makes the import that the exports of all clusters come to, with the Service that gives it its address, and
// says on the local export what came of it. It says when to look again; zero: when something changes.
func (c *Controller) foldImport(ctx context.Context, key service.Key) (again time.Duration, err error) {
	if !c.local.Imports() {
		return 0, nil
	}
	exports := c.exports(key, "")
	if len(exports) == 0 {
		if left := c.wait(key, c.derived(key) != nil || c.imported(key) != nil); left > 0 {
			return left, c.tellExport(ctx, key, nil, service.Problem{})
		}
		c.hush(key)
		if err := c.dropImport(ctx, key); err != nil {
			return 0, err
		}
		return 0, c.tellExport(ctx, key, nil, service.Problem{})
	}
	folded := service.Fold(exports)
	if folded.HasAddress() {
		c.accompany(key)
	} else if left := c.wait(key, c.derived(key) != nil); left > 0 {
		return left, nil
	}
	im, problem, err := c.keepImport(ctx, key, &folded)
	if err != nil {
		return 0, err
	}
	if problem.None() && im != nil {
		if problem, err = c.address(ctx, key, im, &folded); err != nil {
			return 0, err
		}
	}
	return 0, c.tellExport(ctx, key, &folded, problem)
}

// wait says for how long what there is of an import is to stay although nothing asks for it: slices that are edited, or
// deleted all at once, are made again in a moment, and a Service that is made again has another address. Zero: no longer.
func (c *Controller) wait(key service.Key, is bool) (left time.Duration) {
	if !is {
		c.accompany(key)
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.Clock.Now()
	since, waits := c.alone[key]
	if !waits {
		since, c.alone[key] = now, now
	}
	return max(0, since.Add(c.options.Lag).Sub(now))
}

// accompany says that something asks for an import, or that it is not for us to say.
func (c *Controller) accompany(key service.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.alone, key)
}

// imported is the import that we made of a key and that stays; nil: there is none.
func (c *Controller) imported(key service.Key) *mcs.ServiceImport {
	im := c.local.Import(key.Namespace, key.Name)
	if im == nil || !ours(im) || im.DeletionTimestamp != nil {
		return nil
	}
	return im
}

// dropImport removes the import that nobody exports any more, and its Service.
func (c *Controller) dropImport(ctx context.Context, key service.Key) error {
	if err := c.dropDerived(ctx, key); err != nil {
		return err
	}
	im := c.imported(key)
	if im == nil {
		return nil
	}
	err := c.imports(im.APIVersion, key.Namespace).Delete(ctx, key.Name, preconditions(im.UID))
	if apierrors.IsConflict(err) {
		return errAgain
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	c.local.DeletedImport(im)
	return nil
}

func (c *Controller) imports(apiVersion, namespace string) dynamic.ResourceInterface {
	return c.objects(apiVersion, mcs.ServiceImportPluralName, namespace)
}

func (c *Controller) objects(apiVersion, resource, namespace string) dynamic.ResourceInterface {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil { // of an object that an API server sent: it does not happen
		gv = mcs.SchemeGroupVersion
	}
	return c.leader.dynamic.Resource(gv.WithResource(resource)).Namespace(namespace)
}

// keepImport makes the import, or brings it to what it is to be, apart from its addresses. A Problem is why it is not
// ours to change.
func (c *Controller) keepImport(ctx context.Context, key service.Key, folded *service.Import) (*mcs.ServiceImport, service.Problem, error) {
	im := c.local.Import(key.Namespace, key.Name)
	if im != nil && im.DeletionTimestamp != nil {
		return nil, service.Problem{}, nil // when it is gone, we are told
	}
	if im == nil {
		fresh := &mcs.ServiceImport{TypeMeta: metav1.TypeMeta{APIVersion: c.local.ImportVersion(), Kind: mcs.ServiceImportKindName}}
		fresh.Namespace, fresh.Name = key.Namespace, key.Name
		dress(fresh, folded)
		fresh.Spec = folded.Spec()
		im, err := c.writeImport(ctx, fresh, func(all dynamic.ResourceInterface, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
			return all.Create(ctx, u, metav1.CreateOptions{FieldManager: fieldManager})
		})
		return im, service.Problem{}, err
	}
	if !ours(im) {
		return nil, service.Problem{Reason: service.ReasonNotOurs, Message: fmt.Sprintf("ServiceImport %q is not made by Hawser (label %s), and so is left alone", key.Name, v1alpha1.ManagedByLabel)}, nil
	}
	next := im.DeepCopy()
	dress(next, folded)
	next.Spec = folded.Spec()
	next.Spec.IPs, next.Spec.IPFamilies = im.Spec.IPs, im.Spec.IPFamilies
	im, err := c.updateImport(ctx, key, im, next)
	return im, service.Problem{}, err
}

// dress gives an import the labels and annotations that it is to have, and leaves it those of others.
func dress(im *mcs.ServiceImport, folded *service.Import) {
	var before exportedNames
	_ = json.Unmarshal([]byte(im.Annotations[exportedAnnotation]), &before) // what cannot be read is as none
	for _, name := range before.Labels {
		delete(im.Labels, name)
	}
	for _, name := range before.Annotations {
		delete(im.Annotations, name)
	}
	delete(im.Annotations, exportedAnnotation)
	labels, annotations := folded.Metadata()
	after := exportedNames{slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(annotations))}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.ManagedByLabel] = v1alpha1.ManagedBy
	if len(after.Labels)+len(after.Annotations) > 0 {
		if annotations == nil {
			annotations = map[string]string{}
		}
		text, _ := json.Marshal(after) //nolint:errchkjson // strings
		annotations[exportedAnnotation] = string(text)
	}
	im.Labels, im.Annotations = merged(im.Labels, labels), merged(im.Annotations, annotations)
}

func merged(into, from map[string]string) map[string]string {
	if into == nil {
		into = map[string]string{}
	}
	maps.Copy(into, from)
	return into
}

// updateImport writes what is another. step is the key, apart for each of the things that are written of an import.
func (c *Controller) updateImport(ctx context.Context, step service.Key, im, next *mcs.ServiceImport) (*mcs.ServiceImport, error) {
	same := equality.Semantic.DeepEqual(im.Spec, next.Spec) || settled(c, c.specs, step, im.UID, next.Spec, im.Spec)
	if same && equality.Semantic.DeepEqual(im.Labels, next.Labels) && equality.Semantic.DeepEqual(im.Annotations, next.Annotations) {
		return im, nil
	}
	written, err := c.writeImport(ctx, next, func(all dynamic.ResourceInterface, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return all.Update(ctx, u, metav1.UpdateOptions{FieldManager: fieldManager})
	})
	if err == nil {
		c.mu.Lock()
		c.specs[step] = kept[mcs.ServiceImportSpec]{written.UID, next.Spec, written.Spec}
		c.mu.Unlock()
	}
	return written, err
}

func (c *Controller) writeImport(_ context.Context, im *mcs.ServiceImport, write func(dynamic.ResourceInterface, *unstructured.Unstructured) (*unstructured.Unstructured, error)) (*mcs.ServiceImport, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(im)
	if err != nil {
		return nil, fmt.Errorf("encoding ServiceImport %q: %w", im.Name, err)
	}
	unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
	written, err := write(c.imports(im.APIVersion, im.Namespace), &unstructured.Unstructured{Object: object})
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return nil, errAgain // the watch tells how it is
	case err != nil:
		return nil, fmt.Errorf("writing ServiceImport %q in namespace %q: %w", im.Name, im.Namespace, err)
	}
	result := &mcs.ServiceImport{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written.Object, result); err != nil {
		return nil, fmt.Errorf("reading ServiceImport %q in namespace %q: %w", im.Name, im.Namespace, err)
	}
	c.local.WroteImport(result)
	return result, nil
}

// address gives an import its addresses, those of its Service, and its status. A Problem is why it has none, or its Service is
// not as it is to be.
func (c *Controller) address(ctx context.Context, key service.Key, im *mcs.ServiceImport, folded *service.Import) (service.Problem, error) {
	var problem service.Problem
	next := im.DeepCopy()
	next.Spec.IPs, next.Spec.IPFamilies = nil, nil
	if folded.Headless {
		if err := c.dropDerived(ctx, key); err != nil {
			return problem, err
		}
	} else {
		derived, why, err := c.keepDerived(ctx, key, im, folded)
		if err != nil {
			return problem, err
		}
		problem = why
		if derived != nil {
			next.Spec.IPs, next.Spec.IPFamilies = derived.Spec.ClusterIPs, derived.Spec.IPFamilies
		}
	}
	im, err := c.updateImport(ctx, key.Of(itsAddresses), im, next)
	if err != nil {
		return problem, err
	}
	return problem, c.tellImport(ctx, key, im, folded, problem)
}

// tellImport writes the status of an import where it is another.
func (c *Controller) tellImport(ctx context.Context, key service.Key, im *mcs.ServiceImport, folded *service.Import, problem service.Problem) error {
	status := mcs.ServiceImportStatus{EndpointSliceObjects: mcs.EndpointSliceObjectsPresent}
	for _, cluster := range folded.Clusters {
		status.Clusters = append(status.Clusters, mcs.ClusterStatus{Cluster: cluster})
	}
	ready := metav1.Condition{Type: string(mcs.ServiceImportConditionReady), Status: metav1.ConditionTrue, Reason: string(mcs.ServiceImportReasonReady), Message: strings.Join(c.missing(key), "; ")}
	if !problem.None() {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, problem.Reason, problem.Message
	}
	if text := im.Annotations[service.StalenessAnnotation]; text != "" {
		if _, err := service.ParseStaleness(text); err != nil {
			ready.Message = joined(ready.Message, fmt.Sprintf("annotation %s is ignored, and endpoints are kept: %s", service.StalenessAnnotation, err))
		}
	}
	status.Conditions = []metav1.Condition{c.dated(im.Status.Conditions, ready)}
	kind := corev1.EventTypeNormal
	if ready.Status != metav1.ConditionTrue || ready.Message != "" {
		kind = corev1.EventTypeWarning
	}
	defer c.event(key, im, kind, service.Problem{Reason: ready.Reason, Message: joined("", ready.Message)})
	if equality.Semantic.DeepEqual(status, im.Status) || settled(c, c.statuses, key, im.UID, status, im.Status) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": im.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encoding the status of %s: %w", key, err)
	}
	written, err := c.imports(im.APIVersion, im.Namespace).Patch(ctx, im.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", key, err)
	}
	result := &mcs.ServiceImport{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(written.Object, result); err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	c.mu.Lock()
	c.statuses[key] = kept[mcs.ServiceImportStatus]{result.UID, status, result.Status}
	c.mu.Unlock()
	c.local.WroteImport(result)
	return nil
}

// kept is a part of an import as it was written last, and what the API server kept of it: a definition of an earlier version
// does not keep all, and the rest would be written for ever.
type kept[T any] struct {
	uid         types.UID
	wanted, got T
}

// settled says that a part of an import is what the API server makes of what it is to be.
func settled[T any](c *Controller, all map[service.Key]kept[T], of service.Key, uid types.UID, wanted, is T) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := all[of]
	return last.uid == uid && equality.Semantic.DeepEqual(last.wanted, wanted) && equality.Semantic.DeepEqual(last.got, is)
}

func joined(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + "; " + b
}

// dated gives a condition the time of its last transition.
func (c *Controller) dated(before []metav1.Condition, now metav1.Condition) metav1.Condition {
	now.Message = cut(now.Message, longestMessage)
	now.LastTransitionTime = metav1.NewTime(c.options.Clock.Now().UTC().Truncate(1e9))
	for _, b := range before {
		if b.Type == now.Type && b.Status == now.Status {
			now.LastTransitionTime = b.LastTransitionTime
		}
	}
	return now
}
