package certificaterequest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// Verdict is what to do with a request.
type Verdict string

const (
	// Ignore leaves the request to others: it is none of ours, or it has been decided.
	Ignore Verdict = "Ignore"
	// Approve lets the signer issue the certificate.
	Approve Verdict = "Approve"
	// Deny refuses a request of a connection that breaks a rule.
	Deny Verdict = "Deny"
)

// Reasons of the conditions Approved and Denied. A denial names the rule that was broken.
const (
	ReasonRenewal    = "HawserRenewal"
	ReasonName       = "HawserNameMismatch"
	ReasonUsages     = "HawserUsageNotAllowed"
	ReasonLifetime   = "HawserLifetimeNotAllowed"
	ReasonMalformed  = "HawserRequestMalformed"
	ReasonSubject    = "HawserSubjectNotAllowed"
	ReasonExtensions = "HawserExtensionsNotAllowed"
	ReasonKey        = "HawserKeyNotAllowed"
	ReasonSignature  = "HawserSignatureInvalid"
)

// Decision is a verdict with what the condition says. Ignore has neither reason nor message.
type Decision struct {
	Verdict Verdict
	Reason  string
	Message string
}

const (
	// minLifetime is the least that an API server accepts (pkg/apis/certificates/validation).
	minLifetime = 10 * time.Minute
	// maxRequestBytes is far more than a request without extensions needs, also with the longest key.
	maxRequestBytes = 8 << 10
	minRSABits      = 2048
	// maxRSABits bounds the work of verifying a signature.
	maxRSABits = 8192
)

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Decide tells what to do with a request. Only spec.username, which the API server sets, says who asks;
// all else in the spec was written by the requester. Nothing is approved but the
// same user's next certificate.
func Decide(csr *certificatesv1.CertificateSigningRequest, maxLifetime time.Duration) Decision {
	if !ours(csr) || decided(csr) {
		return Decision{Verdict: Ignore}
	}
	parsed, err := parse(csr.Spec.Request)
	if err != nil {
		return Decision{Deny, ReasonMalformed, err.Error()}
	}
	rules := []struct {
		reason string
		check  func() error
	}{
		{ReasonName, func() error { return checkName(csr) }},
		{ReasonUsages, func() error { return checkUsages(csr.Spec.Usages) }},
		{ReasonLifetime, func() error { return checkLifetime(csr.Spec.ExpirationSeconds, maxLifetime) }},
		{ReasonSubject, func() error { return checkSubject(parsed, csr.Spec.Username) }},
		{ReasonExtensions, func() error { return checkExtensions(parsed) }},
		{ReasonKey, func() error { return checkKey(parsed) }}, // before the signature: it bounds the work
		{ReasonSignature, parsed.CheckSignature},
	}
	for _, rule := range rules {
		if err := rule.check(); err != nil {
			return Decision{Deny, rule.reason, err.Error()}
		}
	}
	return Decision{Approve, ReasonRenewal, fmt.Sprintf("renewal of the client certificate of %q by itself", csr.Spec.Username)}
}

// ours tells whether a connection asks for a client certificate. Requests for other signers are not
// ours even then: the member controllers may neither approve nor deny them.
func ours(csr *certificatesv1.CertificateSigningRequest) bool {
	return csr.Spec.SignerName == certificatesv1.KubeAPIServerClientSignerName &&
		strings.HasPrefix(csr.Spec.Username, v1alpha1.MemberUser(""))
}

func decided(csr *certificatesv1.CertificateSigningRequest) bool {
	return len(csr.Status.Certificate) > 0 || slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		switch c.Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			return true
		}
		return false
	})
}

// parse reads the one PEM block of a request. The signer reads the first block and skips what is
// around it; here there must be nothing around it, so that both see the same.
func parse(request []byte) (*x509.CertificateRequest, error) {
	if len(request) > maxRequestBytes {
		return nil, fmt.Errorf("the request has %d bytes; a renewal has %d at most", len(request), maxRequestBytes)
	}
	text := bytes.TrimSpace(request)
	if !bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE REQUEST-----")) {
		return nil, errors.New("the request does not begin as PEM of a CERTIFICATE REQUEST")
	}
	block, rest := pem.Decode(text)
	if block == nil || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the request is not exactly one PEM block without headers")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the PKCS#10 request: %w", err)
	}
	return parsed, nil
}

func checkName(csr *certificatesv1.CertificateSigningRequest) error {
	local := strings.TrimPrefix(csr.Spec.Username, v1alpha1.MemberUser(""))
	if err := member.ValidateLocal(local); err != nil {
		return fmt.Errorf("user %.100q names no local cluster", csr.Spec.Username)
	}
	if want := member.RequestName(local); csr.Name != want {
		return fmt.Errorf("user %q renews by the request %q, not by this one", csr.Spec.Username, want)
	}
	return nil
}

func checkUsages(usages []certificatesv1.KeyUsage) error {
	for _, usage := range usages {
		switch usage {
		case certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment:
		default:
			return fmt.Errorf("usage %.100q: a renewal asks for client auth, and at most digital signature and key encipherment beside it", string(usage))
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return errors.New("the usage client auth is missing")
	}
	return nil
}

func checkLifetime(seconds *int32, maxLifetime time.Duration) error {
	if seconds == nil {
		return errors.New("expirationSeconds is missing: the signer would choose, and choose a year")
	}
	if lifetime := time.Duration(*seconds) * time.Second; lifetime < minLifetime || lifetime > maxLifetime {
		return fmt.Errorf("expirationSeconds %d: a renewal asks for %d to %d", *seconds, int64(minLifetime.Seconds()), int64(maxLifetime.Seconds()))
	}
	return nil
}

// checkSubject wants the requester's name as the common name, and nothing beside it: an organisation
// would be a group.
func checkSubject(parsed *x509.CertificateRequest, username string) error {
	if len(parsed.Subject.Names) != 1 || !parsed.Subject.Names[0].Type.Equal(oidCommonName) {
		return fmt.Errorf("the subject must be a common name alone, but is %.200q", parsed.Subject.String())
	}
	if parsed.Subject.CommonName != username {
		return fmt.Errorf("the common name %.100q is not that of the requester, %.100q", parsed.Subject.CommonName, username)
	}
	return nil
}

// checkExtensions refuses all of them, alternative names included.
func checkExtensions(parsed *x509.CertificateRequest) error {
	if len(parsed.DNSNames)+len(parsed.EmailAddresses)+len(parsed.IPAddresses)+len(parsed.URIs) > 0 {
		return errors.New("a renewal asks for no alternative names")
	}
	if len(parsed.Extensions) > 0 {
		return fmt.Errorf("a renewal asks for no extensions, but this one for %s", parsed.Extensions[0].Id)
	}
	return nil
}

func checkKey(parsed *x509.CertificateRequest) error {
	switch key := parsed.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("an RSA key has %d to %d bits, not %d", minRSABits, maxRSABits, bits)
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return fmt.Errorf("an ECDSA key is on P-256, P-384 or P-521, not on %s", key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return errors.New("the key is neither RSA, ECDSA nor Ed25519")
	}
	return nil
}
