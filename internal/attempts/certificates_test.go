package attempts_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/certificaterequest"
	"github.com/hawser-io/hawser/member"
)

// certificateConfig is the connection from edge in the hands of a thief.
func (w *world) certificateConfig() *rest.Config {
	config := rest.AnonymousClientConfig(w.there.AdminConfig())
	config.CertData, config.KeyData = w.credentials.certificate, w.credentials.key
	return config
}

// csrOf asks for an hour with a key of the thief's.
func csrOf(t *testing.T, name string, subject pkix.Name, change ...func(*x509.CertificateRequest)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.CertificateRequest{Subject: subject}
	for _, f := range change {
		f(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}}
	csr.Spec.SignerName, csr.Spec.Usages = certificatesv1.KubeAPIServerClientSignerName, []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}
	csr.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	csr.Spec.ExpirationSeconds = new(int32(3600))
	return csr
}

// approve writes what the approver writes.
func approve(t *testing.T, who client.Client, csr *certificatesv1.CertificateSigningRequest) error {
	t.Helper()
	csr = csr.DeepCopy()
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Stolen", Message: "by a thief",
	})
	return who.SubResource("approval").Update(t.Context(), csr)
}

// thiefOfCertificate asks for the next certificate to be somebody else's. One request at a time has the name that it may
// have, so one attempt comes after the other.
func thiefOfCertificate(t *testing.T, w *world) {
	thief, own, name := clientOf(t, w.certificateConfig()), pkix.Name{CommonName: v1alpha1.MemberUser(edge)}, member.RequestName(edge)
	for _, a := range []struct {
		name, reason string
		csr          *certificatesv1.CertificateSigningRequest
	}{
		{"for another connection", certificaterequest.ReasonSubject, csrOf(t, name, pkix.Name{CommonName: v1alpha1.MemberUser(hub)})},
		{"for a person", certificaterequest.ReasonSubject, csrOf(t, name, pkix.Name{CommonName: "kubernetes-admin"})},
		{"with a group", certificaterequest.ReasonSubject, csrOf(t, name, pkix.Name{CommonName: own.CommonName, Organization: []string{"platform-admins"}})},
		{"for a year", certificaterequest.ReasonLifetime, lasting(csrOf(t, name, own), new(int32(365*24*3600)))},
		{"for as long as the signer likes", certificaterequest.ReasonLifetime, lasting(csrOf(t, name, own), nil)},
		{"with the name of a host", certificaterequest.ReasonExtensions, csrOf(t, name, own, func(r *x509.CertificateRequest) { r.DNSNames = []string{"kubernetes.default.svc"} })},
		{"under the name of another's request", certificaterequest.ReasonName, csrOf(t, member.RequestName(hub), own)},
	} {
		t.Run(a.name, func(t *testing.T) {
			must(t, thief.Create(t.Context(), a.csr))
			fleettest.Eventually(t, patience, func() error {
				if err := w.remote.Get(t.Context(), client.ObjectKeyFromObject(a.csr), a.csr); err != nil {
					return err
				}
				if len(a.csr.Status.Conditions) == 0 {
					return errors.New("nobody has decided")
				}
				return nil
			})
			if c := a.csr.Status.Conditions[0]; c.Type != certificatesv1.CertificateDenied || c.Reason != a.reason {
				t.Errorf("it is %s: %s %s", c.Type, c.Reason, c.Message)
			}
			must(t, client.IgnoreNotFound(w.remote.Delete(t.Context(), a.csr)))
		})
	}
	t.Run("and approves the request", func(t *testing.T) {
		csr := csrOf(t, name, own)
		csr.Spec.SignerName = "example.com/nobody" // so that nobody else decides
		must(t, thief.Create(t.Context(), csr))
		must(t, refused(approve(t, thief, csr), "cannot update resource"))
		must(t, refused(approve(t, tokenOf(t, w.there, w.credentials.connection), csr), "cannot update resource"))
		must(t, w.remote.Delete(t.Context(), csr))
	})
}

func lasting(csr *certificatesv1.CertificateSigningRequest, seconds *int32) *certificatesv1.CertificateSigningRequest {
	csr.Spec.ExpirationSeconds = seconds
	return csr
}

// strangersRequest is one of somebody who may ask for certificates and is no connection. Nobody decides on it.
func strangersRequest(t *testing.T, w *world, user string, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	who := as(t, w.there, user, rbacv1.PolicyRule{APIGroups: []string{certificatesv1.GroupName}, Resources: []string{"certificatesigningrequests"}, Verbs: []string{"create"}})
	csr := csrOf(t, "of-"+user, subject)
	fleettest.Eventually(t, patience, func() error { return who.Create(t.Context(), csr) }) // the right may not have reached the authorizer yet
	return csr
}

// controllersApprove approves what somebody else asks for.
func controllersApprove(t *testing.T, w *world) {
	csr := strangersRequest(t, w, "carl", pkix.Name{CommonName: "kubernetes-admin"})
	must(t, refused(approve(t, tokenOf(t, w.there, w.credentials.controllers), csr), member.ApprovalsPolicy))
}

// notOfAConnection asks, by any other right, for the certificate of a connection.
func notOfAConnection(t *testing.T, w *world) {
	csr := strangersRequest(t, w, "cora", pkix.Name{CommonName: v1alpha1.MemberUser(edge)})
	// What the approver decides on comes after, and shows that it has passed this one by.
	seen := csrOf(t, member.RequestName("cut"), pkix.Name{CommonName: "nobody"})
	config := w.there.AdminConfig()
	config.Impersonate.UserName, config.Impersonate.Groups = v1alpha1.MemberUser("cut"), []string{"system:authenticated", "system:masters"}
	mustCreate(t, clientOf(t, config), seen)
	fleettest.Eventually(t, patience, func() error {
		if err := w.remote.Get(t.Context(), client.ObjectKeyFromObject(seen), seen); err != nil || len(seen.Status.Conditions) == 0 {
			return errors.Join(err, errors.New("nobody has decided"))
		}
		return nil
	})
	if err := w.remote.Get(t.Context(), client.ObjectKeyFromObject(csr), csr); err != nil || len(csr.Status.Conditions) > 0 {
		t.Errorf("it was decided on: %v (%v)", csr.Status.Conditions, err)
	}
}
