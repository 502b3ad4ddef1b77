package charts_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/internal/charttest"
)

// PEM blocks whose content the chart does not look at.
const (
	certificate = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIQ\n-----END CERTIFICATE-----\n"
	privateKey  = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBvQ\n-----END EC PRIVATE KEY-----\n"
)

func pem64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// Entries of multiCluster.clusters that lack nothing, with room for more.
const (
	token    = "a: {authType: bearerToken, server: 'https://a', bearerToken: t%s}"
	mtls     = "a: {authType: mtls, server: 'https://a'%s}"
	eks      = "a: {authType: eks, server: 'https://a', region: eu-north-1%s}"
	oidc     = "a: {authType: oidc, server: 'https://a', clusterID: c, oidc: {tokenFrom: serviceAccount%s}}"
	oidcWith = "a: {authType: oidc, server: 'https://a', oidc: {%s}}"
)

func TestFaultyClustersAreRefusedWithOneLineEach(t *testing.T) {
	tests := []struct {
		name, entry string
		want        []string
	}{
		// Any authType.
		{"no authType", entry("a: {server: 'https://a'}"), []string{"multiCluster.clusters.a.authType is missing: one of bearerToken, mtls, eks, oidc, exec, kubeconfig"}},
		{"nothing of a cluster but its name", entry("a: {}"), []string{"multiCluster.clusters.a.authType is missing: one of bearerToken, mtls, eks, oidc, exec, kubeconfig"}},
		{"an unknown authType", entry("a: {authType: aks, server: 'https://a'}"), []string{`multiCluster.clusters.a.authType "aks" is unknown: one of bearerToken, mtls, eks, oidc, exec, kubeconfig`}},
		{"inCluster for a remote cluster", entry("a: {authType: inCluster}"), []string{"multiCluster.clusters.a.authType inCluster is for the local cluster alone: one of bearerToken, mtls, eks, oidc, exec, kubeconfig"}},
		{"the namespace of somebody else", entry(token, ", namespace: mirrord"), []string{"multiCluster.clusters.a.namespace is mirrord: a connection has namespace hawser-from-primary in every remote cluster, so leave it out"}},
		{"a port that there is not", entry("a: {authType: bearerToken, server: 'https://[::1]:99999/x', bearerToken: t, proxyURL: 'http://p:0'}"), []string{
			"multiCluster.clusters.a.server has port 99999: there are 1 to 65535", "multiCluster.clusters.a.proxyURL has port 0: there are 1 to 65535",
		}},
		{"a gate at no port", entry(oidc, ", exchange: {url: 'https://gate:70000/token'}"), []string{"multiCluster.clusters.a.oidc.exchange.url has port 70000: there are 1 to 65535"}},
		{"a timeout that is too long", entry(token, ", timeout: 1h"), []string{`multiCluster.clusters.a.timeout "1h" is no duration between 1s and 10m`}},
		{"a timeout that is no duration", entry(token, ", timeout: soon"), []string{`multiCluster.clusters.a.timeout "soon" is no duration between 1s and 10m`}},
		{"an address that is no CIDR", entry(token, ", endpointCIDRs: [10.4.0.1]"), []string{`multiCluster.clusters.a.endpointCIDRs: "10.4.0.1" is no CIDR such as 10.4.0.0/16`}},
		{"names and a selector", entry(token, ", allowedNamespaces: {names: [x], selector: {matchLabels: {a: b}}}"), []string{"multiCluster.clusters.a.allowedNamespaces has names and selector: keep one of the two"}},
		{"an empty selector", entry(token, ", allowedNamespaces: {selector: {}}"), []string{"multiCluster.clusters.a.allowedNamespaces.selector is empty: leave allowedNamespaces out to allow none, or write {} to allow all"}},
		{"no names", entry(token, ", allowedNamespaces: {names: []}"), []string{"multiCluster.clusters.a.allowedNamespaces.names is empty: leave allowedNamespaces out to allow none, or write {} to allow all"}},
		{"an unknown capability", entry(token, ", capabilities: [everything]"), []string{`multiCluster.clusters.a.capabilities: "everything" is unknown: there is only connect and endpoints`}},
		{"a wildcard", entry(token, ", requires: [{apiGroups: ['*'], resources: [pods], verbs: [get]}]"), []string{"multiCluster.clusters.a.requires[0] has a wildcard: name the groups, resources and verbs"}},
		{"a rule without verbs", entry(token, ", requires: [{apiGroups: [''], resources: [pods], verbs: []}]"), []string{`multiCluster.clusters.a.requires[0] needs apiGroups ("" is the core group), resources and verbs`}},
		{"a verb that widens", entry(token, ", requires: [{apiGroups: [''], resources: [users], verbs: [impersonate]}]"), []string{"multiCluster.clusters.a.requires[0] has the verb impersonate: a connection never holds it"}},
		{"Secrets that a connection would create", entry(token, ", requires: [{apiGroups: [''], resources: [secrets], verbs: [create]}]"), []string{"multiCluster.clusters.a.requires[0]: a connection never creates Secrets or mints tokens of other accounts"}},

		// Addresses.
		{"a token without a server", entry("a: {authType: bearerToken, bearerToken: t}"), []string{"multiCluster.clusters.a.server is missing: authType bearerToken needs the address of the API server, https://host[:port]"}},
		{"eks without a server", entry("a: {authType: eks, region: eu-north-1}"), []string{"multiCluster.clusters.a.server is missing: authType eks needs the address of the API server, https://host[:port]"}},
		{"mtls without a server", entry("a: {authType: mtls, existingSecret: true}"), []string{"multiCluster.clusters.a.server is missing: authType mtls needs the address of the API server, https://host[:port]"}},
		{"a server without TLS", entry("a: {authType: bearerToken, server: 'http://a', bearerToken: t}"), []string{`multiCluster.clusters.a.server "http://a" is no https:// address with a host, and without user, query and fragment`}},
		{"a server with a user", entry("a: {authType: bearerToken, server: 'https://me@a', bearerToken: t}"), []string{`multiCluster.clusters.a.server "https://me@a" is no https:// address with a host, and without user, query and fragment`}},
		{"a proxy that is none", entry(token, ", proxyURL: 'ftp://p'"), []string{"multiCluster.clusters.a.proxyURL is no http:// or socks5:// address with a host"}},
		{"caData that is no PEM", entry(token, ", caData: nonsense"), []string{"multiCluster.clusters.a.caData is neither PEM nor base64 of it: it begins with -----BEGIN CERTIFICATE-----, or is what base64 -w0 ca.crt prints"}},
		{"caData that is base64 of something else", entry(token, ", caData: "+pem64("hello")), []string{"multiCluster.clusters.a.caData is neither PEM nor base64 of it: it begins with -----BEGIN CERTIFICATE-----, or is what base64 -w0 ca.crt prints"}},
		{"caData that is cut off", entry(token, ", caData: "+pem64(certificate[:40])), []string{"multiCluster.clusters.a.caData is PEM of something else than a certificate"}},
		{"caData with a key", entry(token, ", caData: "+pem64(certificate+privateKey)), []string{"multiCluster.clusters.a.caData holds a private key: give the certificate alone"}},

		// bearerToken.
		{"no token", entry("a: {authType: bearerToken, server: 'https://a'}"), []string{"multiCluster.clusters.a.bearerToken is missing: authType bearerToken needs a first token, or existingSecret: true where you make Secret hawser-cluster-a yourself"}},
		{"two tokens", entry(token, ", existingSecret: true"), []string{"multiCluster.clusters.a has existingSecret and bearerToken: keep one of the two"}},
		{"a token that is two", entry("a: {authType: bearerToken, server: 'https://a', bearerToken: 's3cret of many words'}"), []string{"multiCluster.clusters.a.bearerToken has white space within: it is no token"}},
		{"a lifetime that no server grants", entry(token, ", lifetime: 5m"), []string{`multiCluster.clusters.a.lifetime "5m" is less than 10m, the least that an API server grants, or no duration such as 24h`}},
		{"a token's region", entry(token, ", region: eu-north-1"), []string{"multiCluster.clusters.a.region does not belong to authType bearerToken: it is for eks"}},
		{"a token and a certificate", entry(token, ", tlsCrt: x, tlsKey: z"), []string{
			"multiCluster.clusters.a.tlsCrt does not belong to authType bearerToken: it is for mtls", "multiCluster.clusters.a.tlsKey does not belong to authType bearerToken: it is for mtls",
		}},

		// mtls.
		{"no certificate", entry(mtls, ""), []string{"multiCluster.clusters.a.tlsCrt and tlsKey are missing: authType mtls needs a client certificate and its key, or existingSecret: true where you make Secret hawser-cluster-a yourself"}},
		{"a certificate without its key", entry(mtls, ", tlsCrt: "+pem64(certificate)), []string{"multiCluster.clusters.a.tlsKey is missing: tlsCrt is one half of a pair"}},
		{"a key without its certificate", entry(mtls, ", tlsKey: "+pem64(privateKey)), []string{"multiCluster.clusters.a.tlsCrt is missing: tlsKey is one half of a pair"}},
		{"a pair the wrong way round", entry(mtls, ", tlsCrt: "+pem64(privateKey)+", tlsKey: "+pem64(certificate)), []string{
			"multiCluster.clusters.a.tlsCrt holds a private key: give the certificate alone", "multiCluster.clusters.a.tlsKey is PEM of something else than a private key",
		}},
		{"a key that is encrypted", entry(mtls, ", tlsCrt: "+pem64(certificate)+", tlsKey: "+pem64(strings.ReplaceAll(privateKey, "EC PRIVATE", "ENCRYPTED PRIVATE"))), []string{"multiCluster.clusters.a.tlsKey is encrypted: there is nobody to ask for the passphrase"}},
		{"a certificate and a Secret", entry(mtls, ", existingSecret: true, tlsCrt: "+pem64(certificate)), []string{"multiCluster.clusters.a has existingSecret and tlsCrt or tlsKey: keep one of the two"}},
		{"a lifetime that nobody asks for", entry(mtls, ", existingSecret: true, lifetime: 24h"), []string{"multiCluster.clusters.a.lifetime is only for renew: csr"}},
		{"a certificate and a token", entry(mtls, ", existingSecret: true, bearerToken: t"), []string{"multiCluster.clusters.a.bearerToken does not belong to authType mtls: it is for bearerToken"}},

		// eks.
		{"no region", entry("a: {authType: eks, server: 'https://a'}"), []string{"multiCluster.clusters.a.region is missing: authType eks needs the region of the cluster, such as eu-north-1"}},
		{"a region that is none", entry("a: {authType: eks, server: 'https://a', region: Stockholm}"), []string{`multiCluster.clusters.a.region "Stockholm" is no region of AWS such as eu-north-1`}},
		{"a token for eks", entry(eks, ", bearerToken: t"), []string{"multiCluster.clusters.a.bearerToken does not belong to authType eks: it is for bearerToken"}},
		{"a name that EKS does not give", entry(eks, ", clusterName: a.b"), []string{`multiCluster.clusters.a.clusterName "a.b" is no name that EKS gives`}},
		{"an account that is none", entry(eks, ", accountID: '123'"), []string{`multiCluster.clusters.a.accountID "123" is no account of AWS: twelve digits, in quotes`}},
		{"a user in place of a role", entry(eks, ", roleArn: 'arn:aws:iam::123456789012:user/x'"), []string{`multiCluster.clusters.a.roleArn "arn:aws:iam::123456789012:user/x" is no ARN of a role: arn:aws:iam::<account>:role/<name>`}},
		{"two identities", entry(eks, ", roleArn: 'arn:aws:iam::123456789012:role/x', identityRef: {name: z}"), []string{"multiCluster.clusters.a has roleArn and identityRef: keep one of the two"}},

		// oidc.
		{"nothing about the token", entry("a: {authType: oidc, server: 'https://a', clusterID: c}"), []string{"multiCluster.clusters.a.oidc is missing: authType oidc needs tokenFrom, one of serviceAccount, azure, google, spiffe"}},
		{"nothing to make an audience of", entry(oidcWith, "tokenFrom: spiffe"), []string{"multiCluster.clusters.a: authType oidc needs clusterID, which the audience is made of (hawser:<clusterID>), or oidc.audience"}},
		{"an audience of somebody else", entry(oidc, ", audience: vault"), []string{`multiCluster.clusters.a.oidc.audience "vault" does not begin with hawser:, which it has to unless oidc.serviceAccount.tokenFile names a token that the pod was given`}},
		{"a file that is in no volume", entry(oidc, ", serviceAccount: {tokenFile: vault}"), []string{`multiCluster.clusters.a.oidc.serviceAccount.tokenFile "vault" is in no volume: add it to projectedTokens`}},
		{"an account that is nobody", entry(oidc, ", serviceAccount: {}"), []string{"multiCluster.clusters.a.oidc.serviceAccount takes name or tokenFile, one of the two"}},
		{"azure without its settings", entry(oidcWith, "tokenFrom: azure"), []string{"multiCluster.clusters.a.oidc.azure is missing: tokenFrom azure needs it"}},
		{"google in azure's settings", entry(oidcWith, "tokenFrom: azure, azure: {scope: s}, google: {provider: p}"), []string{"multiCluster.clusters.a.oidc.google does not belong to tokenFrom azure"}},
		{"a gate without TLS", entry(oidc, ", exchange: {url: 'http://gate'}"), []string{`multiCluster.clusters.a.oidc.exchange.url "http://gate" is no https:// address with a host, and without user, query and fragment`}},
		{"a gate whose CA is none", entry(oidc, ", exchange: {url: 'https://gate', caData: x}"), []string{"multiCluster.clusters.a.oidc.exchange.caData is neither PEM nor base64 of it: it begins with -----BEGIN CERTIFICATE-----, or is what base64 -w0 ca.crt prints"}},

		// exec and kubeconfig.
		{"no plugin", entry("a: {authType: exec, server: 'https://a'}"), []string{"multiCluster.clusters.a.exec is missing: authType exec needs the provider, one of execProviders"}},
		{"an unknown plugin", entry("a: {authType: exec, server: 'https://a', exec: {provider: x}}"), []string{`multiCluster.clusters.a.exec.provider "x" is not in execProviders`}},
		{"no kubeconfig", entry("a: {authType: kubeconfig}"), []string{"multiCluster.clusters.a.kubeconfig is missing: authType kubeconfig needs its text, or secretRef: a Secret that holds one, or existingSecret: true where you make Secret hawser-cluster-a yourself"}},
		{"two kubeconfigs", entry("a: {authType: kubeconfig, existingSecret: true, kubeconfig: {secretRef: {name: x}}}"), []string{"multiCluster.clusters.a has more than one of kubeconfig.text, kubeconfig.secretRef and existingSecret: keep one"}},
		{"a kubeconfig that is none", entry("a: {authType: kubeconfig, kubeconfig: {text: hello}}"), []string{"multiCluster.clusters.a.kubeconfig.text is no kubeconfig: it has no clusters"}},
		{"a server beside a kubeconfig", entry("a: {authType: kubeconfig, server: 'https://a', existingSecret: true}"), []string{"multiCluster.clusters.a.server does not belong to authType kubeconfig: it is for bearerToken, mtls, eks, oidc, exec"}},
	}
	// All that is wrong is said at once, so that one run of Helm is enough. Each entry has a name of its own.
	nameOf := func(i int) string { return fmt.Sprintf("case-%03d", i) }
	var entries []string
	for i, tt := range tests {
		entries = append(entries, strings.Replace(tt.entry, "a:", nameOf(i)+":", 1))
	}
	_, err := charttest.New(t, nil).Render(t, clusters("%s", strings.Join(entries, "\n")))
	lines := linesOf(t, err)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, line := range lines {
				if strings.HasPrefix(line, "multiCluster.clusters."+nameOf(i)) {
					got = append(got, strings.ReplaceAll(line, nameOf(i), "a"))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Error("a message shows a credential")
	}
}

// entry is a cluster of the name a.
func entry(format string, args ...any) string { return fmt.Sprintf(format, args...) }
