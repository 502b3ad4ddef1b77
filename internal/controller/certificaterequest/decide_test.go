package certificaterequest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const testUser = "hawser:from:primary"

// request makes a PKCS#10 request in PEM. A nil change leaves it right.
func request(t testing.TB, key crypto.Signer, change func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: testUser}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func ecdsaKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// csrOf is a request that is approved as long as its PKCS#10 is.
func csrOf(pkcs10 []byte) *certificatesv1.CertificateSigningRequest {
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "hawser-from-primary"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:           pkcs10,
			SignerName:        certificatesv1.KubeAPIServerClientSignerName,
			Username:          testUser,
			Groups:            []string{"system:authenticated"},
			ExpirationSeconds: new(int32(3600)),
			Usages:            []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment},
		},
	}
}

func TestDecideOnTheRequest(t *testing.T) {
	pkcs10 := request(t, ecdsaKey(t, elliptic.P256()), nil)
	type csr = certificatesv1.CertificateSigningRequest
	has := func(kind certificatesv1.RequestConditionType) func(*csr) {
		return func(c *csr) {
			c.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind}}
		}
	}
	tests := []struct {
		name   string
		change func(*csr)
		want   Verdict
		reason string
	}{
		{"a renewal", func(*csr) {}, Approve, ReasonRenewal},
		{"client auth alone", func(c *csr) { c.Spec.Usages = c.Spec.Usages[:1] }, Approve, ReasonRenewal},
		{"the shortest lifetime", func(c *csr) { c.Spec.ExpirationSeconds = new(int32(600)) }, Approve, ReasonRenewal},
		{"the longest lifetime", func(c *csr) { c.Spec.ExpirationSeconds = new(int32(7 * 24 * 3600)) }, Approve, ReasonRenewal},

		{"another signer", func(c *csr) { c.Spec.SignerName = certificatesv1.KubeletServingSignerName }, Ignore, ""},
		{"somebody else's request, in our form", func(c *csr) { c.Spec.Username = "system:node:n1" }, Ignore, ""},
		{"somebody whose name contains ours", func(c *csr) { c.Spec.Username = "oidc:hawser:from:primary" }, Ignore, ""},
		{"an approved request", has(certificatesv1.CertificateApproved), Ignore, ""},
		{"a denied request", has(certificatesv1.CertificateDenied), Ignore, ""},
		{"a failed request", has(certificatesv1.CertificateFailed), Ignore, ""},
		{"an issued certificate", func(c *csr) { c.Status.Certificate = []byte("x") }, Ignore, ""},

		{"another local cluster asks with this one's name", func(c *csr) { c.Spec.Username = "hawser:from:alpha"; c.Name = "hawser-from-alpha" }, Deny, ReasonSubject},
		{"another request name", func(c *csr) { c.Name = "hawser-from-alpha" }, Deny, ReasonName},
		{"a user without a local cluster", func(c *csr) { c.Spec.Username = "hawser:from:"; c.Name = "hawser-from-" }, Deny, ReasonName},
		{"a user with two", func(c *csr) { c.Spec.Username = "hawser:from:a:b"; c.Name = "hawser-from-a:b" }, Deny, ReasonName},
		{"server auth beside client auth", func(c *csr) { c.Spec.Usages = append(c.Spec.Usages, certificatesv1.UsageServerAuth) }, Deny, ReasonUsages},
		{"certificate signing", func(c *csr) { c.Spec.Usages = append(c.Spec.Usages, certificatesv1.UsageCertSign) }, Deny, ReasonUsages},
		{"any usage", func(c *csr) { c.Spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageAny} }, Deny, ReasonUsages},
		{"no client auth", func(c *csr) { c.Spec.Usages = c.Spec.Usages[1:] }, Deny, ReasonUsages},
		{"no usage", func(c *csr) { c.Spec.Usages = nil }, Deny, ReasonUsages},
		{"no lifetime", func(c *csr) { c.Spec.ExpirationSeconds = nil }, Deny, ReasonLifetime},
		{"too short a lifetime", func(c *csr) { c.Spec.ExpirationSeconds = new(int32(599)) }, Deny, ReasonLifetime},
		{"too long a lifetime", func(c *csr) { c.Spec.ExpirationSeconds = new(int32(7*24*3600 + 1)) }, Deny, ReasonLifetime},
		{"a negative lifetime", func(c *csr) { c.Spec.ExpirationSeconds = new(int32(-3600)) }, Deny, ReasonLifetime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := csrOf(pkcs10)
			tt.change(c)
			checkDecision(t, Decide(c, DefaultMaxLifetime), tt.want, tt.reason)
		})
	}
}

