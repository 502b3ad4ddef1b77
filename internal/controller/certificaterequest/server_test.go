package certificaterequest

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "alpha")) }

// TestRenewals runs the approver in a real cluster, under the rights of the member controllers, and
// renews as a connection that holds a certificate.
func TestRenewals(t *testing.T) {
	const local = "csr-a"
	user, name := v1alpha1.MemberUser(local), member.RequestName(local)
	alpha := fleettest.Use(t, "alpha")
	admin := alpha.AdminConfig()
	install(t, admin, member.Options{Local: local, Identity: member.RenewedCertificate, Controllers: true})
	startApprover(t, admin)

	adminClient := kubernetes.NewForConfigOrDie(admin)
	key := ecdsaKey(t, elliptic.P256())
	connection := rest.AnonymousClientConfig(admin)
	connection.CertData, connection.KeyData = alpha.ClientCert(t, user, nil, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	clientset := kubernetes.NewForConfigOrDie(connection)

	// Strangers' requests come first, so that the renewals show that the approver has passed them by.
	strangers := []*certificatesv1.CertificateSigningRequest{
		create(t, adminClient, asks(t, "csr-stranger", key, user, nil)),
		create(t, clientset, asks(t, "csr-other-signer", key, user, func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.SignerName = "example.com/signer"
		})),
	}

	t.Run("a connection renews its certificate", func(t *testing.T) {
		next := ecdsaKey(t, elliptic.P256())
		csr := create(t, clientset, asks(t, name, next, user, nil))
		csr = await(t, clientset, csr.Name, func(c *certificatesv1.CertificateSigningRequest) bool { return len(c.Status.Certificate) > 0 })
		checkCondition(t, csr, certificatesv1.CertificateApproved, ReasonRenewal)

		renewed := withCertificate(t, admin, csr.Status.Certificate, next)
		who, err := kubernetes.NewForConfigOrDie(renewed).AuthenticationV1().SelfSubjectReviews().
			Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if who.Status.UserInfo.Username != user {
			t.Errorf("the new certificate is that of %q, want %q", who.Status.UserInfo.Username, user)
		}
		if diff := cmp.Diff([]string{"system:authenticated"}, who.Status.UserInfo.Groups); diff != "" {
			t.Errorf("its groups (-want +got):\n%s", diff)
		}
		block, _ := pem.Decode(csr.Status.Certificate)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(cert.NotAfter); left > time.Hour {
			t.Errorf("it lives for %s, but was asked for an hour", left)
		}
		remove(t, clientset, csr.Name)
	})

	attempts := []struct {
		name   string
		csr    *certificatesv1.CertificateSigningRequest
		reason string
	}{
		{"a group", asksFor(t, name, key, pkix.Name{CommonName: user, Organization: []string{v1alpha1.MembersGroup}}), ReasonSubject},
		{"another connection's name", asks(t, name, key, "hawser:from:csr-b", nil), ReasonSubject},
		{"an administrator's name", asks(t, name, key, "kubernetes-admin", nil), ReasonSubject},
		{"a longer life", asks(t, name, key, user, func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.ExpirationSeconds = new(int32(365 * 24 * 3600))
		}), ReasonLifetime},
		{"a life as long as the signer likes", asks(t, name, key, user, func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.ExpirationSeconds = nil
		}), ReasonLifetime},
		{"server auth", asks(t, name, key, user, func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Usages = append(s.Usages, certificatesv1.UsageServerAuth)
		}), ReasonUsages},
		{"the request name of another", asks(t, "hawser-from-csr-b", key, user, nil), ReasonName},
		{"another requester", asks(t, name, key, "hawser:from:csr-b", func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Username = "hawser:from:csr-b" // the API server overwrites it
		}), ReasonSubject},
	}
	for _, tt := range attempts {
		t.Run("denied: "+tt.name, func(t *testing.T) {
			create(t, clientset, tt.csr)
			csr := await(t, adminClient, tt.csr.Name, decided)
			checkCondition(t, csr, certificatesv1.CertificateDenied, tt.reason)
			if len(csr.Status.Certificate) > 0 {
				t.Error("a certificate was issued")
			}
			remove(t, adminClient, csr.Name)
		})
	}

	for _, csr := range strangers {
		if csr := await(t, adminClient, csr.Name, func(*certificatesv1.CertificateSigningRequest) bool { return true }); len(csr.Status.Conditions) > 0 {
			t.Errorf("%s was touched: %v", csr.Name, csr.Status.Conditions)
		}
		remove(t, adminClient, csr.Name)
	}
}

