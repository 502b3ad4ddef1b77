// Package bearertoken is the credential source of auth.type bearerToken: a
// service-account token of the remote cluster that renews itself through the
// TokenRequest API, with nothing but the right of its own account to do so.
package bearertoken

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/member"
)

// lifetimeOfEndless is what is asked for in place of a token that never expires: what hawser join asks for.
const lifetimeOfEndless = 24 * time.Hour

// Source yields and renews the token of one cluster.
type Source struct {
	// Cluster is the name of the RemoteCluster.
	Cluster string
	// Secrets of the namespace that Hawser runs in.
	Secrets credential.Secrets
	// Owner is the RemoteCluster, as what is kept for it names it. nil where nothing is to be kept.
	Owner *metav1.OwnerReference
	// Lifetime to ask for. Zero asks for that of the token that is renewed.
	Lifetime time.Duration
	Clock    clock.PassiveClock

	memory credential.Memory
}

// Obtain returns the kept token and the one in the input Secret.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	input, err := s.input(ctx)
	if err != nil {
		return s.store().Kept(ctx, err)
	}
	return s.store().Candidates(ctx, input)
}

func (s *Source) input(ctx context.Context) (credential.Credential, error) {
	var none credential.Credential
	secret, err := s.store().Input(ctx)
	if err != nil {
		return none, err
	}
	if err := s.store().Settle(ctx, secret.UID); err != nil {
		return none, err
	}
	token := bytes.TrimSpace(secret.Data[v1alpha1.BearerTokenKey])
	if len(token) == 0 {
		return none, credential.InvalidInput("Secret %q has no key %s", v1alpha1.InputSecretName(s.Cluster), v1alpha1.BearerTokenKey)
	}
	if bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return none, credential.InvalidInput("key %s of Secret %q is no token: it has characters that no HTTP header can carry", v1alpha1.BearerTokenKey, v1alpha1.InputSecretName(s.Cluster))
	}
	return credential.NewToken(string(token), credential.Fingerprint(token)), nil
}

// Renew asks the remote cluster for another token of the same account.
func (s *Source) Renew(ctx context.Context, current credential.Credential, link credential.Link) (credential.Credential, error) {
	namespace, account, err := serviceAccount(current.Subject)
	if err != nil {
		return credential.Credential{}, err
	}
	config, release, err := link.Config(current)
	if err != nil {
		return credential.Credential{}, err
	}
	defer release()
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return credential.Credential{}, fmt.Errorf("renewing the token of %s: %w", current.Subject, err)
	}
	answer, err := mint(ctx, client, namespace, account, s.lifetime(current))
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
		// The namespace may cap lifetimes below that of the token that we started from.
		if most, ok := lifetimeCap(ctx, client, namespace); ok && most < s.lifetime(current) {
			answer, err = mint(ctx, client, namespace, account, most)
		}
	}
	if apierrors.IsUnauthorized(err) {
		err = credential.ErrRefused
	}
	if err != nil {
		return credential.Credential{}, fmt.Errorf("renewing the token of %s: %w", current.Subject, err)
	}
	next := credential.NewToken(answer.Status.Token, current.Origin)
	next.ObtainedAt = s.Clock.Now()
	next.ExpiresAt = answer.Status.ExpirationTimestamp.Time
	return next, nil
}

func mint(ctx context.Context, client corev1client.CoreV1Interface, namespace, account string, life time.Duration) (*authenticationv1.TokenRequest, error) {
	seconds := int64(life.Seconds())
	return client.ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
}

// lifetimeCap reads what the member install allows, where there is one.
func lifetimeCap(ctx context.Context, client corev1client.CoreV1Interface, namespace string) (time.Duration, bool) {
	ns, err := client.Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return 0, false
	}
	most, err := member.MaxTokenLifetime(ns)
	return most, err == nil
}

// Keep persists c.
func (s *Source) Keep(ctx context.Context, c credential.Credential) error {
	return s.store().Keep(ctx, c)
}

func (s *Source) store() credential.Store {
	return credential.Store{Secrets: s.Secrets, Cluster: s.Cluster, Owner: s.Owner, Memory: &s.memory}
}

func (s *Source) lifetime(current credential.Credential) time.Duration {
	if s.Lifetime > 0 {
		return s.Lifetime
	}
	if current.Lifetime() == 0 {
		return lifetimeOfEndless
	}
	return max(current.Lifetime(), credential.MinLifetime)
}

// serviceAccount reads the account out of a token's subject.
func serviceAccount(subject string) (namespace, name string, err error) {
	rest, ok := strings.CutPrefix(subject, "system:serviceaccount:")
	namespace, name, cut := strings.Cut(rest, ":")
	if !ok || !cut || namespace == "" || name == "" {
		return "", "", fmt.Errorf("renewing a token whose subject is %q: only service-account tokens can be renewed", subject)
	}
	return namespace, name, nil
}
