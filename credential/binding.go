package credential

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// The server that an input may be shown to is recorded in a Secret without a credential. It belongs to the input Secret and
// not to the RemoteCluster: whoever may make RemoteClusters could otherwise delete one, make it anew at a server of their own,
// and be shown the input.

// Settle makes sure, before an input is used, that what is kept belongs to its RemoteCluster, and that the
// binding is recorded for the input Secret of this UID: an earlier version did neither, and an input that is
// made anew, with the same content, takes the record of the old one with it. With a Memory it asks once for each UID.
func (s Store) Settle(ctx context.Context, input types.UID) error {
	if s.Owner == nil || s.Memory != nil && s.Memory.settled == input {
		return nil
	}
	kept, err := s.load(ctx)
	if err != nil {
		return err
	}
	if err := s.recordFor(ctx, kept, input); err != nil {
		return err
	}
	name := v1alpha1.CredentialSecretName(s.Cluster)
	secret, err := s.get(ctx, name)
	switch {
	case err == nil && secret.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy:
		err = s.write(ctx, name, s.Owner, secret.Data)
	case err == nil, apierrors.IsNotFound(err): // somebody else's is left alone
		err = nil
	}
	if err != nil {
		return fmt.Errorf("settling Secret %q: %w", name, err)
	}
	if s.Memory != nil {
		s.Memory.settled = input
	}
	return nil
}

// record remembers what c is bound to for the input Secret that is there.
func (s Store) record(ctx context.Context, c Credential) error {
	input, err := s.get(ctx, v1alpha1.InputSecretName(s.Cluster))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading Secret %q: %w", v1alpha1.InputSecretName(s.Cluster), err)
	}
	return s.recordFor(ctx, c, input.UID)
}

// recordFor writes nothing where c is bound to nothing, or where the record says so already.
func (s Store) recordFor(ctx context.Context, c Credential, input types.UID) error {
	if c.Binding == nil {
		return nil
	}
	state, err := json.Marshal(stored{Origin: c.Origin, Binding: c.Binding})
	if err != nil {
		return fmt.Errorf("encoding the binding of a credential: %w", err)
	}
	owner := &metav1.OwnerReference{APIVersion: "v1", Kind: "Secret", Name: v1alpha1.InputSecretName(s.Cluster), UID: input}
	return s.write(ctx, v1alpha1.BindingSecretName(s.Cluster), owner, map[string][]byte{stateKey: state})
}
