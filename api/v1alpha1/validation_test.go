package v1alpha1_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const server = "server: https://example.com:6443\n"

// Each rule of the CRD, tried on a real API server. An empty want is a spec that is accepted.
func TestValidation(t *testing.T) {
	c := withCRD(t, "remoteclusters")
	bearer := "auth: {type: bearerToken}\n"
	ca := base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\n"))
	cases := map[string]struct{ spec, want string }{
		"the least":                             {server + bearer, ""},
		"everything that a bearer token takes":  {server + "caData: " + ca + "\ntlsServerName: x\nproxyURL: http://proxy:3128\nqps: 5\nburst: 9\ntimeout: 5s\nclusterID: abc\ncapabilities: [connect, endpoints]\nallowedNamespaces: {}\nendpointCIDRs: [10.0.0.0/8, 'fd00::/8']\nauth: {type: bearerToken, bearerToken: {lifetime: 10m}}\n", ""},
		"mtls":                                  {server + "auth: {type: mtls}\n", ""},
		"mtls by CSR":                           {server + "auth: {type: mtls, mtls: {renew: csr, lifetime: 24h}}\n", ""},
		"kubeconfig":                            {"auth: {type: kubeconfig, kubeconfig: {secretRef: {name: kc}}}\n", ""},
		"inCluster":                             {"auth: {type: inCluster}\n", ""},
		"eks with its region":                   {server + "auth: {type: eks, eks: {region: eu-north-1}}\n", ""},
		"a path, as behind Rancher":             {"server: https://rancher.example.com/k8s/clusters/c-1\n" + bearer, ""},
		"no auth":                               {server, "spec.auth: Required value"},
		"no auth.type":                          {server + "auth: {}\n", "spec.auth.type: Required value"},
		"an unknown auth.type":                  {server + "auth: {type: magic}\n", `Unsupported value: "magic"`},
		"bearerToken without a server":          {bearer, "server is required for auth.type bearerToken, mtls, eks, oidc and exec"},
		"mtls without a server":                 {"auth: {type: mtls}\n", "server is required"},
		"eks without a server":                  {"auth: {type: eks, eks: {region: eu-north-1}}\n", "server is required"},
		"eks without a region":                  {server + "auth: {type: eks, eks: {}}\n", "spec.auth.eks.region: Required value"},
		"eks without its block":                 {server + "auth: {type: eks}\n", "auth.type eks and the block auth.eks need each other"},
		"a region that is none":                 {server + "auth: {type: eks, eks: {region: Europe}}\n", "spec.auth.eks.region"},
		"kubeconfig with a server":              {server + "auth: {type: kubeconfig, kubeconfig: {secretRef: {name: kc}}}\n", "must be absent for kubeconfig and inCluster"},
		"kubeconfig with a CA":                  {"caData: " + ca + "\nauth: {type: kubeconfig, kubeconfig: {secretRef: {name: kc}}}\n", "must be absent for auth.type kubeconfig"},
		"kubeconfig without its block":          {"auth: {type: kubeconfig}\n", "auth.type kubeconfig and the block auth.kubeconfig need each other"},
		"kubeconfig without a name":             {"auth: {type: kubeconfig, kubeconfig: {secretRef: {}}}\n", "secretRef.name"},
		"inCluster with a server":               {server + "auth: {type: inCluster}\n", "must be absent"},
		"a block of another type":               {server + "auth: {type: mtls, bearerToken: {}}\n", "auth.bearerToken is only for auth.type bearerToken"},
		"an mtls block on a token":              {server + "auth: {type: bearerToken, mtls: {}}\n", "auth.mtls is only for auth.type mtls"},
		"a kubeconfig block on a token":         {server + "auth: {type: bearerToken, kubeconfig: {secretRef: {name: kc}}}\n", "need each other"},
		"plain http":                            {"server: http://example.com\n" + bearer, "server must be https:// with a host"},
		"no host":                               {"server: 'https://'\n" + bearer, "server must be https:// with a host"},
		"only a port":                           {"server: 'https://:6443'\n" + bearer, "server must be https:// with a host"},
		"no URL":                                {"server: example.com\n" + bearer, "server must be https:// with a host"},
		"a user in the server":                  {"server: https://me@example.com\n" + bearer, "server must have no user"},
		"a query in the server":                 {"server: https://example.com?x=y\n" + bearer, "server must have no user, query or fragment"},
		"caData that is PEM itself":             {server + "caData: '-----BEGIN CERTIFICATE-----'\n" + bearer, "caData must be base64"},
		"caData with line breaks":               {server + "caData: \"YWFh\\nYWFh\"\n" + bearer, "caData must be base64"},
		"caData of an odd length":               {server + "caData: YWFhY\n" + bearer, "caData must be base64"},
		"a proxy that is a file":                {server + "proxyURL: file:///x\n" + bearer, "proxyURL must be"},
		"a token lifetime below ten minutes":    {server + "auth: {type: bearerToken, bearerToken: {lifetime: 9m59s}}\n", "lifetime must be at least 10m"},
		"a certificate lifetime below it":       {server + "auth: {type: mtls, mtls: {renew: csr, lifetime: 1m}}\n", "lifetime must be at least 10m"},
		"a lifetime for what is only watched":   {server + "auth: {type: mtls, mtls: {lifetime: 1h}}\n", "lifetime is only for renew: csr"},
		"a lifetime that is none":               {server + "auth: {type: bearerToken, bearerToken: {lifetime: soon}}\n", "lifetime"},
		"an unknown way to renew":               {server + "auth: {type: mtls, mtls: {renew: magic}}\n", `Unsupported value: "magic"`},
		"a timeout of nothing":                  {server + "timeout: 0s\n" + bearer, "timeout must be between 1s and 10m"},
		"a timeout of an hour":                  {server + "timeout: 1h\n" + bearer, "timeout must be between 1s and 10m"},
		"no requests at all":                    {server + "qps: -1\n" + bearer, "spec.qps"},
		"an unknown capability":                 {server + "capabilities: [root]\n" + bearer, `Unsupported value: "root"`},
		"a CIDR that is an address":             {server + "endpointCIDRs: [10.0.0.1]\n" + bearer, "endpointCIDRs must be CIDRs"},
		"names and a selector":                  {server + "allowedNamespaces: {names: [a], selector: {matchLabels: {a: b}}}\n" + bearer, "names or selector, not both"},
		"an empty selector":                     {server + "allowedNamespaces: {selector: {}}\n" + bearer, "an empty selector is refused"},
		"eks with everything":                   {server + "auth: {type: eks, eks: {clusterName: Prod_1, region: us-gov-west-1, accountID: '111122223333', identityRef: {name: a}, apiIdentityRef: {kind: AWSClusterRoleIdentity, name: b}}}\n", ""},
		"eks with an identity of another kind":  {server + "auth: {type: eks, eks: {region: eu-north-1, identityRef: {kind: Secret, name: a}}}\n", `Unsupported value: "Secret"`},
		"eks with an account that is none":      {server + "auth: {type: eks, eks: {region: eu-north-1, accountID: '1111'}}\n", "spec.auth.eks.accountID"},
		"requires with a wildcard verb":         {server + "requires: [{apiGroups: [apps], resources: [deployments], verbs: ['*']}]\n" + bearer, "no wildcards"},
		"requires with a wildcard resource":     {server + "requires: [{apiGroups: [apps], resources: ['*/scale'], verbs: [get]}]\n" + bearer, "no wildcards"},
		"requires that widens itself":           {server + "requires: [{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}]\n" + bearer, "never holds bind, escalate"},
		"requires that creates Secrets":         {server + "requires: [{apiGroups: [''], resources: [secrets], verbs: [create]}]\n" + bearer, "never creates Secrets"},
		"requires that mints tokens":            {server + "requires: [{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}]\n" + bearer, "mints tokens of other accounts"},
		"requires with what a controller needs": {server + "requires: [{apiGroups: [apps], resources: [deployments], verbs: [get, list, patch]}]\n" + bearer, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "RemoteCluster", "cluster", tc.spec, tc.want) })
	}
	for name, want := range map[string]string{"has.dots": "must be a DNS label", strings.Repeat("x", 51): "must be a DNS label", strings.Repeat("x", 50): ""} {
		t.Run("the name "+name, func(t *testing.T) { try(t, c, "RemoteCluster", name, server+bearer, want) })
	}
}

// objectOf is an object of a kind with the given spec; name may be namespace/name.
func objectOf(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	obj.SetAPIVersion(v1alpha1.GroupVersion.String())
	obj.SetKind(kind)
	if namespace, base, ok := strings.Cut(name, "/"); ok {
		obj.SetNamespace(namespace)
		name = base
	}
	obj.SetName(name)
	var fields map[string]any
	if err := yaml.UnmarshalStrict([]byte(spec), &fields); err != nil {
		t.Fatal(err)
	}
	obj.Object["spec"] = fields
	return obj
}

func try(t *testing.T, c client.Client, kind, name, spec, want string) {
	t.Helper()
	err := c.Create(t.Context(), objectOf(t, kind, name, spec), client.DryRunAll)
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want an error with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want one with %q", err, want)
	}
}

// withCRD installs a kind, and returns a client that knows it by name alone.
func withCRD(t *testing.T, plural string) client.Client {
	t.Helper()
	primary := fleettest.Use(t, "primary")
	primary.Install(t, "../../config/crd/hawser.io_"+plural+".yaml")
	c, err := client.New(primary.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
