package credential

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Secrets reads and writes Secrets of the local cluster, as client-go's
// SecretInterface for one namespace does.
type Secrets interface {
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, secret *corev1.Secret, opts metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, secret *corev1.Secret, opts metav1.UpdateOptions) (*corev1.Secret, error)
	Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error
}

// stateKey is the key of hawser-credential-<name> beside the credential itself.
const stateKey = "state.json"

// stored is the part of a kept credential that is no secret.
type stored struct {
	Origin     string    `json:"origin"`
	ObtainedAt time.Time `json:"obtainedAt"`
	IssuedAt   time.Time `json:"issuedAt"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Binding    *Binding  `json:"binding,omitempty"`
}

// Store keeps the credential of one cluster in Secret hawser-credential-<cluster>, so that a
// restart goes on from it. The Secret that people fill in is another one and is never written.
//
// What is kept goes with its RemoteCluster, also where no manager runs any more: Kubernetes' garbage
// collector removes it. The server that the input may be shown to is recorded in a Secret of its own,
// which goes with the input (see binding.go).
type Store struct {
	Secrets Secrets
	Cluster string
	// Owner is the RemoteCluster. Without it, what is kept belongs to nobody, and Settle does nothing.
	Owner *metav1.OwnerReference
	// Memory of the source; without one, everything is read whenever it is needed.
	Memory *Memory
}

// Candidates returns what a source starts from, best first: the kept credential, if it grew
// from the same input, then the input. A changed input goes first; what was kept is what is left if
// that is no good.
func (s Store) Candidates(ctx context.Context, input Credential) ([]Credential, error) {
	kept, err := s.load(ctx)
	switch {
	case err != nil:
		return nil, err
	case kept.Origin != input.Origin && kept.IsZero():
		return []Credential{input}, nil
	case kept.Origin != input.Origin:
		return []Credential{input, kept}, nil
	}
	input.Binding = kept.Binding
	switch {
	case kept.IsZero():
		return []Credential{input}, nil
	case kept.Equal(input):
		return []Credential{kept}, nil
	}
	return []Credential{kept, input}, nil
}

// Kept returns what there is to go on with while the input is wrong, together with what is wrong.
func (s Store) Kept(ctx context.Context, inputErr error) ([]Credential, error) {
	kept, err := s.load(ctx)
	if err != nil || kept.IsZero() {
		return nil, inputErr
	}
	return []Credential{kept}, inputErr
}

// load returns the kept credential; zero where there is none, with the origin and the binding that
// are recorded of one. One that cannot be read is as good as none: the input is still there, and the next
// renewal overwrites it.
func (s Store) load(ctx context.Context) (Credential, error) {
	for _, name := range []string{v1alpha1.CredentialSecretName(s.Cluster), v1alpha1.BindingSecretName(s.Cluster)} {
		if c, err := s.read(ctx, name); err != nil || c.Origin != "" {
			return c, err
		}
	}
	return Credential{}, nil
}

func (s Store) read(ctx context.Context, name string) (Credential, error) {
	secret, err := s.get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return Credential{}, nil
	case err != nil:
		return Credential{}, fmt.Errorf("reading the kept credential: %w", err)
	case secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy:
		return Credential{}, nil
	}
	c, _ := decode(secret.Data)
	return c, nil
}

// decode reads a kept credential; ok is false for what Hawser did not write like that.
func decode(data map[string][]byte) (c Credential, ok bool) {
	var st stored
	if json.Unmarshal(data[stateKey], &st) != nil || st.Origin == "" {
		return Credential{}, false
	}
	if token := data[v1alpha1.BearerTokenKey]; len(token) > 0 {
		c = NewToken(string(token), st.Origin)
	} else if pair, err := NewCertificate(data[v1alpha1.TLSCertKey], NewSecret(string(data[v1alpha1.TLSKeyKey])), st.Origin); err == nil {
		c = pair
	} else {
		return Credential{Origin: st.Origin, Binding: st.Binding}, false
	}
	c.ObtainedAt, c.IssuedAt, c.ExpiresAt, c.Binding = st.ObtainedAt, st.IssuedAt, st.ExpiresAt, st.Binding
	return c, true
}

// Keep writes c. A Secret of that name that Hawser did not make is left alone, with an error.
func (s Store) Keep(ctx context.Context, c Credential) error {
	state, err := json.Marshal(stored{c.Origin, c.ObtainedAt, c.IssuedAt, c.ExpiresAt, c.Binding})
	if err != nil {
		return fmt.Errorf("encoding the state of a credential: %w", err)
	}
	data := map[string][]byte{stateKey: state}
	if c.Certificate != nil {
		data[v1alpha1.TLSCertKey], data[v1alpha1.TLSKeyKey] = c.Certificate.CertPEM, []byte(c.Certificate.KeyPEM.Reveal())
	} else {
		data[v1alpha1.BearerTokenKey] = []byte(c.Token.Reveal())
	}
	defer s.Memory.forget()                  // until the next look at the input, which may be far away
	if err := s.record(ctx, c); err != nil { // first: a credential is never kept without it
		return err
	}
	return s.write(ctx, v1alpha1.CredentialSecretName(s.Cluster), s.Owner, data)
}

// write makes a Secret what it should be: its data, and to whom it belongs.
func (s Store) write(ctx context.Context, name string, owner *metav1.OwnerReference, data map[string][]byte) error {
	err := s.put(ctx, name, owner, data)
	if s.Memory != nil && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)) {
		s.Memory.forget()
		err = s.put(ctx, name, owner, data)
	}
	return err
}

func (s Store) put(ctx context.Context, name string, owner *metav1.OwnerReference, data map[string][]byte) error {
	secret, err := s.get(ctx, name)
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: data}
		secret.Name = name
		secret.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, v1alpha1.RemoteClusterLabel: s.Cluster}
		own(secret, owner)
		secret, err = s.Secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
	} else if err == nil {
		if secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy {
			return fmt.Errorf("writing Secret %q: it is not Hawser's (no label %s=%s); rename or remove it", name, v1alpha1.ManagedByLabel, v1alpha1.ManagedBy)
		}
		next := secret.DeepCopy()
		next.Data = maps.Clone(data)
		own(next, owner)
		if equality.Semantic.DeepEqual(secret, next) {
			return nil
		}
		secret, err = s.Secrets.Update(ctx, next, metav1.UpdateOptions{FieldManager: v1alpha1.FieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %q: %w", name, err)
	}
	s.remember(name, secret)
	return nil
}

// own makes owner the only one; nil leaves those that there are.
func own(secret *corev1.Secret, owner *metav1.OwnerReference) {
	if owner != nil {
		secret.OwnerReferences = []metav1.OwnerReference{*owner}
	}
}

// Retire removes what was kept, except for the server that it is bound to, where the input stays that it
// grew from: whoever makes the cluster anew under its name, at a server of their own, is not shown the input.
func (s Store) Retire(ctx context.Context) error {
	kept, err := s.load(ctx)
	if err != nil {
		return err
	}
	input, err := s.Secrets.Get(ctx, v1alpha1.InputSecretName(s.Cluster), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && input.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy:
		if err := s.remove(ctx, v1alpha1.BindingSecretName(s.Cluster)); err != nil {
			return err
		}
		return s.Forget(ctx)
	case err != nil:
		return fmt.Errorf("reading Secret %q: %w", v1alpha1.InputSecretName(s.Cluster), err)
	}
	if err := s.recordFor(ctx, kept, input.UID); err != nil {
		return err
	}
	return s.Forget(ctx)
}

// Forget removes what was kept. It is no error if there is nothing.
func (s Store) Forget(ctx context.Context) error {
	return s.remove(ctx, v1alpha1.CredentialSecretName(s.Cluster))
}

func (s Store) remove(ctx context.Context, name string) error {
	secret, err := s.Secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading Secret %q: %w", name, err)
	}
	if secret.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy {
		return nil // somebody else's
	}
	err = s.Secrets.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &secret.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting Secret %q: %w", name, err)
	}
	return nil
}

// Input reads the Secret that a person or Helm filled in for the cluster, and with it everything else anew. Its errors are
// *InputErrors.
func (s Store) Input(ctx context.Context) (*corev1.Secret, error) {
	s.Memory.forget()
	name := v1alpha1.InputSecretName(s.Cluster)
	secret, err := s.get(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &InputError{v1alpha1.ReasonInputMissing, fmt.Errorf("Secret %q is missing: it is to have the label %s=true", name, v1alpha1.CredentialsLabel)}
	case apierrors.IsForbidden(err):
		return nil, &InputError{v1alpha1.ReasonInputForbidden, fmt.Errorf("reading Secret %q: %w", name, err)}
	case err != nil:
		return nil, fmt.Errorf("reading Secret %q: %w", name, err)
	case secret.Labels[v1alpha1.CredentialsLabel] != "true":
		return nil, &InputError{v1alpha1.ReasonInputUnlabeled, fmt.Errorf("Secret %q has no label %s=true, so Hawser leaves it alone: kubectl -n %s label secret %s %s=true", name, v1alpha1.CredentialsLabel, secret.Namespace, name, v1alpha1.CredentialsLabel)}
	}
	return secret, nil
}

// InvalidInput is the *InputError for an input that is there and cannot be used.
func InvalidInput(format string, args ...any) error {
	return &InputError{v1alpha1.ReasonInputInvalid, fmt.Errorf(format, args...)}
}
