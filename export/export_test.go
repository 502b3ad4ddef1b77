package export

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	reader "github.com/hawser-io/hawser/credential/kubeconfig"
)

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

// ca is no certificate, which matters to nobody here.
const ca = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"

func access() Access {
	return Access{
		Name: "deploy", Namespace: "shop", Target: "alpha-access", Cluster: "alpha", ClusterID: "0af6d5e4",
		Endpoint:  credential.Endpoint{Server: "https://alpha.example.com:6443", CAData: []byte(ca), TLSServerName: "kubernetes", ProxyURL: "http://proxy:3128"},
		Token:     credential.NewSecret(token),
		ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Facts:     Facts{Healthy: true, Reason: "Answering", Version: "v1.36.3", ClusterProperty: "alpha.example.com"},
	}
}

func mustMake(t *testing.T, o v1alpha1.AccessOutput) Output {
	t.Helper()
	out, err := Make(access(), o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keys(data map[string]credential.Secret) []string {
	var all []string
	for key := range data {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// shape is what a Secret looks like from outside.
type shape struct {
	Type                corev1.SecretType
	Labels, Annotations map[string]string
	Keys                []string
}

func TestSecretsHaveTheShapeThatTheirReadersDocument(t *testing.T) {
	cases := map[v1alpha1.OutputFormat]shape{
		v1alpha1.OutputKubeconfig: {Type: "Opaque", Keys: []string{"kubeconfig", "token"}},
		v1alpha1.OutputArgoCD:     {Type: "Opaque", Keys: []string{"config", "name", "server"}, Labels: map[string]string{"argocd.argoproj.io/secret-type": "cluster"}},
		v1alpha1.OutputFlux:       {Type: "Opaque", Keys: []string{"value"}},
		v1alpha1.OutputCalico:     {Type: "Opaque", Keys: []string{"datastoreType", "kubeconfig"}},
		v1alpha1.OutputIstio: {Type: "Opaque", Keys: []string{"alpha"}, Labels: map[string]string{"istio/multiCluster": "true"},
			Annotations: map[string]string{"networking.istio.io/cluster": "alpha"}},
		v1alpha1.OutputLinkerd: {Type: "mirror.linkerd.io/remote-kubeconfig", Keys: []string{"kubeconfig"}, Labels: map[string]string{"multicluster.linkerd.io/cluster-name": "alpha"},
			Annotations: map[string]string{"multicluster.linkerd.io/trust-domain": "cluster.local", "multicluster.linkerd.io/cluster-domain": "cluster.local"}},
		v1alpha1.OutputMulticlusterRuntime: {Type: "Opaque", Keys: []string{"kubeconfig"}, Labels: map[string]string{"sigs.k8s.io/multicluster-runtime-kubeconfig": "true"}},
		v1alpha1.OutputClusterProfile: {Type: "Opaque", Keys: []string{"Config", "token"},
			Labels: map[string]string{"x-k8s.io/cluster-profile": "alpha-access", "x-k8s.io/cluster-profile-namespace": "shop"}},
	}
	if len(cases)+1 != len(formats) { // all but template, which has tests of its own
		t.Errorf("%d formats are tested, of %d", len(cases), len(formats)-1)
	}
	for format, want := range cases {
		t.Run(string(format), func(t *testing.T) {
			out := mustMake(t, v1alpha1.AccessOutput{Format: format})
			got := shape{out.Type, out.Labels, out.Annotations, keys(out.Data)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if again := mustMake(t, v1alpha1.AccessOutput{Format: format}); !sameData(out, again) {
				t.Error("the same access made another output")
			}
		})
	}
}

func TestEveryKubeconfigIsOneThatWeReadOurselves(t *testing.T) {
	places := map[v1alpha1.OutputFormat]string{
		v1alpha1.OutputKubeconfig: "kubeconfig", v1alpha1.OutputFlux: "value", v1alpha1.OutputCalico: "kubeconfig", v1alpha1.OutputIstio: "alpha",
		v1alpha1.OutputLinkerd: "kubeconfig", v1alpha1.OutputMulticlusterRuntime: "kubeconfig", v1alpha1.OutputClusterProfile: "Config",
	}
	for format, key := range places {
		t.Run(string(format), func(t *testing.T) {
			text := mustMake(t, v1alpha1.AccessOutput{Format: format}).Data[key].Reveal()
			c, err := reader.Parse([]byte(text), "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(access().Endpoint, *c.Endpoint); diff != "" || c.Token.Reveal() != token {
				t.Errorf("it leads elsewhere: %s", diff)
			}
			config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text)) // the judge
			if err != nil {
				t.Fatal(err)
			}
			if config.Host != access().Endpoint.Server || config.BearerToken != token || string(config.CAData) != ca || config.ServerName != "kubernetes" {
				t.Errorf("client-go reads host %s, name %s", config.Host, config.ServerName)
			}
		})
	}
}

func TestAKubeconfigForAMountedSecretNamesTheTokenBesideIt(t *testing.T) {
	out := mustMake(t, v1alpha1.AccessOutput{Format: v1alpha1.OutputKubeconfig, TokenFile: "/var/run/alpha/"})
	text := out.Data["kubeconfig"].Reveal()
	if strings.Contains(text, token) {
		t.Error("the token is in the kubeconfig, too")
	}
	config, err := clientcmd.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := config.AuthInfos["alpha"].TokenFile; got != "/var/run/alpha/token" {
		t.Errorf("the token file is %q", got)
	}
	if got := out.Data["token"].Reveal(); got != token {
		t.Error("the token is not beside it")
	}
}

func TestArgoCDGetsTheConfigurationThatItDocuments(t *testing.T) {
	out := mustMake(t, v1alpha1.AccessOutput{Format: v1alpha1.OutputArgoCD})
	var got map[string]any
	if err := json.Unmarshal([]byte(out.Data["config"].Reveal()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"bearerToken": token, "proxyUrl": "http://proxy:3128",
		"tlsClientConfig": map[string]any{"insecure": false, "serverName": "kubernetes", "caData": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClFVSkQKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if out.Data["name"].Reveal() != "alpha" || out.Data["server"].Reveal() != "https://alpha.example.com:6443" {
		t.Error("the cluster is called otherwise, or is elsewhere")
	}
}

func TestAClusterProfileNamesTheSecretAndHoldsNone(t *testing.T) {
	out := mustMake(t, v1alpha1.AccessOutput{Format: v1alpha1.OutputClusterProfile})
	text, err := yaml.Marshal(out.Profile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), token) {
		t.Error("it holds the token")
	}
	got := map[string]string{}
	for _, p := range out.Profile.AccessProviders {
		for _, e := range p.Cluster.Extensions {
			got[p.Name+" "+e.Name] = string(e.Extension.Raw)
		}
	}
	want := map[string]string{
		"hawser client.authentication.k8s.io/exec":                          `{"clusterName":"alpha","request":"shop/deploy"}`,
		"hawser clusterprofiles.multicluster.x-k8s.io/exec/additional-args": `["--request","shop/deploy"]`,
		"secretreader client.authentication.k8s.io/exec":                    `{"clusterName":"alpha-access"}`,
		"kubeconfig-secretreader client.authentication.k8s.io/exec":         `{"key":"Config","name":"alpha-access","namespace":"shop"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	long := strings.Repeat("n", 64)
	cases := map[string]struct {
		change func(*Access)
		output v1alpha1.AccessOutput
		want   string
	}{
		"a format of a later version": {nil, v1alpha1.AccessOutput{Format: "gopher"}, `does not know format "gopher"`},
		"no token":                    {func(a *Access) { a.Token = credential.Secret{} }, v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}, "needs an address and a token"},
		"no address":                  {func(a *Access) { a.Endpoint.Server = "" }, v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}, "needs an address and a token"},
		"a ClusterProfile whose name fits no label":  {func(a *Access) { a.Target = long }, v1alpha1.AccessOutput{Format: v1alpha1.OutputClusterProfile}, "set secretName"},
		"a CA bundle that leaves no room for itself": {func(a *Access) { a.Endpoint.CAData = make([]byte, MaxSize) }, v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}, "larger than 1 MiB"},
		"a template that is missing":                 {nil, v1alpha1.AccessOutput{Format: v1alpha1.OutputTemplate}, "is missing"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := access()
			if c.change != nil {
				c.change(&a)
			}
			_, err := Make(a, c.output)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want …%s…", err, c.want)
			}
		})
	}
}

func sameData(a, b Output) bool {
	if len(a.Data) != len(b.Data) {
		return false
	}
	for key, value := range a.Data {
		if !value.Equal(b.Data[key]) {
			return false
		}
	}
	return true
}
