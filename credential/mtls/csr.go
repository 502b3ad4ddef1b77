package mtls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/member"
)

const (
	// pollInterval is how often the request is looked at; approval and signing take about a second.
	pollInterval = 500 * time.Millisecond
	// controllersAlive is how old the lease of the member controllers may be. Leaders renew theirs
	// every few seconds; the rest is for clocks that differ.
	controllersAlive = 15 * time.Minute
)

func renewByCSR(ctx context.Context, config *rest.Config, current credential.Credential, lifetime time.Duration, clk clock.PassiveClock) (credential.Credential, error) {
	local, ok := strings.CutPrefix(current.Subject, v1alpha1.MemberUser(""))
	if !ok || local == "" {
		return credential.Credential{}, fmt.Errorf("the member controllers sign for users %s<local cluster> only: run hawser join with --auth mtls", v1alpha1.MemberUser(""))
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return credential.Credential{}, err
	}
	if err := controllersRunning(ctx, client, clk.Now()); err != nil {
		return credential.Credential{}, err
	}
	key, request, err := NewRequest(current.Subject, lifetime)
	if err != nil {
		return credential.Credential{}, err
	}
	request.Name = member.RequestName(local)
	chain, err := sign(ctx, client, request)
	if err != nil {
		return credential.Credential{}, err
	}
	next, err := credential.NewCertificate(chain, key, current.Origin)
	if err != nil {
		return credential.Credential{}, err
	}
	if next.Subject != current.Subject {
		return credential.Credential{}, fmt.Errorf("the signer answered with a certificate for %q", next.Subject)
	}
	next.ObtainedAt = clk.Now()
	next.IssuedAt = next.ObtainedAt // its own stamp is backdated
	return next, nil
}

// controllersRunning refuses to wait for an approval that nobody will give.
func controllersRunning(ctx context.Context, client kubernetes.Interface, now time.Time) error {
	lease, err := client.CoordinationV1().Leases(v1alpha1.Namespace).Get(ctx, v1alpha1.MemberControllersLease, metav1.GetOptions{})
	switch {
	case apierrors.IsUnauthorized(err):
		return credential.ErrRefused
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return fmt.Errorf("renew: csr needs the member controllers in the remote cluster, and they have never run there (%w): install them, or set auth.mtls.renew to watch", err)
	case err != nil:
		return fmt.Errorf("asking for the member controllers: %w", err)
	case !ControllersAlive(lease, now):
		return errors.New("renew: csr needs the member controllers in the remote cluster, and they are not running: start them, or set auth.mtls.renew to watch")
	}
	return nil
}

// NewRequest makes a key, and a request without a name for a client certificate of user.
func NewRequest(user string, lifetime time.Duration) (credential.Secret, *certificatesv1.CertificateSigningRequest, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return credential.Secret{}, nil, fmt.Errorf("generating a key: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return credential.Secret{}, nil, fmt.Errorf("encoding a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user}}, key)
	if err != nil {
		return credential.Secret{}, nil, fmt.Errorf("making a certificate request: %w", err)
	}
	seconds := int32(min(lifetime, 100*365*24*time.Hour/2) / time.Second) //nolint:gosec // bounded by 50 years
	request := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:           pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName:        certificatesv1.KubeAPIServerClientSignerName,
			ExpirationSeconds: &seconds,
			Usages:            []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
	return credential.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))), request, nil
}

// sign submits the request under its fixed name, the only one that the connection may read, and
// waits for the certificate. What a killed renewal left behind is removed first.
func sign(ctx context.Context, client kubernetes.Interface, request *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	requests := client.CertificatesV1().CertificateSigningRequests()
	remove := func(ctx context.Context) error {
		err := requests.Delete(ctx, request.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing CertificateSigningRequest %q: %w", request.Name, err)
		}
		return nil
	}
	if err := remove(ctx); err != nil {
		return nil, err
	}
	made, err := requests.Create(ctx, request, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
	if err != nil {
		return nil, fmt.Errorf("creating CertificateSigningRequest %q: %w", request.Name, err)
	}
	var chain []byte
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		now, err := requests.Get(ctx, request.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if now.UID != made.UID {
			return false, errors.New("it was replaced while we waited")
		}
		chain, err = outcome(now)
		return len(chain) > 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for CertificateSigningRequest %q: %w", request.Name, err)
	}
	_ = remove(ctx) // what is left is removed by the next renewal, or by the cluster within an hour
	return chain, nil
}

// outcome returns the certificate of a request, nothing while it is undecided, or why there will be none.
func outcome(r *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	for _, c := range r.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed) {
			return nil, fmt.Errorf("%s: %s", strings.ToLower(string(c.Type)), c.Message)
		}
	}
	return r.Status.Certificate, nil
}
