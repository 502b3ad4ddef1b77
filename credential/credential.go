// Package credential owns what a connection authenticates with: the redacting
// Secret, the Credential with its expiry, the Source that yields credentials (one
// for each auth.type, in the packages below), the Store that keeps renewed ones
// over a restart, and the Renewer that replaces a credential before it expires.
// How a credential is put on a request is the business of package connection.
package credential

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// MinLifetime is the shortest lifetime that a Kubernetes API server grants to a
// token or a certificate (pkg/apis/authentication/validation, pkg/apis/certificates/validation).
const MinLifetime = 10 * time.Minute

// Credential is a token or a client certificate. It belongs to a connection; it is not the connection.
type Credential struct {
	// Token is sent as a bearer token. Empty where Certificate is set.
	Token Secret
	// Certificate is presented in the TLS handshake. Nil where Token is set.
	Certificate *Certificate
	// Endpoint is where the credential is for, where its source says so, as a kubeconfig does.
	// Nil means the address in the connection's spec.
	Endpoint *Endpoint

	// Subject is who the credential says it is for: the sub of a JWT, the common name of a
	// certificate. The cluster has the last word, in Identity.
	Subject string
	// IssuedAt and ExpiresAt are by the issuer's clock. A zero ExpiresAt means never.
	IssuedAt, ExpiresAt time.Time
	// ObtainedAt is when we received it, by our clock. Lifetimes are counted from here, so that a
	// clock that is minutes off neither renews for ever nor too late. Zero where it is not known.
	ObtainedAt time.Time
	// Origin is the fingerprint of the input that the credential grew from; renewals inherit it.
	Origin string
	// Watched says that only a changed input replaces the credential.
	Watched bool
	// RenewAfter is how long after it was obtained the credential is renewed. Zero means half of its life.
	RenewAfter time.Duration
	// Binding is the server that the credential was proved at. It is shown to no other, unless
	// that one is vouched for by the same CA. Nil before the first proof.
	Binding *Binding
}

// Binding ties a credential to a server and its CA.
type Binding struct {
	// Server is the address, as in Endpoint.
	Server string `json:"server"`
	// TLSServerName and CA are the rest of what it was trusted by: the name that was asked of its
	// certificate, and the fingerprint of the CA bundle.
	TLSServerName string `json:"tlsServerName,omitempty"`
	CA            string `json:"ca,omitempty"`
	// Roots are the SHA-256 sums, in hex, of the CA certificates that its certificate was verified
	// with, without those that the system trusts anyway: they vouch for strangers too.
	Roots []string `json:"roots,omitempty"`
}

// BindingOf is the binding that a status tells of; nil for none.
func BindingOf(proved *v1alpha1.EndpointStatus) *Binding {
	if proved == nil {
		return nil
	}
	return &Binding{Server: proved.Server, TLSServerName: proved.TLSServerName, CA: proved.CA, Roots: proved.Roots}
}

// Status is the binding as a status tells of it; nil for none.
func (b *Binding) Status() *v1alpha1.EndpointStatus {
	if b == nil {
		return nil
	}
	return &v1alpha1.EndpointStatus{Server: b.Server, TLSServerName: b.TLSServerName, CA: b.CA, Roots: b.Roots}
}

// Admits reports whether a credential may be shown to a server at endpoint, whose certificate was
// verified with roots: if a private CA vouches for it that vouched for the old one, or, where there is
// none, if nothing of the endpoint changed that says whom to trust. A nil binding admits everybody.
func (b *Binding) Admits(endpoint Endpoint, roots []string) bool {
	if b == nil || slices.ContainsFunc(roots, func(r string) bool { return slices.Contains(b.Roots, r) }) {
		return true
	}
	return len(b.Roots) == 0 && b.Server == endpoint.Server && b.TLSServerName == endpoint.TLSServerName && b.CA == Fingerprint(endpoint.CAData)
}

// RootSums are the SHA-256 sums, in hex, of the certificates of a PEM bundle, as Binding.Roots has them.
func RootSums(bundle []byte) []string {
	var sums []string
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		sum := sha256.Sum256(block.Bytes)
		sums = append(sums, hex.EncodeToString(sum[:]))
	}
	return sums
}

// Certificate is a client certificate with its key.
type Certificate struct {
	// CertPEM is the chain, leaf first.
	CertPEM []byte
	// KeyPEM is the private key.
	KeyPEM Secret
	// Leaf is the parsed first certificate of the chain.
	Leaf *x509.Certificate
	// pair is behind a pointer for the reason given in Secret.
	pair *tls.Certificate
}

// Endpoint is an API server's address with what it takes to trust it.
type Endpoint struct {
	// Server is https://host[:port][/path].
	Server string
	// CAData is a PEM bundle. Empty means the system's roots.
	CAData []byte
	// TLSServerName is the name the server's certificate must carry. Empty means the host of Server.
	TLSServerName string
	// ProxyURL by which the server is reached. Empty means the environment's proxy settings.
	ProxyURL string
}

// NewToken makes a credential from a bearer token, with the times that a JWT
// states about itself. The signature is the server's to check.
func NewToken(token, origin string) Credential {
	c := Credential{Token: NewSecret(token), Origin: origin}
	if j, err := ReadJWT(token); err == nil {
		c.Subject, c.IssuedAt, c.ExpiresAt = j.Subject, j.IssuedAt, j.ExpiresAt
	}
	return c
}

