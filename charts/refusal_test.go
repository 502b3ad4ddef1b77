package charts_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/internal/charttest"
)

// clusters are values of a local side named primary with the given lines under multiCluster.clusters.
func clusters(format string, args ...any) string {
	lines := strings.Split(fmt.Sprintf(format, args...), "\n")
	return "multiCluster:\n  enabled: true\n  clusterName: primary\n  clusters:\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestFaultyValuesAreRefusedWithOneLineEach(t *testing.T) {
	helm := charttest.New(t, nil)
	tests := []struct {
		name, values string
		want         []string
	}{
		// Who and where.
		{"nothing is switched on", "", []string{"nothing is switched on: set multiCluster.enabled on the local side, member.enabled on the remote side"}},
		{"the local cluster has no name", "multiCluster: {enabled: true}", []string{"multiCluster.clusterName is missing: remote clusters know the local one by it, a DNS label such as primary"}},
		{"the local name is no DNS label", "multiCluster: {enabled: true, clusterName: Primary_1}", []string{`multiCluster.clusterName "Primary_1" is no DNS label of at most 50 characters (a-z, 0-9 and -): namespaces and Secrets are named after it`}},
		{"the local name is too long", "multiCluster: {enabled: true, clusterName: " + strings.Repeat("a", 51) + "}", []string{`multiCluster.clusterName "` + strings.Repeat("a", 51) + `" is no DNS label of at most 50 characters (a-z, 0-9 and -): namespaces and Secrets are named after it`}},
		{"the name of a remote cluster is no DNS label", clusters("A.b: {authType: bearerToken, server: 'https://a', bearerToken: t}"), []string{`multiCluster.clusters: "A.b" is no DNS label of at most 50 characters (a-z, 0-9 and -): namespaces and Secrets are named after it`}},
		{"clusters without multiCluster.enabled", "member: {enabled: true, localClusters: [hub]}\nmultiCluster: {clusters: {a: {authType: bearerToken, server: 'https://a', bearerToken: t}}}", []string{"multiCluster.clusters has entries and multiCluster.enabled is false: nothing would connect to them"}},
		{"a budget that lets no pod go", clusters("{}") + "podDisruptionBudget: {maxUnavailable: 0}", []string{"podDisruptionBudget.maxUnavailable is 0: no node could be drained"}},
		{"a role that is none", clusters("{}") + "sa: {roleArn: 'arn:aws:iam::1:user/x'}", []string{`sa.roleArn "arn:aws:iam::1:user/x" is no ARN of a role: arn:aws:iam::<account>:role/<name>`}},
		{"a socket that is none", clusters("{}") + "spiffe: {endpointSocket: /run/x.sock}", []string{`spiffe.endpointSocket "/run/x.sock" is no socket in a directory: unix:///path/of/agent.sock`}},
		{"a manager's name without a namespace", clusters("{}") + "clusterProfiles: {managerName: x}", []string{"clusterProfiles.managerName is only for clusterProfiles.namespace"}},
		{"two tokens in one file", clusters("{}") + "projectedTokens: [{audience: a, file: x}, {audience: b, file: x}]", []string{"projectedTokens: two of them have the file x"}},

		// The default cluster.
		{"a default that is in no map", clusters("{}") + "  defaultCluster: b", []string{`multiCluster.defaultCluster "b" is not in multiCluster.clusters, and is not multiCluster.clusterName`}},
		{"two defaults", clusters(token+"\nb: {authType: bearerToken, server: 'https://b', bearerToken: t, isDefault: true}", ", isDefault: true"), []string{"multiCluster.clusters: a and b have isDefault: true, and there is one default cluster"}},
		{"two notations at odds", clusters(token+"\nb: {authType: bearerToken, server: 'https://b', bearerToken: t}", ", isDefault: true") + "  defaultCluster: b", []string{"multiCluster.defaultCluster is b and multiCluster.clusters.a.isDefault is true: keep one of the two"}},
		{"a default that says it is none", clusters(token, ", isDefault: false") + "  defaultCluster: a", []string{"multiCluster.defaultCluster is a and multiCluster.clusters.a.isDefault is false: keep one of the two"}},
		{"management only with itself as default", clusters(token, "") + "  managementOnly: true\n  defaultCluster: primary", []string{"multiCluster.managementOnly keeps primary out of the fleet, so that it cannot be the default cluster: name another one"}},

		// One cluster and what is around it.
		{"a remote cluster with the local name", clusters("primary: {authType: bearerToken, server: 'https://a', bearerToken: t}"), []string{"multiCluster.clusters.primary is the local cluster itself, which has authType inCluster: give the remote one another name"}},
		{"the local cluster, which is for management only", clusters("primary: {authType: inCluster}") + "  managementOnly: true", []string{"multiCluster.clusters.primary is the local cluster itself, which multiCluster.managementOnly keeps out of the fleet"}},
		{"an address for the local cluster", clusters("primary: {authType: inCluster, server: 'https://a'}"), []string{"multiCluster.clusters.primary.server does not belong to authType inCluster: it is for bearerToken, mtls, eks, oidc, exec"}},
		{"a file that is not projected", clusters(oidc, ", serviceAccount: {tokenFile: vault}") + "projectedTokens: [{audience: x, file: x}]", []string{`multiCluster.clusters.a.oidc.serviceAccount.tokenFile "vault" is no file of projectedTokens`}},

		// The remote side.
		{"a member for nobody", "member: {enabled: true}", []string{"member.localClusters is empty: name the local clusters that may connect (their multiCluster.clusterName); for the member controllers alone set member.controllers.enabled without member.enabled"}},
		{"local clusters without member.enabled", "member: {localClusters: [hub], controllers: {enabled: true}}", []string{"member.localClusters has entries and member.enabled is false: nobody could come in"}},
		{"a local cluster that is no DNS label", "member: {enabled: true, localClusters: [Hub]}", []string{`member.localClusters: "Hub" is no DNS label of at most 50 characters (a-z, 0-9 and -): namespaces and Secrets are named after it`}},
		{"a local cluster twice", "member: {enabled: true, localClusters: [hub, hub]}", []string{"member.localClusters has a name twice"}},
		{"somebody foreign who is nobody", "member: {enabled: true, localClusters: [hub], identity: foreign}", []string{"member.identity is foreign and nobody is named: give member.iamGroup, member.users or member.groups"}},
		{"certificates that nobody renews", "member: {enabled: true, localClusters: [hub], identity: renewedCertificate}", []string{"member.identity renewedCertificate needs member.controllers.enabled: they approve the renewals"}},
		{"a group of Kubernetes", "member: {enabled: true, localClusters: [hub], groups: ['system:masters']}", []string{`member: "system:masters" belongs to Kubernetes, as all users and groups with system: do`}},
		{"tokens that are too short", "member: {enabled: true, localClusters: [hub], maxTokenLifetime: 1m}", []string{`member.maxTokenLifetime "1m" is less than 10m, the least that an API server grants, or no duration such as 24h`}},
		{"certificates that are too short", "member: {controllers: {enabled: true, maxCertificateLifetime: 1d}}", []string{`member.controllers.maxCertificateLifetime "1d" is less than 10m, the least that an API server grants, or no duration such as 24h`}},
		{"a member's wildcard", "member: {enabled: true, localClusters: [hub], requires: [{apiGroups: [''], resources: ['*'], verbs: [get]}]}", []string{"member.requires[0] has a wildcard: name the groups, resources and verbs"}},
		{"a gate without the controllers", "gate: {enabled: true, tls: {secretName: x}}", []string{"gate.enabled needs member.controllers.enabled: the gate believes the keys that they fetch"}},
		{"a gate without a certificate", "member: {controllers: {enabled: true}}\ngate: {enabled: true}", []string{"gate.tls is empty: name a Secret by gate.tls.secretName, or an issuer of cert-manager by gate.tls.issuerRef; without TLS, whoever listens has the tokens"}},
		{"a gate with two certificates", "member: {controllers: {enabled: true}}\ngate: {enabled: true, tls: {secretName: x, issuerRef: {name: ca}, dnsNames: [z]}}", []string{"gate.tls has secretName and issuerRef: keep one of the two"}},
		{"a certificate for no name", "member: {controllers: {enabled: true}}\ngate: {enabled: true, tls: {issuerRef: {name: ca}}}", []string{"gate.tls.dnsNames is empty: a certificate needs the names by which the gate is reached"}},

		// What an API server would refuse when half of it is there.
		{"a quantity that is none", clusters("{}") + "resources: {limits: {memory: 1Gb}}", []string{`resources.limits.memory "1Gb" is no quantity such as 500m or 128Mi`}},
		{"a quantity of the member controllers", "member: {controllers: {enabled: true, resources: {requests: {cpu: half}}}}", []string{`member.controllers.resources.requests.cpu "half" is no quantity such as 500m or 128Mi`}},
		{"an interval that is none", clusters("{}") + "probeInterval: often", []string{`probeInterval "often" is no duration such as 30s`}},
		{"a patience that is none", clusters("{}") + "alerts: {for: a while}", []string{`alerts.for "a while" is no duration such as 30s`}},

		// Names of old, and all at once.
		{"values that were written for mirrord", "operator:\n  multiCluster: {enabled: true, clusterName: primary, sessionTtlSecs: 60, clusters: {a: {authType: eks}}}\n  multiClusterMember: true\n  multiClusterMemberIamGroup: g\n  port: 3000", []string{
			"operator.multiCluster.clusterName is called multiCluster.clusterName", "operator.multiCluster.clusters is called multiCluster.clusters", "operator.multiCluster.enabled is called multiCluster.enabled",
			"operator.multiCluster.sessionTtlSecs has no counterpart: leave it out",
			"operator.multiClusterMember is called member.enabled (with member.localClusters: the names of the local clusters)", "operator.multiClusterMemberIamGroup is called member.iamGroup", "operator.port has no counterpart: leave it out",
		}},
		{"names of old without their prefix", "member: {enabled: true, localClusters: [hub]}\nmultiClusterMemberIamGroup: g", []string{"multiClusterMemberIamGroup is called member.iamGroup"}},
		{"faults in several places", clusters("a: {authType: eks}\nb: {authType: mtls, server: 'https://b'}"), []string{
			"multiCluster.clusters.a.server is missing: authType eks needs the address of the API server, https://host[:port]",
			"multiCluster.clusters.a.region is missing: authType eks needs the region of the cluster, such as eu-north-1",
			"multiCluster.clusters.b.tlsCrt and tlsKey are missing: authType mtls needs a client certificate and its key, or existingSecret: true where you make Secret hawser-cluster-b yourself",
		}},

		// Shapes, of which the schema tells.
		{"a field that there is not", clusters(token, ", sever: x"), []string{"- at '/multiCluster/clusters/a': additional properties 'sever' not allowed"}},
		{"a section that there is not", clusters("{}") + "mutliCluster: {}", []string{"- at '': additional properties 'mutliCluster' not allowed"}},
		{"resources with a slip", clusters("{}") + "resources: {limit: {memory: 1Gi}}", []string{"- at '/resources': additional properties 'limit' not allowed"}},
		{"a port that there is not", clusters("{}") + "gate: {service: {port: 99999}}", []string{"- at '/gate/service/port': maximum: got 99,999, want 65,535"}},
		{"a word for a boolean", "multiCluster: {enabled: 'yes'}", []string{"- at '/multiCluster/enabled': got string, want boolean"}},
		{"an account that is a number", clusters(eks, ", accountID: 123456789012"), []string{"- at '/multiCluster/clusters/a/accountID': got number, want string"}},
		{"an unknown renewal", clusters(mtls, ", existingSecret: true, renew: never"), []string{"- at '/multiCluster/clusters/a/renew': value must be one of 'watch', 'csr'"}},
		{"an unknown identity", "member: {enabled: true, localClusters: [hub], identity: robot}", []string{"- at '/member/identity': value must be one of '', 'serviceAccount', 'certificate', 'renewedCertificate', 'foreign'"}},
		{"clusters as a list", "multiCluster: {enabled: true, clusterName: primary, clusters: [{name: a}]}", []string{"- at '/multiCluster/clusters': got array, want object"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := helm.Render(t, tt.values)
			if diff := cmp.Diff(tt.want, linesOf(t, err)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReleaseBelongsInNamespaceHawser(t *testing.T) {
	_, err := charttest.New(t, nil).Render(t, clusters("{}"), "--namespace", "elsewhere")
	want := []string{"the release is in namespace elsewhere: names on both sides are built on namespace hawser, so use --namespace hawser --create-namespace"}
	if diff := cmp.Diff(want, linesOf(t, err)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// A release may have any name: nothing that others go by is named after it.
func TestAReleaseMayHaveAnyName(t *testing.T) {
	helm := charttest.New(t, nil)
	render := func(name string) string {
		out, err := helm.Run(t.Context(), valuesOf(t, "source-local"), "install", name, charttest.Chart(t), "--dry-run=client", "--hide-secret", "--namespace", "hawser", "--values", "-")
		if err != nil {
			t.Fatal(err)
		}
		_, out, _ = strings.Cut(out, "---")
		return out
	}
	fleet := render("fleet")
	if !strings.Contains(fleet, "helm uninstall fleet --namespace hawser") || strings.Contains(fleet, "helm uninstall hawser") {
		t.Error("the notes name another release")
	}
	same := strings.NewReplacer("app.kubernetes.io/instance: fleet", "app.kubernetes.io/instance: hawser", "helm uninstall fleet", "helm uninstall hawser").Replace(fleet)
	if diff := cmp.Diff(render("hawser"), same); diff != "" {
		t.Errorf("another name changes more than the label:\n%s", diff)
	}
}

// The least version of Kubernetes is what the chart says, for helm and for its readers.
func TestTheLeastVersionOfKubernetes(t *testing.T) {
	helm := charttest.New(t, nil)
	for _, shape := range shapes {
		if _, err := helm.Render(t, valuesOf(t, shape), "--kube-version", "1.32.0"); err != nil {
			t.Errorf("%s on 1.32: %v", shape, err)
		}
	}
	_, err := helm.Render(t, valuesOf(t, "source-local"), "--kube-version", "1.31.9")
	if err == nil || !strings.Contains(err.Error(), "chart requires kubeVersion: >=1.32.0-0") {
		t.Errorf("on 1.31: %v", err)
	}
	text, err := os.ReadFile("../docs/install.md")
	if err != nil || !strings.Contains(string(text), "Kubernetes 1.32 or newer") {
		t.Errorf("docs/install.md says another version (%v)", err)
	}
}

// Whoever skips the schema meets the checks all the same.
func TestChecksDoNotRelyOnTheSchema(t *testing.T) {
	helm := charttest.New(t, nil)
	for values, want := range map[string]string{
		"member: {enabled: true, localClusters: [hub], identity: robot}": `member.identity "robot" is unknown: serviceAccount, certificate, renewedCertificate or foreign`,
		clusters(mtls, ", existingSecret: true, renew: never"):           `multiCluster.clusters.a.renew "never" is unknown: watch or csr`,
	} {
		_, err := helm.Render(t, values, "--skip-schema-validation")
		if diff := cmp.Diff([]string{want}, linesOf(t, err)); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	}
}

// linesOf are the lines of a refusal, none where nothing was refused.
func linesOf(t *testing.T, err error) []string {
	t.Helper()
	var failure *charttest.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return failure.Lines()
	}
	t.Fatal(err)
	return nil
}
