package accessrequest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/export"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

// manager is the name by which Hawser calls itself as a cluster manager.
const manager = "hawser"

func (r *Reconciler) readProfile(ctx context.Context, ar *v1alpha1.AccessRequest, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterprofile.Kind)
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: ar.Namespace, Name: name}, u)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading ClusterProfile %q: %w", name, err)
	case !isOurs(u, ar):
		return nil, &notOursError{"ClusterProfile", name}
	}
	return u, nil
}

// putProfile makes the ClusterProfile beside a Secret what it should be. It holds no token, and so is written only
// when the cluster's address or health changes.
func (r *Reconciler) putProfile(ctx context.Context, ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster, p *export.Profile) error {
	have, err := r.readProfile(ctx, ar, targetOf(ar))
	if err != nil {
		return err
	}
	if have == nil {
		have = newProfile(ar, rc)
		if err := r.Client.Create(ctx, have); err != nil {
			return fmt.Errorf("making ClusterProfile %q: %w", have.GetName(), err)
		}
	}
	before, _ := have.Object["status"].(map[string]any)
	status, err := profileStatus(p, before, r.Clock.Now())
	if err != nil {
		return err
	}
	if reflect.DeepEqual(status, before) {
		return nil
	}
	have.Object["status"] = status
	if err := r.Client.Status().Update(ctx, have); err != nil {
		return fmt.Errorf("writing the status of ClusterProfile %q: %w", have.GetName(), err)
	}
	return nil
}

func newProfile(ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"displayName":    rc.Name,
		"clusterManager": map[string]any{"name": manager},
	}}}
	u.SetGroupVersionKind(clusterprofile.Kind)
	u.SetNamespace(ar.Namespace)
	u.SetName(targetOf(ar))
	u.SetOwnerReferences(ownerOf(ar))
	u.SetLabels(map[string]string{
		clusterprofile.ManagerLabel: manager,
		v1alpha1.ManagedByLabel:     v1alpha1.ManagedBy,
		v1alpha1.RequestLabel:       labelOf(ar.Name),
	})
	return u
}

// profileStatus is the status of a ClusterProfile. Times are those of before, where nothing else has changed.
func profileStatus(p *export.Profile, before map[string]any, now time.Time) (map[string]any, error) {
	status, err := plain(struct {
		AccessProviders []clusterprofile.AccessProvider `json:"accessProviders"`
	}{p.AccessProviders})
	if err != nil {
		return nil, err
	}
	condition := metav1.Condition{
		Type: clusterprofile.ControlPlaneHealthy, Status: metav1.ConditionFalse, Reason: p.Facts.Reason,
		Message: "as the connection finds it", LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	}
	if p.Facts.Healthy {
		condition.Status = metav1.ConditionTrue
	}
	var old struct {
		Conditions []metav1.Condition `json:"conditions"`
		Properties []struct {
			Name, Value, LastObservedTime string
		} `json:"properties"`
	}
	if text, err := json.Marshal(before); err == nil {
		_ = json.Unmarshal(text, &old) // what does not read as one is replaced
	}
	meta.SetStatusCondition(&old.Conditions, condition)
	conditions, err := plain(struct {
		Conditions []metav1.Condition `json:"conditions"`
	}{old.Conditions})
	if err != nil {
		return nil, err
	}
	status["conditions"] = conditions["conditions"]
	var properties []any
	for _, property := range p.Properties {
		at := now.UTC().Format(time.RFC3339)
		for _, o := range old.Properties {
			if o.Name == property.Name && o.Value == property.Value {
				at = o.LastObservedTime
			}
		}
		properties = append(properties, map[string]any{"name": property.Name, "value": property.Value, "lastObservedTime": at})
	}
	if properties != nil {
		status["properties"] = properties
	}
	if p.Facts.Version != "" {
		status["version"] = map[string]any{"kubernetes": p.Facts.Version}
	}
	return status, nil
}

// plain is a value as JSON has it.
func plain(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the status of a ClusterProfile: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("encoding the status of a ClusterProfile: %w", err)
	}
	return out, nil
}

// removeProfile deletes the ClusterProfile of a request, if there is one.
func (r *Reconciler) removeProfile(ctx context.Context, ar *v1alpha1.AccessRequest, name string) error {
	have, err := r.readProfile(ctx, ar, name)
	var foreign *notOursError
	if errors.As(err, &foreign) || meta.IsNoMatchError(err) || have == nil && err == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return r.delete(ctx, have)
}
