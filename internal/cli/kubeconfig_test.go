package cli

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// remotes are a RemoteCluster of each way in, and AccessRequests for some of them.
func remotes() []client.Object {
	rc := func(name string, auth v1alpha1.Auth) *v1alpha1.RemoteCluster {
		c := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		c.Spec.Server, c.Spec.CAData, c.Spec.TLSServerName = "https://"+name+":6443", base64.StdEncoding.EncodeToString([]byte("CA of "+name)), name+".internal"
		c.Spec.Auth, c.Spec.ClusterID = auth, "id-"+name
		return c
	}
	request := func(namespace, name, cluster string, format v1alpha1.OutputFormat) *v1alpha1.AccessRequest {
		r := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
		r.Spec.ClusterRef.Name, r.Spec.Output.Format = cluster, format
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue}}
		return r
	}
	return []client.Object{
		rc("prod", v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{Region: "eu-north-1", ClusterName: "production"}}),
		rc("alpha", v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}),
		rc("beta", v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}),
		rc("gamma", v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{
			TokenFrom: v1alpha1.TokenFromServiceAccount, Exchange: &v1alpha1.OIDCExchange{URL: "https://gate/token", CAData: "Q0E="},
		}}),
		rc("delta-oidc", v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}}),
		trusting(rc("trusting", v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}})),
		request("team-a", "alpha", "alpha", v1alpha1.OutputKubeconfig), request("team-a", "argo", "alpha", v1alpha1.OutputArgoCD),
		request("team-a", "beta", "beta", v1alpha1.OutputKubeconfig), request("team-b", "beta", "beta", v1alpha1.OutputClusterProfile),
	}
}

// trusting is a cluster whose API server has accepted a token of the local one's issuer.
func trusting(rc *v1alpha1.RemoteCluster) *v1alpha1.RemoteCluster {
	rc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Authenticated, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted}}
	return rc
}

// atHub is a kubeconfig whose current context is the local cluster.
func atHub(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	c := clientcmdapi.NewConfig()
	c.Clusters["hub"], c.AuthInfos["hub"] = &clientcmdapi.Cluster{Server: "https://hub"}, &clientcmdapi.AuthInfo{Token: "own"}
	c.Contexts["hub"] = &clientcmdapi.Context{Cluster: "hub", AuthInfo: "hub"}
	c.CurrentContext = "hub"
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	return file
}

func TestKubeconfigSaysHowToGetIn(t *testing.T) {
	hub := atHub(t)
	here := " --context hub --kubeconfig " + hub
	tests := map[string]struct {
		args      []string
		want      map[string]string // arguments of the plugin, by context
		err       string
		code      int
		extension string // of the cluster hawser-gamma
	}{
		"EKS by one's own identity": {
			args: []string{"prod"}, want: map[string]string{"prod": "eks --cluster-name production --region eu-north-1"},
		},
		"EKS by a chain of roles, of a profile": {
			args: []string{"prod", "--role-arn", "arn:1", "--role-arn", "arn:2", "--external-id", "x", "--profile", "ops"},
			want: map[string]string{"prod": "eks --cluster-name production --region eu-north-1 --role-arn arn:1 --role-arn arn:2 --external-id=x --profile=ops"},
		},
		"the only AccessRequest whose output is of use": {
			args: []string{"alpha"}, want: map[string]string{"alpha": "token --request team-a/alpha" + here},
		},
		"the AccessRequest that is named": {
			args: []string{"beta", "--request", "team-b/beta"}, want: map[string]string{"beta": "token --request team-b/beta" + here},
		},
		"several clusters, under names of one's own": {
			args: []string{"prod", "alpha", "--prefix", "x-"},
			want: map[string]string{"x-prod": "eks --cluster-name production --region eu-north-1", "x-alpha": "token --request team-a/alpha" + here},
		},
		"a service account through the gate, whose CA goes with the cluster": {
			args:      []string{"gamma", "--service-account", "team-a/deployer", "--grant", "deploy"},
			want:      map[string]string{"gamma": "oidc --service-account team-a/deployer --audience hawser:id-gamma --gate-url https://gate/token --from-config exchangeCAData --grant deploy" + here},
			extension: `{"exchangeCAData":"Q0E="}`,
		},
		"a service account that the API server itself knows": {
			args: []string{"trusting", "--service-account", "team-a/deployer"},
			want: map[string]string{"trusting": "oidc --service-account team-a/deployer --audience hawser:id-trusting" + here},
		},
		"a service account that nobody there knows": {
			args: []string{"delta-oidc", "--service-account", "team-a/deployer"}, code: exitFailed,
			err: "its API server has not accepted a token of this cluster's issuer (no manager has reported on it yet): give it what hawser trust render --context CONTEXT prints",
		},
		"a service account, where the connection has an account of its own": {
			args: []string{"alpha", "--service-account", "team-a/deployer"}, code: exitFailed,
			err: "its auth.type is bearerToken. Let it trust them (hawser join alpha --auth oidc --remote-context CONTEXT)",
		},
		"what cannot be made is missing, and said": {
			args: []string{"alpha", "beta", "delta", "gamma"}, code: exitFailed, want: map[string]string{"alpha": "token --request team-a/alpha" + here},
			err: `cluster "beta": there are 2 AccessRequests for it: name one with --request: team-a/beta, team-b/beta` + "\n" +
				`hawser: making a context for cluster "delta": there is no RemoteCluster "delta"`,
		},
		"an AccessRequest for a cluster that is not asked for": {
			args: []string{"alpha", "--request", "team-a/beta"}, code: exitUsage, err: `is for cluster "beta", which is not among those that are named`,
		},
		"an AccessRequest that there is not": {
			args: []string{"alpha", "--request", "team-a/none"}, code: exitFailed, err: `reading AccessRequest "team-a/none"`,
		},
		"a plugin in a relative folder": {
			args: []string{"alpha", "--command", "bin/hawser-auth"}, code: exitUsage, err: "use an absolute path",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, remotes(), append([]string{"hawser", "kubeconfig"}, test.args...)...)
			if got.Code != test.code || !strings.Contains(got.Err, test.err) || test.err == "" && got.Err != "" {
				t.Fatalf("exit code %d, %s", got.Code, got.Err)
			}
			if test.want == nil {
				return
			}
			config, err := clientcmd.Load([]byte(got.Out))
			if err != nil {
				t.Fatal(err)
			}
			args := map[string]string{}
			for name, context := range config.Contexts {
				exec, cluster := config.AuthInfos[context.AuthInfo].Exec, config.Clusters[context.Cluster]
				args[name] = strings.Join(exec.Args, " ")
				if exec.Command != "hawser-auth" || !exec.ProvideClusterInfo || string(cluster.CertificateAuthorityData) != "CA of "+strings.TrimPrefix(name, "x-") {
					t.Errorf("context %q: %+v at %+v", name, exec, cluster)
				}
			}
			if diff := cmp.Diff(test.want, args); diff != "" {
				t.Errorf("the plugin's arguments (-want +got)\n%s", diff)
			}
			if test.extension == "" {
				return
			}
			rest, err := clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{}).ClientConfig()
			if err != nil {
				t.Fatal(err)
			}
			if told, ok := rest.ExecProvider.Config.(*runtime.Unknown); !ok || string(told.Raw) != test.extension {
				t.Errorf("client-go tells the plugin %+v, want %s", rest.ExecProvider.Config, test.extension)
			}
		})
	}
}

