// Package kubeconfig is the credential source of auth.type kubeconfig: a
// kubeconfig in a Secret, read as plain data. It says where the cluster is and
// how to authenticate, and cannot make Hawser run a program, open a file or skip
// a check. What it holds is replaced only by a changed Secret.
package kubeconfig

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// Source yields the credential and address of one kubeconfig.
type Source struct {
	// Get reads a Secret of the local cluster.
	Get func(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// Ref and Context say which kubeconfig.
	Ref     v1alpha1.SecretKeyRef
	Context string
}

// Obtain returns what the kubeconfig holds.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	secret, err := s.Get(ctx, s.Ref.Namespace, s.Ref.Name)
	where := fmt.Sprintf("Secret %q in namespace %q", s.Ref.Name, s.Ref.Namespace)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &credential.InputError{Reason: v1alpha1.ReasonInputMissing, Err: fmt.Errorf("%s is missing", where)}
	case apierrors.IsForbidden(err):
		return nil, &credential.InputError{Reason: v1alpha1.ReasonInputForbidden, Err: fmt.Errorf(
			"%s may not be read. Allow it: kubectl -n %s create role hawser-read-%s --verb=get --resource=secrets --resource-name=%s && kubectl -n %s create rolebinding hawser-read-%s --role=hawser-read-%s --serviceaccount=%s:hawser",
			where, s.Ref.Namespace, s.Ref.Name, s.Ref.Name, s.Ref.Namespace, s.Ref.Name, s.Ref.Name, v1alpha1.Namespace)}
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", where, err)
	}
	text, ok := secret.Data[s.Ref.Key]
	if !ok {
		return nil, credential.InvalidInput("%s has no key %q", where, s.Ref.Key)
	}
	c, err := Parse(text, s.Context)
	if err != nil {
		return nil, credential.InvalidInput("the kubeconfig in key %q of %s cannot be used: %w", s.Ref.Key, where, err)
	}
	return []credential.Credential{c}, nil
}

// Renew is never called: the credential is watched.
func (s *Source) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}
