package manager_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/certificaterequest"
	"github.com/hawser-io/hawser/member"
)

var (
	watchedCert = v1alpha1.Auth{Type: v1alpha1.AuthMTLS}
	renewedCert = v1alpha1.Auth{Type: v1alpha1.AuthMTLS, MTLS: &v1alpha1.MTLSAuth{Renew: v1alpha1.RenewByCSR}}
)

// certificate makes one for the connection's user, signed by the remote cluster's CA for clients.
func (h *hub) certificate(c *fleettest.Cluster, life time.Duration) map[string]string {
	h.t.Helper()
	cert, key := c.ClientCert(h.t, v1alpha1.MemberUser(h.local), nil, time.Now().Add(-time.Minute), time.Now().Add(life))
	remember(string(key))
	return map[string]string{v1alpha1.TLSCertKey: string(cert), v1alpha1.TLSKeyKey: string(key)}
}

// runMemberControllers runs the approver in a remote cluster, under its own service account.
func runMemberControllers(t *testing.T, c *fleettest.Cluster) (stop func()) {
	t.Helper()
	config := rest.AnonymousClientConfig(c.AdminConfig())
	config.BearerToken = remember(c.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour))
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Logger: logged, Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: v1alpha1.MemberControllersLease, LeaderElectionNamespace: v1alpha1.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := certificaterequest.SetupWithManager(mgr, certificaterequest.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := mgr.Start(ctx); err != nil {
			t.Errorf("the member controllers ended with %v", err)
		}
	}()
	<-mgr.Elected()
	return func() { cancel(); <-done }
}

func TestACertificateIsRenewedByCSRWhereTheMemberControllersRun(t *testing.T) {
	h, beta := startHub(t), fleettest.Use(t, "beta")
	h.member(beta, member.Options{Identity: member.RenewedCertificate, Controllers: true})
	h.input("beta", h.certificate(beta, time.Hour))
	h.tie("beta", beta.Server, beta.CA(), renewedCert)
	h.ready("beta")

	// Without them the renewal is refused with the reason, and the link goes on.
	h.update("beta", func(rc *v1alpha1.RemoteCluster) {
		metav1.SetMetaDataAnnotation(&rc.ObjectMeta, v1alpha1.RenewAnnotation, time.Now().Add(time.Second).Format(time.RFC3339Nano))
	})
	message := h.is("beta", v1alpha1.CredentialFresh, metav1.ConditionFalse, v1alpha1.ReasonRenewalFailed)
	if !strings.Contains(message, "member controllers") {
		t.Errorf("the message %q does not tell the reason", message)
	}
	h.works("beta")

	stop := runMemberControllers(t, beta)
	defer stop()
	watch, err := h.client("beta").CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil || watch.UID == "" {
		t.Fatal(err)
	}
	h.rotate("beta")
	h.ready("beta")
	h.rotate("beta")
	h.works("beta")
	if subject := h.get("beta").Status.Credential.Subject; subject != v1alpha1.MemberUser(h.local) {
		t.Errorf("the renewed certificate is %q's", subject)
	}
	// A restart goes on from the kept certificate.
	h.stop()
	h.start()
	h.worksAgain("beta")
}

func TestAWatchedCertificateIsReplacedByItsSecret(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{Identity: member.Certificate})
	h.input("alpha", h.certificate(alpha, time.Hour))
	h.tie("alpha", alpha.Server, alpha.CA(), watchedCert)
	h.ready("alpha")
	conn, err := h.links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	first := conn.State().ExpiresAt
	h.input("alpha", h.certificate(alpha, 3*time.Hour))
	eventually(t, "the new certificate", func() error {
		if conn.State().ExpiresAt.Equal(first) {
			return errors.New("still the same")
		}
		return nil
	})
	h.ready("alpha")
	h.works("alpha")
}

func TestACertificateOfTheWrongCA(t *testing.T) {
	h, alpha, beta := startHub(t), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	h.member(alpha, member.Options{Identity: member.Certificate})
	h.input("alpha", h.certificate(beta, time.Hour))
	h.tie("alpha", alpha.Server, alpha.CA(), watchedCert)
	h.is("alpha", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonRefused)
	h.input("alpha", h.certificate(alpha, time.Hour))
	h.ready("alpha")
}

func TestACertificateInItsLastDaysWarns(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{Identity: member.Certificate})
	day := 24 * time.Hour
	cert, key := alpha.ClientCert(t, v1alpha1.MemberUser(h.local), nil, time.Now().Add(-300*day), time.Now().Add(6*day))
	h.input("alpha", map[string]string{v1alpha1.TLSCertKey: string(cert), v1alpha1.TLSKeyKey: remember(string(key))})
	h.tie("alpha", alpha.Server, alpha.CA(), watchedCert)
	message := h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionTrue, v1alpha1.ReasonExpiresSoon)
	if !strings.Contains(message, "less than 7 days") {
		t.Errorf("the message is %q", message)
	}
}
