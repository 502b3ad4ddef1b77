package credential

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Memory is what one source has read from its Secrets since it began to look at them: a replica that takes hundreds of
// clusters over asks for each Secret once, and not whenever it is thought of. Writes carry the version that was read, so
// what is remembered wrongly is refused, and read again. The zero value is empty. It is used by one goroutine.
type Memory struct {
	read    map[string]*corev1.Secret // nil: there is none
	settled types.UID                 // of the input Secret that Settle was called for
}

// forget lets everything be read anew.
func (m *Memory) forget() {
	if m != nil {
		clear(m.read)
	}
}

// get reads a Secret, unless it is remembered. What it returns is not to be changed.
func (s Store) get(ctx context.Context, name string) (*corev1.Secret, error) {
	if s.Memory == nil {
		return s.Secrets.Get(ctx, name, metav1.GetOptions{})
	}
	if secret, known := s.Memory.read[name]; known {
		if secret == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
		}
		return secret, nil
	}
	secret, err := s.Secrets.Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		s.remember(name, secret)
	case apierrors.IsNotFound(err):
		s.remember(name, nil)
	}
	return secret, err
}

func (s Store) remember(name string, secret *corev1.Secret) {
	if s.Memory == nil {
		return
	}
	if s.Memory.read == nil {
		s.Memory.read = map[string]*corev1.Secret{}
	}
	s.Memory.read[name] = secret
}
