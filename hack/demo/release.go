package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/charttest"
	"github.com/hawser-io/hawser/internal/cli/install"
)

// remotes are the remote clusters, and the values of the chart's releases in them.
var remotes = []struct{ name, member, more string }{
	{"alpha", "", ""},
	{"beta", "identity: renewedCertificate, controllers: {enabled: true}", ""},
	{joined, "", ""}, // has no release
	{eksCluster, "iamGroup: hawser-members", ""},
	{gated, "controllers: {enabled: true}", "gate: {enabled: true, tls: {secretName: gate-tls}}"},
}

// joined is the cluster whose both sides `hawser join` makes.
const joined = "gamma"

// installRemotes releases the remote sides, and runs what they consist of as processes.
func (w *world) installRemotes(ctx context.Context) error {
	heading("Install the remote sides through the chart: who may come in, and what decides about it")
	for _, remote := range remotes {
		if remote.name == joined {
			continue
		}
		member := strings.TrimSuffix("enabled: true, localClusters: [primary], capabilities: [endpoints], "+remote.member, ", ")
		if remote.name == gated {
			member = remote.member // who comes in by the gate has no account of its own there
		}
		values := fmt.Sprintf("member: {%s}\n%s", member, remote.more)
		if err := w.release(ctx, "install", remote.name, values, "--create-namespace"); err != nil {
			return err
		}
		fmt.Println(indent(indent(strings.TrimSpace(values))))
	}
	fmt.Println()
	for _, name := range []string{"beta", gated} {
		if err := w.start(ctx, name, "hawser-member"); err != nil {
			return err
		}
		said("the member controllers run in %s: they approve renewals, make grants, and watch over trusted issuers", name)
	}
	return w.openGate(ctx)
}

// installPrimary releases the local side: a RemoteCluster, and where something is stored a Secret, for each cluster.
func (w *world) installPrimary(ctx context.Context) error {
	heading("Install the local side through the chart, and start its manager")
	if err := w.enter(ctx); err != nil {
		return err
	}
	w.values = map[string]any{
		"multiCluster":  map[string]any{"enabled": true, "clusterName": primary, "clusters": w.entries},
		"endpoints":     map[string]any{"enabled": true},
		"probeInterval": probeInterval.String(),
	}
	if err := w.releasePrimary(ctx, "install", "--create-namespace"); err != nil {
		return err
	}
	said("the values hold a server and a CA for each cluster, and for alpha and beta a first credential")
	if err := w.primary.Apply(ctx, []byte(w.cloud.identities())); err != nil {
		return err
	}
	return w.startManager(ctx)
}

// enter fills multiCluster.clusters of the primary's values.
func (w *world) enter(ctx context.Context) error {
	token, err := w.first(ctx, "alpha", install.Token)
	if err != nil {
		return err
	}
	cert, err := w.first(ctx, "beta", install.Certificate)
	if err != nil {
		return err
	}
	system, err := w.clusters[gated].Client().CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, getOptions)
	if err != nil {
		return fmt.Errorf("asking %s who it is: %w", gated, err)
	}
	w.entries = map[string]map[string]any{
		"alpha":    {"authType": "bearerToken", "bearerToken": token.Token.Reveal()},
		"beta":     {"authType": "mtls", "renew": "csr", "tlsCrt": string(cert.Certificate.CertPEM), "tlsKey": cert.Certificate.KeyPEM.Reveal()},
		eksCluster: {"authType": "eks", "region": region, "identityRef": map[string]any{"name": "target"}},
		gated: {"authType": "oidc", "clusterID": string(system.UID), "oidc": map[string]any{
			"tokenFrom": "serviceAccount", "exchange": map[string]any{"url": w.gate.url, "caData": w.gate.ca},
		}},
	}
	w.entries[federated]["endpointCIDRs"] = []string{w.clusters[federated].PodCIDR}
	for name, entry := range w.entries {
		entry["server"], entry["caData"], entry["capabilities"] = w.proxies[name].URL, string(w.clusters[name].CA()), []string{"endpoints"}
	}
	return nil
}

// releasePrimary installs or upgrades the local side by w.values.
func (w *world) releasePrimary(ctx context.Context, verb string, flags ...string) error {
	values, err := yaml.Marshal(w.values)
	if err != nil {
		return fmt.Errorf("encoding the values of %s: %w", primary, err)
	}
	return w.release(ctx, verb, primary, string(values), flags...)
}

// release runs Helm in a cluster, and shows how. The values lie in the demo's directory.
func (w *world) release(ctx context.Context, verb, cluster, values string, flags ...string) error {
	file := filepath.Join(w.dir, cluster+".yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		return fmt.Errorf("writing the values of %s: %w", cluster, err)
	}
	args := append([]string{verb, "hawser", "charts/hawser", "--kube-context", cluster, "--namespace", "hawser"}, flags...)
	fmt.Printf("\n  $ helm %s --values %s.yaml\n", strings.Join(args, " "), cluster)
	helm, err := charttest.Open(w.dir, w.fleetDir.Kubeconfig())
	if err != nil {
		return err
	}
	_, err = helm.Run(ctx, "", append(args, "--values", file)...)
	return err
}

// first obtains a first credential for a cluster, with all rights there.
func (w *world) first(ctx context.Context, cluster string, obtain func(context.Context, client.Client, string, time.Duration) (credential.Credential, error)) (credential.Credential, error) {
	admin, err := client.New(w.clusters[cluster].AdminConfig(), client.Options{})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("reaching %s: %w", cluster, err)
	}
	return obtain(ctx, admin, primary, 24*time.Hour) // Hawser renews it from then on
}
