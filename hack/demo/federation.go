package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	certutil "k8s.io/client-go/util/cert"
)

// gated is the cluster that is entered through a gate.
const gated = "epsilon"

// gateway is a gate that runs.
type gateway struct{ url, ca string }

// openGate lets a cluster believe the primary's own issuer, and runs its gate: in front of no one, beside the API server.
func (w *world) openGate(ctx context.Context) error {
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		return fmt.Errorf("making the gate's certificate: %w", err)
	}
	issuer, keys, err := w.issuer(ctx)
	if err != nil {
		return err
	}
	if err := w.clusters[gated].Apply(ctx, fmt.Appendf(nil, gateThere, cert, key, issuer, keys)); err != nil {
		return err
	}
	said("%s has a TrustedIssuer for the primary's own issuer, and an AccessGrant for its manager: nothing is stored anywhere", gated)
	address, err := freeAddress()
	if err != nil {
		return err
	}
	probes, err := freeAddress()
	if err != nil {
		return err
	}
	if err := w.start(ctx, gated, "hawser-gate", "--bind-address", address, "--health-probe-bind-address", probes); err != nil {
		return err
	}
	w.gate = gateway{url: "https://" + address + "/token", ca: string(cert)}
	said("the gate runs in %s: it takes tokens of trusted issuers, and gives tokens of granted accounts", gated)
	return awaitOK(ctx, "http://"+probes+"/readyz")
}

// issuer is what the primary says of its tokens: who issues them, and by which keys.
func (w *world) issuer(ctx context.Context) (url string, keys []byte, err error) {
	ask := w.primary.Client().Discovery().RESTClient()
	document, err := ask.Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err == nil {
		keys, err = ask.Get().AbsPath("/openid/v1/jwks").DoRaw(ctx)
	}
	var found struct{ Issuer string }
	if err == nil {
		err = json.Unmarshal(document, &found)
	}
	if err != nil {
		return "", nil, fmt.Errorf("asking the primary for its issuer: %w", err)
	}
	return found.Issuer, keys, nil
}

const gateThere = `apiVersion: v1
kind: Secret
metadata: {name: gate-tls, namespace: hawser}
type: kubernetes.io/tls
stringData: {tls.crt: %q, tls.key: %q}
---
apiVersion: hawser.io/v1alpha1
kind: TrustedIssuer
metadata: {name: primary}
spec: {url: %q, prefix: "primary:", jwks: %q}
---
apiVersion: hawser.io/v1alpha1
kind: AccessGrant
metadata: {name: primary-manager}
spec:
  subjects: [{issuer: {name: primary, subject: "system:serviceaccount:hawser:hawser"}}]
  clusterRoles: [hawser-connect, hawser-endpoints]
  wholeCluster: true
`

// What a namespace of the primary asks for, and what beta grants to it.
const shopHere = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
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
	if err := w.primary.Apply(ctx, []byte(shopHere)); err != nil {
		return err
	}
	said("beta has an AccessGrant for namespace shop of the primary, and shop has an AccessRequest for it; the values allow both")
	w.entries["beta"]["allowedNamespaces"] = map[string]any{"names": []string{"shop"}}
	w.values["accessRequests"] = map[string]any{"namespaces": []string{"shop"}}
	if err := w.releasePrimary(ctx, "upgrade"); err != nil {
		return err
	}
	said("the values still hold the first credentials; what was renewed lies elsewhere, and stays in use")
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
