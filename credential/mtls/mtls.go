// Package mtls is the credential source of auth.type mtls: a client certificate
// from the input Secret, which is watched, or renewed through the CSR API of the
// remote cluster where the member controllers there approve it.
package mtls

import (
	"context"
	"encoding/pem"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// Source yields and, if CSR is set, renews the client certificate of one cluster.
type Source struct {
	// Cluster is the name of the RemoteCluster.
	Cluster string
	// Secrets of the namespace that Hawser runs in.
	Secrets credential.Secrets
	// Owner is the RemoteCluster, as what is kept for it names it. nil where nothing is to be kept.
	Owner *metav1.OwnerReference
	// CSR renews through the remote's CSR API. Otherwise the Secret is watched.
	CSR bool
	// Lifetime to ask for. Zero asks for that of the certificate that is renewed.
	Lifetime time.Duration
	Clock    clock.PassiveClock

	memory credential.Memory
}

// Obtain returns the kept certificate and the one in the input Secret.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	candidates, err := s.candidates(ctx)
	for i := range candidates {
		candidates[i].Watched = !s.CSR
	}
	return candidates, err
}

func (s *Source) candidates(ctx context.Context) ([]credential.Credential, error) {
	secret, err := s.store().Input(ctx)
	if err != nil {
		return s.store().Kept(ctx, err)
	}
	if err := s.store().Settle(ctx, secret.UID); err != nil {
		return nil, err
	}
	input, err := parsePair(v1alpha1.InputSecretName(s.Cluster), secret.Data)
	if err != nil {
		return s.store().Kept(ctx, err)
	}
	return s.store().Candidates(ctx, input)
}

// parsePair says which half is missing or wrong; crypto/tls would only say that it found no certificate.
func parsePair(secret string, data map[string][]byte) (credential.Credential, error) {
	cert, key := data[v1alpha1.TLSCertKey], data[v1alpha1.TLSKeyKey]
	switch {
	case len(cert) == 0 && len(key) == 0:
		return credential.Credential{}, credential.InvalidInput("Secret %q has neither %s nor %s", secret, v1alpha1.TLSCertKey, v1alpha1.TLSKeyKey)
	case len(cert) == 0:
		return credential.Credential{}, credential.InvalidInput("Secret %q has %s but no %s: half a pair", secret, v1alpha1.TLSKeyKey, v1alpha1.TLSCertKey)
	case len(key) == 0:
		return credential.Credential{}, credential.InvalidInput("Secret %q has %s but no %s: half a pair", secret, v1alpha1.TLSCertKey, v1alpha1.TLSKeyKey)
	}
	for name, value := range map[string][]byte{v1alpha1.TLSCertKey: cert, v1alpha1.TLSKeyKey: key} {
		if block, _ := pem.Decode(value); block == nil {
			return credential.Credential{}, credential.InvalidInput("key %s of Secret %q is no PEM", name, secret)
		}
	}
	c, err := credential.NewCertificate(cert, credential.NewSecret(string(key)), credential.Fingerprint(cert, key))
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("Secret %q: %w", secret, err)
	}
	return c, nil
}

// Renew asks the remote cluster to sign another certificate for the same user.
func (s *Source) Renew(ctx context.Context, current credential.Credential, link credential.Link) (credential.Credential, error) {
	config, release, err := link.Config(current)
	if err != nil {
		return credential.Credential{}, err
	}
	defer release()
	next, err := renewByCSR(ctx, config, current, s.lifetime(current), s.Clock)
	if err != nil {
		return credential.Credential{}, fmt.Errorf("renewing the certificate of %q by CSR: %w", current.Subject, err)
	}
	return next, nil
}

func (s *Source) lifetime(current credential.Credential) time.Duration {
	if s.Lifetime > 0 {
		return s.Lifetime
	}
	life := current.Lifetime()
	if life-backdated < shortLived {
		life -= backdated
	}
	return min(max(life, credential.MinLifetime), longest)
}

const (
	// kube-controller-manager's signers backdate a certificate, and add that to its life where it lives
	// less than eight hours (pkg/controller/certificates/authority). Without taking it off again each
	// renewal would ask for a little more than the one before.
	backdated  = 5 * time.Minute
	shortLived = 8 * time.Hour
	// longest is what the member controllers sign unless they are told otherwise.
	longest = 7 * 24 * time.Hour
)

// Keep persists c. A watched certificate stands in its input Secret already; what is kept then
// is the server that it is bound to.
func (s *Source) Keep(ctx context.Context, c credential.Credential) error {
	return s.store().Keep(ctx, c)
}

func (s *Source) store() credential.Store {
	return credential.Store{Secrets: s.Secrets, Cluster: s.Cluster, Owner: s.Owner, Memory: &s.memory}
}
