package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

var (
	// ErrNoCredential says that a connection has never had a credential that its cluster accepts.
	ErrNoCredential = errors.New("there is no accepted credential yet")
	// ErrClosed says that a connection was removed, disabled or revoked.
	ErrClosed = errors.New("the connection is closed")
	// ErrWrongCluster says that another cluster answers under this name.
	ErrWrongCluster = errors.New("another cluster answers under this name")
)

// SpecError says what in a connection's spec cannot be used.
type SpecError struct{ Err error }

func (e *SpecError) Error() string { return e.Err.Error() }

// Unwrap returns the fault.
func (e *SpecError) Unwrap() error { return e.Err }

// UnprovenError says that an address was changed to a server that no confirmed CA vouches for.
// The credential was not shown to it.
type UnprovenError struct{ Server, Confirmed string }

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("server %s is not vouched for by the CA that was confirmed at %s, so it is not shown the credential", e.Server, e.Confirmed)
}

// quotedError is an error whose text held a token: a server may answer with what it was sent.
type quotedError struct {
	text string
	err  error
}

func (e *quotedError) Error() string { return e.text }

// Unwrap returns the fault, for its type.
func (e *quotedError) Unwrap() error { return e.err }

// withoutToken is err without the token of cred in its text.
func withoutToken(err error, cred credential.Credential) error {
	token := cred.Token.Reveal()
	if token == "" || !strings.Contains(err.Error(), token) {
		return err
	}
	return &quotedError{strings.ReplaceAll(err.Error(), token, "[redacted]"), err}
}

// statusError is an answer that is no success.
type statusError struct {
	code int
	path string
	note string
}

func (e *statusError) Error() string {
	if e.note != "" {
		return fmt.Sprintf("%s answered %d: %s", e.path, e.code, e.note)
	}
	return fmt.Sprintf("%s answered %d", e.path, e.code)
}

// notKubernetesError is an answer that no Kubernetes API server gives.
type notKubernetesError struct{ what string }

func (e *notKubernetesError) Error() string {
	return "the server is no Kubernetes API server: " + e.what
}

// unreachableReason classifies an error of the way to the server; ok is false for errors of another kind.
func unreachableReason(err error) (reason string, ok bool) {
	var (
		spec     *SpecError
		unproven *UnprovenError
		dns      *net.DNSError
		alert    tls.AlertError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		status   *statusError
		foreign  *notKubernetesError
		timeout  interface{ Timeout() bool }
		local    apierrors.APIStatus // of a client: the way was open
	)
	switch {
	case errors.As(err, &spec):
		return v1alpha1.ReasonSpecInvalid, true
	case errors.As(err, &unproven):
		return v1alpha1.ReasonAddressUnproven, true
	case errors.Is(err, ErrWrongCluster):
		return v1alpha1.ReasonWrongCluster, true
	case errors.As(err, &dns):
		return v1alpha1.ReasonDNSFailed, true
	case errors.As(err, &alert), errors.As(err, &verify), errors.As(err, &record), errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return v1alpha1.ReasonTLSFailed, true
	case errors.As(err, &foreign):
		return v1alpha1.ReasonNotKubernetes, true
	case errors.As(err, &status):
		return v1alpha1.ReasonServerError, true
	case errors.Is(err, credential.ErrRefused), errors.As(err, &local):
		return "", false
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return v1alpha1.ReasonTimeout, true
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return v1alpha1.ReasonDialFailed, true
	}
	return v1alpha1.ReasonServerError, true
}