func TestDecideOnThePKCS10(t *testing.T) {
	p256 := ecdsaKey(t, elliptic.P256())
	good := request(t, p256, nil)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*x509.CertificateRequest)) []byte { return request(t, p256, change) }
	subject := func(name pkix.Name) []byte {
		return with(func(r *x509.CertificateRequest) { r.Subject = name })
	}
	tests := []struct {
		name   string
		pkcs10 []byte
		want   Verdict
		reason string
	}{
		{"ECDSA P-256", good, Approve, ReasonRenewal},
		{"ECDSA P-384", request(t, ecdsaKey(t, elliptic.P384()), nil), Approve, ReasonRenewal},
		{"Ed25519", request(t, ed, nil), Approve, ReasonRenewal},
		{"RSA 2048", request(t, rsa2048, nil), Approve, ReasonRenewal},
		{"white space around the block", slices.Concat([]byte("\n"), good, []byte("\n\n")), Approve, ReasonRenewal},
		{"RSA 1024", request(t, rsa1024, nil), Deny, ReasonKey},
		{"ECDSA P-224", request(t, ecdsaKey(t, elliptic.P224()), nil), Deny, ReasonKey},

		{"a group", subject(pkix.Name{CommonName: testUser, Organization: []string{"system:masters"}}), Deny, ReasonSubject},
		{"our own group", subject(pkix.Name{CommonName: testUser, Organization: []string{"hawser-members"}}), Deny, ReasonSubject},
		{"a unit", subject(pkix.Name{CommonName: testUser, OrganizationalUnit: []string{"x"}}), Deny, ReasonSubject},
		{"a serial number", subject(pkix.Name{CommonName: testUser, SerialNumber: "1"}), Deny, ReasonSubject},
		{"another user's name", subject(pkix.Name{CommonName: "hawser:from:alpha"}), Deny, ReasonSubject},
		{"an administrator's name", subject(pkix.Name{CommonName: "kubernetes-admin"}), Deny, ReasonSubject},
		{"no name", subject(pkix.Name{}), Deny, ReasonSubject},
		{"two common names", subject(pkix.Name{CommonName: testUser, ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: oidCommonName, Value: "hawser:from:alpha"}, {Type: oidCommonName, Value: testUser},
		}}), Deny, ReasonSubject},
		{"the name under another attribute", subject(pkix.Name{Organization: []string{testUser}}), Deny, ReasonSubject},

		{"a DNS name", with(func(r *x509.CertificateRequest) { r.DNSNames = []string{"kubernetes"} }), Deny, ReasonExtensions},
		{"an address", with(func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }), Deny, ReasonExtensions},
		{"an e-mail address", with(func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} }), Deny, ReasonExtensions},
		{"a URI", with(func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "spiffe", Host: "a"}} }), Deny, ReasonExtensions},
		{"a CA", with(func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}
		}), Deny, ReasonExtensions},

		{"a signature by another key", resigned(t, good), Deny, ReasonSignature},
		{"nothing", nil, Deny, ReasonMalformed},
		{"no PEM", []byte("hello"), Deny, ReasonMalformed},
		{"a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), Deny, ReasonMalformed},
		{"rubbish in PEM", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("x")}), Deny, ReasonMalformed},
		{"two blocks", slices.Concat(good, good), Deny, ReasonMalformed},
		{"text before the block", slices.Concat([]byte("x\n"), good), Deny, ReasonMalformed},
		{"a PEM header", []byte(strings.Replace(string(good), "REQUEST-----\n", "REQUEST-----\na: b\n\n", 1)), Deny, ReasonMalformed},
		{"a request that is too big", slices.Concat(good, []byte(strings.Repeat("\n", maxRequestBytes))), Deny, ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkDecision(t, Decide(csrOf(tt.pkcs10), DefaultMaxLifetime), tt.want, tt.reason)
		})
	}
}

// resigned spoils the signature: the last bytes of the DER.
func resigned(t *testing.T, pkcs10 []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(pkcs10)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}

func checkDecision(t *testing.T, got Decision, want Verdict, reason string) {
	t.Helper()
	if got.Verdict != want || got.Reason != reason {
		t.Errorf("got %+v, want %s %s", got, want, reason)
	}
	if want != Ignore && got.Message == "" {
		t.Error("the decision has no message")
	}
}

// FuzzDecide: whatever comes, nothing panics, strangers are never touched, and what is approved
// keeps the promises, judged by other means than those of decide.go.
func FuzzDecide(f *testing.F) {
	key := ecdsaKey(f, elliptic.P256())
	good := request(f, key, nil)
	group := request(f, key, func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"system:masters"} })
	names := request(f, key, func(r *x509.CertificateRequest) { r.DNSNames = []string{"a"} })
	f.Add(good, testUser, "hawser-from-primary", int32(3600), "client auth")
	f.Add(good, testUser, "hawser-from-primary", int32(3600), "client auth,server auth")
	f.Add(good, testUser, "hawser-from-alpha", int32(3600), "client auth,digital signature")
	f.Add(good, "hawser:from:alpha", "hawser-from-alpha", int32(600), "client auth")
	f.Add(good, "system:admin", "hawser-from-primary", int32(0), "")
	f.Add(group, testUser, "hawser-from-primary", int32(3600), "client auth")
	f.Add(names, testUser, "hawser-from-primary", int32(3600), "client auth")
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----"), testUser, "hawser-from-primary", int32(-1), ",")
	f.Fuzz(func(t *testing.T, pkcs10 []byte, user, name string, seconds int32, usages string) {
		csr := csrOf(pkcs10)
		csr.Name, csr.Spec.Username, csr.Spec.ExpirationSeconds, csr.Spec.Usages = name, user, &seconds, nil
		for _, usage := range strings.Split(usages, ",") {
			csr.Spec.Usages = append(csr.Spec.Usages, certificatesv1.KeyUsage(usage))
		}
		d := Decide(csr, time.Hour)
		local, isOurs := strings.CutPrefix(user, "hawser:from:")
		if (d.Verdict == Ignore) == isOurs {
			t.Fatalf("user %q: %+v", user, d)
		}
		if len(d.Message) > 1000 {
			t.Errorf("the message has %d bytes", len(d.Message))
		}
		if d.Verdict != Approve {
			return
		}
		block, _ := pem.Decode(pkcs10)
		parsed, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Subject.ToRDNSequence().String(); len(parsed.Subject.Names) != 1 || got != "CN="+user {
			t.Errorf("approved the subject %s for %s", got, user)
		}
		if len(parsed.Extensions) > 0 || parsed.CheckSignature() != nil {
			t.Error("approved an extension or a bad signature")
		}
		if name != "hawser-from-"+local || seconds < 600 || seconds > 3600 || strings.Contains(usages, "server") {
			t.Errorf("approved %q for %d s with %s", name, seconds, usages)
		}
	})
}
