package mtls

import (
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

func TestTheFaultOfAPairIsNamed(t *testing.T) {
	block := func(kind string) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}) }
	cert, key := block("CERTIFICATE"), block("PRIVATE KEY")
	cases := map[string]struct {
		data map[string][]byte
		want string
	}{
		"nothing":              {nil, "neither tls.crt nor tls.key"},
		"only a key":           {map[string][]byte{"tls.key": key}, "no tls.crt: half a pair"},
		"only a certificate":   {map[string][]byte{"tls.crt": cert}, "no tls.key: half a pair"},
		"a certificate in DER": {map[string][]byte{"tls.crt": {0x30, 0x82}, "tls.key": key}, "tls.crt of Secret \"s\" is no PEM"},
		"a torn key":           {map[string][]byte{"tls.crt": cert, "tls.key": key[:20]}, "tls.key of Secret \"s\" is no PEM"},
		"a pair that is none":  {map[string][]byte{"tls.crt": cert, "tls.key": key}, "reading the certificate and its key"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parsePair("s", c.data)
			var in *credential.InputError
			if !errors.As(err, &in) || in.Reason != v1alpha1.ReasonInputInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want an InputInvalid that has %q", err, c.want)
			}
		})
	}
}

func FuzzParsePair(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte(""), []byte("x"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		c, err := parsePair("s", map[string][]byte{v1alpha1.TLSCertKey: cert, v1alpha1.TLSKeyKey: key})
		if err == nil && (c.Certificate == nil || c.Certificate.Leaf == nil || c.ExpiresAt.IsZero()) {
			t.Fatalf("accepted without a certificate: %+v", c)
		}
		if err != nil && len(key) > 16 && strings.Contains(err.Error(), string(key)) {
			t.Fatal("the error quotes the key")
		}
	})
}

func TestTheLifetimeDoesNotCreep(t *testing.T) {
	issued := time.Unix(1_000_000, 0)
	of := func(life time.Duration) credential.Credential {
		return credential.Credential{Token: credential.NewSecret("x"), IssuedAt: issued, ExpiresAt: issued.Add(life)}
	}
	cases := map[string]struct {
		source *Source
		life   time.Duration
		want   time.Duration
	}{
		"an hour, which the signer backdates by five minutes": {&Source{}, 65 * time.Minute, time.Hour},
		"a day, whose backdating is part of it":               {&Source{}, 24 * time.Hour, 24 * time.Hour},
		"less than an API server grants":                      {&Source{}, 5 * time.Minute, 10 * time.Minute},
		"a year, which the member controllers do not sign":    {&Source{}, 365 * 24 * time.Hour, 7 * 24 * time.Hour},
		"what the spec asks for":                              {&Source{Lifetime: 3 * time.Hour}, time.Hour, 3 * time.Hour},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.source.lifetime(of(c.life)); got != c.want {
				t.Errorf("asks for %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhetherTheMemberControllersRun(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	lease := func(holder string, age time.Duration) *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &metav1.MicroTime{Time: now.Add(-age)}}}
	}
	cases := map[string]struct {
		lease *coordinationv1.Lease
		want  bool
	}{
		"renewed a moment ago":               {lease("a", time.Second), true},
		"their clock is five minutes behind": {lease("a", 5*time.Minute), true},
		"their clock is five minutes ahead":  {lease("a", -5*time.Minute), true},
		"an hour ago":                        {lease("a", time.Hour), false},
		"given back":                         {lease("", time.Second), false},
		"never held":                         {&coordinationv1.Lease{}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ControllersAlive(c.lease, now); got != c.want {
				t.Errorf("alive: %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheOutcomeOfARequest(t *testing.T) {
	request := func(kind certificatesv1.RequestConditionType, cert string) *certificatesv1.CertificateSigningRequest {
		r := &certificatesv1.CertificateSigningRequest{}
		if kind != "" {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Status: corev1.ConditionTrue, Message: "why"}}
		}
		r.Status.Certificate = []byte(cert)
		return r
	}
	if chain, err := outcome(request("", "")); len(chain) > 0 || err != nil {
		t.Errorf("undecided: %q, %v", chain, err)
	}
	if chain, err := outcome(request(certificatesv1.CertificateApproved, "c")); string(chain) != "c" || err != nil {
		t.Errorf("signed: %q, %v", chain, err)
	}
	if _, err := outcome(request(certificatesv1.CertificateDenied, "")); err == nil || !strings.Contains(err.Error(), "denied: why") {
		t.Errorf("denied: %v", err)
	}
}
