package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// Writer writes RemoteClusters for an inventory, and only where something is to be changed.
type Writer struct {
	Client client.Client

	mu      sync.Mutex
	applied map[string]applied // by name: what was written last
}

type applied struct {
	uid  types.UID
	want [sha256.Size]byte
}

// Apply makes or changes a RemoteCluster by server-side apply: the fields of want are ours, all others
// stay as they are. have is the object as it is now, nil where there is none; where another has come to be
// under the name meanwhile, nothing is written and the error is a conflict.
func (w *Writer) Apply(ctx context.Context, want, have *v1alpha1.RemoteCluster) error {
	body, hash, err := configuration(want)
	if err != nil {
		return fmt.Errorf("applying RemoteCluster %q: %w", want.Name, err)
	}
	options := []client.ApplyOption{client.FieldOwner(FieldManager)}
	if have != nil {
		if w.last(want.Name) == (applied{have.UID, hash}) && carries(have, want) {
			return nil
		}
		body.SetUID(have.UID) // not another one of the same name
		options = append(options, client.ForceOwnership)
	}
	if err := w.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(body), options...); err != nil {
		return fmt.Errorf("applying RemoteCluster %q: %w", want.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.applied == nil {
		w.applied = map[string]applied{}
	}
	w.applied[want.Name] = applied{body.GetUID(), hash}
	return nil
}

// Delete deletes the object that it is given, and no other of the same name.
func (w *Writer) Delete(ctx context.Context, have *v1alpha1.RemoteCluster) error {
	err := w.Client.Delete(ctx, have, client.Preconditions(metav1.Preconditions{UID: &have.UID}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting RemoteCluster %q: %w", have.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.applied, have.Name)
	return nil
}

func (w *Writer) last(name string) applied {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied[name]
}

// configuration is what is sent to the API server: the fields that are set, without the status.
func configuration(want *v1alpha1.RemoteCluster) (*unstructured.Unstructured, [sha256.Size]byte, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return nil, [sha256.Size]byte{}, err
	}
	body := &unstructured.Unstructured{Object: object}
	delete(object, "status")
	unstructured.RemoveNestedField(object, "metadata", "creationTimestamp")
	body.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("RemoteCluster"))
	text, err := json.Marshal(object)
	return body, sha256.Sum256(text), err
}

// carries reports whether an object has all that an inventory wants of it. What is more, others added.
func carries(have, want *v1alpha1.RemoteCluster) bool {
	for key, value := range want.Labels {
		if have.Labels[key] != value {
			return false
		}
	}
	for key, value := range want.Annotations {
		if have.Annotations[key] != value {
			return false
		}
	}
	for _, capability := range want.Spec.Capabilities {
		if !slices.Contains(have.Spec.Capabilities, capability) {
			return false
		}
	}
	return have.Spec.Server == want.Spec.Server && have.Spec.CAData == want.Spec.CAData &&
		(have.Spec.Disabled || !want.Spec.Disabled) && carriesAuth(have.Spec.Auth, want.Spec.Auth)
}

func carriesAuth(have, want v1alpha1.Auth) bool {
	if have.Type != want.Type || (want.EKS != nil) != (have.EKS != nil) {
		return false
	}
	if want.EKS == nil {
		return true
	}
	h, w := have.EKS, want.EKS
	return h.ClusterName == w.ClusterName && h.Region == w.Region && (w.AccountID == "" || h.AccountID == w.AccountID) &&
		(w.IdentityRef == nil || aws.RefOf(h.IdentityRef) == aws.RefOf(w.IdentityRef)) &&
		(w.APIIdentityRef == nil || aws.RefOf(h.APIIdentityRef) == aws.RefOf(w.APIIdentityRef))
}