// NewCertificate makes a credential from a PEM chain and key. Its errors name the
// part that is wrong and never quote it.
func NewCertificate(certPEM []byte, keyPEM Secret, origin string) (Credential, error) {
	pair, err := tls.X509KeyPair(certPEM, []byte(keyPEM.Reveal()))
	if err != nil {
		return Credential{}, fmt.Errorf("reading the certificate and its key: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return Credential{}, fmt.Errorf("reading the certificate: %w", err)
	}
	return Credential{
		Certificate: &Certificate{CertPEM: certPEM, KeyPEM: keyPEM, Leaf: leaf, pair: &pair},
		Subject:     leaf.Subject.CommonName,
		IssuedAt:    leaf.NotBefore,
		ExpiresAt:   leaf.NotAfter,
		Origin:      origin,
	}, nil
}

// TLS returns the certificate in the form of crypto/tls.
func (c *Certificate) TLS() *tls.Certificate { return c.pair }

// IsZero reports whether there is no credential.
func (c Credential) IsZero() bool { return c.Token.IsZero() && c.Certificate == nil }

// Equal reports whether two credentials are the same secret.
func (c Credential) Equal(other Credential) bool {
	if (c.Certificate == nil) != (other.Certificate == nil) {
		return false
	}
	if c.Certificate != nil && !c.Certificate.Leaf.Equal(other.Certificate.Leaf) {
		return false
	}
	return c.Token.Equal(other.Token)
}

// Lifetime is how long the credential is good for in all. Zero means without end.
func (c Credential) Lifetime() time.Duration {
	if c.ExpiresAt.IsZero() {
		return 0
	}
	if c.IssuedAt.IsZero() { // a token that states its end but not its beginning
		return c.ExpiresAt.Sub(c.ObtainedAt)
	}
	return c.ExpiresAt.Sub(c.IssuedAt)
}

// start is the beginning of the credential's life by our clock, as well as we know it.
func (c Credential) start() time.Time {
	if c.ObtainedAt.IsZero() {
		return c.IssuedAt
	}
	return c.ObtainedAt
}

// Deadline is when the credential ends by our clock; ok is false where it never does.
func (c Credential) Deadline() (end time.Time, ok bool) {
	if c.ExpiresAt.IsZero() {
		return time.Time{}, false
	}
	if c.start().IsZero() {
		return c.ExpiresAt, true
	}
	return c.start().Add(c.Lifetime()), true
}

// ExpiredAt reports whether the credential has ended at now.
func (c Credential) ExpiredAt(now time.Time) bool {
	end, ok := c.Deadline()
	return ok && !now.Before(end)
}

// RenewAt is half of the credential's life, or RenewAfter, plus or minus a twentieth of
// its life, by jitter in [0,1): early enough to fail for as long again, spread so that
// credentials made together are not renewed together. ok is false where it never expires.
func (c Credential) RenewAt(jitter float64) (at time.Time, ok bool) {
	end, ok := c.Deadline()
	if !ok {
		return time.Time{}, false
	}
	life := c.Lifetime()
	left := life / 2
	if c.RenewAfter > 0 && c.RenewAfter < life {
		left = life - c.RenewAfter
	}
	return end.Add(-left + time.Duration((jitter-0.5)*0.1*float64(life))), true
}

// Fingerprint names an input without giving it away. Parts are kept apart, so
// that moving a byte from one to the next changes it.
func Fingerprint(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Source yields the credentials of one connection; there is one implementation
// for each auth.type. Methods are called by one goroutine at a time, with a deadline.
type Source interface {
	// Obtain returns what is at rest, best first: what was renewed and kept, then what people put
	// in place, unless that has changed since. It reaches nothing but the local cluster, so a dead
	// remote cannot hold it up. Its errors are about the input and wrap an *InputError; what was kept
	// may come along with one.
	Obtain(ctx context.Context) ([]Credential, error)
	// Renew returns a successor of current, made over link. It is not called for credentials that are Watched.
	Renew(ctx context.Context, current Credential, link Link) (Credential, error)
}

// Keeper is a Source whose renewed credentials outlive the process.
type Keeper interface {
	// Keep persists c, which is in use from now on.
	Keep(ctx context.Context, c Credential) error
}

// Explainer is a Source that can find out why a cluster does not know what it made.
type Explainer interface {
	// Explain returns refused, or an error that wraps it and says what is behind it.
	Explain(ctx context.Context, refused error) error
}

// Link makes one-off requests to the connection's cluster with a given credential, over the
// connection's own dialer and trust, and shows it to no server that c is not bound to.
type Link interface {
	// Prove asks the cluster who c is. It fails with ErrRefused where the cluster does not know c.
	Prove(ctx context.Context, c Credential) (Identity, error)
	// Elsewhere reports whether c is in use at another address than it should be by now.
	Elsewhere(c Credential) bool
	// Config returns a configuration for clients that authenticate with c alone. It is good until release.
	Config(c Credential) (config *rest.Config, release func(), err error)
}

// Identity is who a cluster says that a credential is.
type Identity struct {
	User   string
	Groups []string
	// Binding is where it said so.
	Binding *Binding
}

// ErrRefused says that the cluster answered 401 to a credential.
var ErrRefused = errors.New("the API server refuses the credential (401)")

// InputError says what is wrong with what people put in place, and what mends it.
type InputError struct {
	// Reason is one of the Input… reasons of the API.
	Reason string
	// Err names the object and the fault, never a value.
	Err error
}

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the fault.
func (e *InputError) Unwrap() error { return e.Err }
