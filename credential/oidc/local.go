package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// Tried are tokens that the local API server is proved not to accept: each is tried there before it is
// handed on. One that it accepts would make whoever it is shown to us, here.
type Tried struct {
	Tokens
	// Local reaches the local cluster. Only its address and trust are used.
	Local *rest.Config
}

// triedTimeout is what the local API server gets to refuse a token.
const triedTimeout = 10 * time.Second

// Token implements Tokens.
func (t Tried) Token(ctx context.Context, audience string, lifetime time.Duration) (credential.Credential, error) {
	c, err := t.Tokens.Token(ctx, audience, lifetime)
	if err != nil {
		return credential.Credential{}, err
	}
	if err := t.try(ctx, c.Token, audience); err != nil {
		return credential.Credential{}, err
	}
	return c, nil
}

func (t Tried) try(ctx context.Context, token credential.Secret, audience string) error {
	ctx, cancel := context.WithTimeout(ctx, triedTimeout)
	defer cancel()
	err := credential.Try(ctx, t.Local, token)
	switch {
	case apierrors.IsUnauthorized(err):
		return nil
	case err == nil, apierrors.IsForbidden(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err): // it knows who that is
		return &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: fmt.Errorf(
			"the API server of this cluster itself accepts tokens with the audience %q, so the remote cluster could use ours here: give auth.oidc.audience one that belongs to the remote cluster alone", audience)}
	}
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		return fmt.Errorf("trying the token at the local API server: it answered %d %s", known.Status().Code, known.Status().Reason)
	}
	return fmt.Errorf("trying the token at the local API server: %w", err)
}
