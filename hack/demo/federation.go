package main

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
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hawser-io/hawser/fleettest"
)

// gated is the cluster that is entered through a gate.
const gated = "epsilon"

const gateLog = "gate.log"

// gateway is a gate that runs.
type gateway struct{ url, caFile string }

// startGate runs a gate in front of no one: beside the API server of the cluster, as its own account.
func (w *world) startGate(ctx context.Context, c *fleettest.Cluster) error {
	config, err := accountConfig(ctx, c, "hawser-gate")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(w.dir, "gate.kubeconfig")
	if err := writeKubeconfig(kubeconfig, config); err != nil {
		return err
	}
	cert, key := filepath.Join(w.dir, "gate.crt"), filepath.Join(w.dir, "gate.key")
	if err := writeCertificate(cert, key); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	probes, err := freeAddress()
	if err != nil {
		return err
	}
	err = w.start(gateLog, "gate", "--kubeconfig", kubeconfig, "--bind-address", address,
		"--tls-cert-file", cert, "--tls-private-key-file", key, "--metrics-bind-address", "0", "--health-probe-bind-address", probes)
	if err != nil {
		return err
	}
	w.gate = gateway{url: "https://" + address + "/token", caFile: cert}
	said("hawser gate runs in %s: it takes tokens of trusted issuers, and gives tokens of granted accounts", c.Name)
	return awaitOK(ctx, "http://"+probes+"/readyz")
}

// connectOIDC joins the cluster that believes the primary's own issuer.
func connectOIDC(ctx context.Context, w *world) error {
	fmt.Println()
	said("%s believes tokens of the primary's own issuer, which its gate exchanges: nothing is stored anywhere", gated)
	return w.hawser(ctx, onlyLast, "join", gated, "--remote-context", gated, "--capabilities", "endpoints", "--server", w.proxies[gated].URL,
		"--auth", "oidc", "--gate-url", w.gate.url, "--gate-ca-file", w.gate.caFile)
}

// What a namespace of the primary asks for, and what beta grants to it.
const shopHere = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: hawser-requests, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: hawser-requests}
subjects: [{kind: ServiceAccount, name: hawser, namespace: hawser}]
---
apiVersion: hawser.io/v1alpha1
kind: AccessRequest
metadata: {name: beta, namespace: shop}
spec:
  clusterRef: {name: beta}
  grant: shop
  output: {format: kubeconfig, secretName: beta-kubeconfig}
`

const shopThere = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: hawser.io/v1alpha1
kind: AccessGrant
metadata: {name: shop}
spec:
  subjects: [{localCluster: {name: primary, namespace: shop}}]
  clusterRoles: [view]
  namespaces: {names: [shop]}
`

// handOut lets a namespace of the primary into beta, and uses what it gets with kubectl.
func handOut(ctx context.Context, w *world, _ *result) error {
	heading("Hand out narrow access, in the form that kubectl reads")
	if err := w.clusters["beta"].Apply(ctx, []byte(shopThere)); err != nil {
		return err
	}
	allow := `{"spec":{"allowedNamespaces":{"names":["shop"]}}}`
	if err := w.kubectl(ctx, "", "--context", primary, "patch", "remotecluster", "beta", "--type", "merge", "-p", allow); err != nil {
		return err
	}
	if err := w.primary.Apply(ctx, []byte(shopHere)); err != nil {
		return err
	}
	said("beta has an AccessGrant for namespace shop of the primary, and shop has an AccessRequest for it")
	kubeconfig, err := w.awaitOutput(ctx)
	if err != nil {
		return err
	}
	if err := w.kubectl(ctx, kubeconfig, "get", "configmaps", "--namespace", "shop"); err != nil {
		return err
	}
	err = w.kubectl(ctx, kubeconfig, "get", "secrets", "--namespace", "shop")
	if err == nil {
		return errors.New("the grant is of role view, and Secrets could be read")
	}
	return nil
}

// awaitOutput waits for the Secret of the request and writes the kubeconfig in it to a file.
func (w *world) awaitOutput(ctx context.Context) (string, error) {
	file := filepath.Join(w.dir, "shop.kubeconfig")
	return file, await(ctx, "for the Secret of the AccessRequest", func(ctx context.Context) error {
		secret, err := w.primary.Client().CoreV1().Secrets("shop").Get(ctx, "beta-kubeconfig", getOptions)
		if err != nil {
			return err
		}
		return os.WriteFile(file, secret.Data["kubeconfig"], 0o600)
	})
}

// kubectl shows what kubectl prints. Without a kubeconfig it has that of the whole fleet.
func (w *world) kubectl(ctx context.Context, kubeconfig string, args ...string) error {
	fmt.Printf("\n  $ kubectl %s\n", strings.Join(args, " "))
	out, err := w.fleetDir.Kubectl(ctx, kubeconfig, args...)
	if err != nil {
		out = err.Error()
	}
	fmt.Println(indent(out))
	return err
}

// writeCertificate makes a serving certificate for this machine, which is its own CA.
func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the gate's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gate"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("making the gate's certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the gate's key: %w", err)
	}
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
	if err != nil {
		return fmt.Errorf("writing the gate's certificate: %w", err)
	}
	return nil
}

// freeAddress is an address of this machine that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// awaitOK waits until an address answers with 200.
func awaitOK(ctx context.Context, url string) error {
	return await(ctx, "for "+url, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
}