// install creates the member side, whose objects another test of the package may have made.
func install(t *testing.T, admin *rest.Config, o member.Options) {
	t.Helper()
	cl, err := client.New(admin, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range member.Objects(o) {
		if err := cl.Create(t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("creating %s: %v", obj.GetName(), err)
		}
	}
}

// startApprover runs a manager like that of the member controllers until the test ends.
func startApprover(t *testing.T, admin *rest.Config) {
	t.Helper()
	token, err := kubernetes.NewForConfigOrDie(admin).CoreV1().ServiceAccounts(v1alpha1.Namespace).
		CreateToken(t.Context(), member.ControllersServiceAccount, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	controllers := rest.AnonymousClientConfig(admin)
	controllers.BearerToken = token.Status.Token
	mgr, err := ctrl.NewManager(controllers, ctrl.Options{
		Scheme:                        scheme.Scheme,
		Metrics:                       server.Options{BindAddress: "0"},
		LeaderElection:                true,
		LeaderElectionID:              v1alpha1.MemberControllersLease,
		LeaderElectionNamespace:       v1alpha1.Namespace,
		LeaderElectionReleaseOnCancel: true,
		Controller:                    config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := SetupWithManager(mgr, Options{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the manager", mgr.Start)
}

func withCertificate(t *testing.T, admin *rest.Config, cert []byte, key crypto.Signer) *rest.Config {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	connection := rest.AnonymousClientConfig(admin)
	connection.CertData = cert
	connection.KeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return connection
}

// asks is a request for an hour, changed as the case wants it.
func asks(t *testing.T, name string, key crypto.Signer, commonName string, change func(*certificatesv1.CertificateSigningRequestSpec)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	csr := asksFor(t, name, key, pkix.Name{CommonName: commonName})
	if change != nil {
		change(&csr.Spec)
	}
	return csr
}

func asksFor(t *testing.T, name string, key crypto.Signer, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	csr := csrOf(request(t, key, func(r *x509.CertificateRequest) { r.Subject = subject }))
	csr.Name, csr.Spec.Username, csr.Spec.Groups = name, "", nil
	return csr
}

func create(t *testing.T, clientset kubernetes.Interface, csr *certificatesv1.CertificateSigningRequest) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	var made *certificatesv1.CertificateSigningRequest
	// Roles take effect a moment after they are written.
	fleettest.Eventually(t, 30*time.Second, func() (err error) {
		made, err = clientset.CertificatesV1().CertificateSigningRequests().Create(t.Context(), csr, metav1.CreateOptions{})
		if err != nil && !apierrors.IsForbidden(err) {
			t.Fatalf("creating request %q: %v", csr.Name, err)
		}
		return err
	})
	return made
}

func await(t *testing.T, clientset kubernetes.Interface, name string, condition func(*certificatesv1.CertificateSigningRequest) bool) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	var csr *certificatesv1.CertificateSigningRequest
	fleettest.Eventually(t, 30*time.Second, func() (err error) {
		csr, err = clientset.CertificatesV1().CertificateSigningRequests().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && !condition(csr) {
			err = fmt.Errorf("request %q is %+v", name, csr)
		}
		return err
	})
	return csr
}

func remove(t *testing.T, clientset kubernetes.Interface, name string) {
	t.Helper()
	if err := clientset.CertificatesV1().CertificateSigningRequests().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting request %q: %v", name, err)
	}
}

func checkCondition(t *testing.T, csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType, reason string) {
	t.Helper()
	for _, c := range csr.Status.Conditions {
		if c.Type == kind && c.Reason == reason && c.Message != "" {
			return
		}
	}
	t.Errorf("got the conditions %+v, want %s with reason %s", csr.Status.Conditions, kind, reason)
}