func TestKubeconfigMerges(t *testing.T) {
	hub := atHub(t)
	read := func() *clientcmdapi.Config {
		c, err := clientcmd.LoadFromFile(hub)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	got := runWith(t, remotes(), "hawser", "kubeconfig", "alpha", "prod", "--merge")
	if c := read(); got.Code != exitOK || c.CurrentContext != "hub" || len(c.Contexts) != 3 || c.AuthInfos["hub"].Token != "own" {
		t.Fatalf("%+v: %v", got, c)
	}
	if info, err := os.Stat(hub); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
	edited := read()
	edited.Contexts["alpha"].Namespace = "web"
	edited.Contexts["mine"] = &clientcmdapi.Context{Cluster: "hub", AuthInfo: "hub"}
	if err := clientcmd.WriteToFile(*edited, hub); err != nil {
		t.Fatal(err)
	}
	got = runWith(t, remotes(), "hawser", "kubeconfig", "alpha", "--merge", "--use")
	if c := read(); got.Code != exitOK || c.CurrentContext != "alpha" || c.Contexts["alpha"].Namespace != "web" || c.Contexts["mine"] == nil {
		t.Fatalf("a second time: %+v: %v", got, c)
	}
	edited = read()
	edited.AuthInfos["hawser-prod"] = &clientcmdapi.AuthInfo{Token: "a person's"}
	if err := clientcmd.WriteToFile(*edited, hub); err != nil {
		t.Fatal(err)
	}
	got = runWith(t, remotes(), "hawser", "kubeconfig", "prod", "--merge")
	if c := read(); got.Code != exitFailed || c.AuthInfos["hawser-prod"].Token == "" {
		t.Errorf("what somebody else made is replaced: %+v", got)
	}
	wantText(t, "stderr", got.Err, `cluster "hawser-prod", context "prod", user "hawser-prod": choose other names with --prefix, or replace them with --force`)
	if got = runWith(t, remotes(), "hawser", "kubeconfig", "prod", "--merge", "--force"); got.Code != exitOK || read().AuthInfos["hawser-prod"].Exec == nil {
		t.Errorf("by force: %+v", got)
	}
	into := filepath.Join(t.TempDir(), "new")
	if got = runWith(t, remotes(), "hawser", "kubeconfig", "alpha", "--into", into); got.Code != exitOK {
		t.Errorf("into a new file: %+v", got)
	}
	if c, err := clientcmd.LoadFromFile(into); err != nil || len(c.Contexts) != 1 {
		t.Errorf("the new file: %v, %v", c, err)
	}
}

// TestALocalClusterOfSeveralFilesIsFoundByTheEnvironment: no single file reaches it.
func TestALocalClusterOfSeveralFilesIsFoundByTheEnvironment(t *testing.T) {
	hub := atHub(t)
	c, err := clientcmd.LoadFromFile(hub)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	only := clientcmdapi.NewConfig()
	only.AuthInfos["hub"] = c.AuthInfos["hub"]
	delete(c.AuthInfos, "hub")
	if err := clientcmd.WriteToFile(*c, hub); err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.WriteToFile(*only, users); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", hub+string(filepath.ListSeparator)+users)
	got := runWith(t, remotes(), "hawser", "kubeconfig", "alpha")
	config, err := clientcmd.Load([]byte(got.Out))
	if err != nil {
		t.Fatal(err)
	}
	if args := strings.Join(config.AuthInfos["hawser-alpha"].Exec.Args, " "); args != "token --request team-a/alpha --context hub" {
		t.Errorf("the plugin's arguments are %q", args)
	}
}
