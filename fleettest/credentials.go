package fleettest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Token asks the API server for a token of a service account. The least lifetime that it gives is ten minutes;
// see SignToken for less. Without audiences the token is for the API server itself.
func (c *Cluster) Token(t testing.TB, namespace, account string, lifetime time.Duration, audiences ...string) string {
	t.Helper()
	seconds := int64(lifetime.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences}}
	answer, err := c.Client().CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("asking cluster %q for a token: %v", c.Name, err)
	}
	return answer.Status.Token
}

// TokenTimes are the times in a token. Zero times become: issued now, valid from the issue, for an hour.
type TokenTimes struct {
	IssuedAt, NotBefore, Expires time.Time
}

// SignToken makes a token of an existing service account that differs from a real one only by its times: it is
// signed with the cluster's own key and names the account's UID. claims, if not nil, replaces single claims.
func (c *Cluster) SignToken(t testing.TB, namespace, account string, times TokenTimes, claims map[string]any) string {
	t.Helper()
	sa, err := c.Client().CoreV1().ServiceAccounts(namespace).Get(t.Context(), account, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading service account of cluster %q: %v", c.Name, err)
	}
	if times.IssuedAt.IsZero() {
		times.IssuedAt = time.Now()
	}
	if times.NotBefore.IsZero() {
		times.NotBefore = times.IssuedAt
	}
	if times.Expires.IsZero() {
		times.Expires = times.NotBefore.Add(time.Hour)
	}
	all := map[string]any{
		"iss": c.Server,
		"aud": []string{c.Server},
		"sub": "system:serviceaccount:" + namespace + ":" + account,
		"jti": rand.Text(),
		"iat": times.IssuedAt.Unix(),
		"nbf": times.NotBefore.Unix(),
		"exp": times.Expires.Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"serviceaccount": map[string]any{"name": account, "uid": sa.UID},
		},
	}
	maps.Copy(all, claims)
	token, err := c.sign(all)
	if err != nil {
		t.Fatalf("signing token of cluster %q: %v", c.Name, err)
	}
	return token
}

func (c *Cluster) sign(claims map[string]any) (string, error) {
	signer, err := readKey(filepath.Join(c.dir, "sa.key"))
	if err != nil {
		return "", err
	}
	key := signer.(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encoding public key: %w", err)
	}
	id := sha256.Sum256(public) // this is how the API server names its keys
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": base64.RawURLEncoding.EncodeToString(id[:])})
	if err != nil {
		return "", fmt.Errorf("encoding header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// ClientCert makes a certificate that the API server believes between the two times, and its key, both PEM.
func (c *Cluster) ClientCert(t testing.TB, user string, groups []string, notBefore, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	pair, err := c.keyPair("client-ca")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := parseCA(pair)
	if err != nil {
		t.Fatal(err)
	}
	return ca.ClientCert(t, user, groups, notBefore, notAfter)
}

// A CA signs certificates.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// ForeignCA makes a CA that no cluster knows. Its name is that of a cluster's own client CA, so that only the
// signature tells them apart.
func ForeignCA(t testing.TB) *CA {
	t.Helper()
	ca, err := newCA("client-ca")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// PEM is the CA's own certificate.
func (ca *CA) PEM() []byte { return ca.pem }

// ClientCert makes a client certificate and its key, both PEM.
func (ca *CA) ClientCert(t testing.TB, user string, groups []string, notBefore, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	pair, err := ca.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		NotBefore:   notBefore,
		NotAfter:    notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pair.cert, pair.key
}

// servingCert makes a certificate for the loopback address.
func (ca *CA) servingCert(names ...string) (keyPair, error) {
	return ca.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    append([]string{"localhost"}, names...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

func (ca *CA) sign(template *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("generating key: %w", err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()))
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("signing certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding key: %w", err)
	}
	return keyPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func newCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parsing CA: %w", err)
	}
	return &CA{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

func parseCA(pair keyPair) (*CA, error) {
	block, _ := pem.Decode(pair.cert)
	if block == nil {
		return nil, fmt.Errorf("parsing CA: no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing CA: %w", err)
	}
	key, err := parseKey(pair.key)
	return &CA{cert: cert, key: key, pem: pair.cert}, err
}

func readKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	return parseKey(data)
}

func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("parsing key: no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing key: %w", err)
	}
	return key.(crypto.Signer), nil
}
