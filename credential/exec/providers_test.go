package exec_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/credential/exec"
)

// pair makes a client certificate and its key.
func pair(t *testing.T, end time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "plugin"}, NotBefore: end.Add(-48 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

const file = `{"providers":[
  {"name":"secretreader","execConfig":{"apiVersion":"client.authentication.k8s.io/v1","command":"secretreader","args":null,"env":null,"provideClusterInfo":true,"interactiveMode":"Never"}},
  {"name":"cloud","execConfig":{"apiVersion":"client.authentication.k8s.io/v1beta1","command":"/opt/plugins/cloud","args":["get-token"],"env":[{"name":"MODE","value":"quiet"}],"inheritEnv":["CLOUD_TOKEN_FILE"],"installHint":"ask Ann"},
   "profileSourcedCLIArgsPolicy":"Append","profileSourcedEnvVarsPolicy":"Replace"}
]}`

func TestTheOperatorsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clusterprofile-provider-file.json")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := exec.ReadProviders(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []exec.Provider{
		{Plugin: exec.Plugin{Name: "secretreader", APIVersion: exec.V1, Command: "secretreader", ProvideClusterInfo: true}},
		{Plugin: exec.Plugin{Name: "cloud", APIVersion: exec.V1beta1, Command: "/opt/plugins/cloud", Args: []string{"get-token"},
			Env: []exec.Variable{{Name: "MODE", Value: "quiet"}}, InheritEnv: []string{"CLOUD_TOKEN_FILE"}}, ProfileArgs: exec.ArgsAppend, ProfileEnv: exec.EnvReplace},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.ReadProviders(path); err == nil || !strings.Contains(err.Error(), "may be written by others than its owner") {
		t.Errorf("a file that everybody may write: %v", err)
	}
	if _, err := exec.ReadProviders(path + ".none"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestWhatTheOperatorsFileMayNotSay(t *testing.T) {
	good := `"apiVersion":"` + exec.V1 + `","command":"/bin/plugin"`
	provider := func(config, more string) string {
		return `{"providers":[{"name":"p","execConfig":{` + config + `}` + more + `}]}`
	}
	cases := map[string]struct{ text, want string }{
		"no JSON":                  {`providers: []`, "it is no JSON of the kind"},
		"two documents":            {`{"providers":[]}{"providers":[]}`, "something follows after the JSON"},
		"an unknown field":         {`{"plugins":[]}`, `unknown field "plugins"`},
		"a misspelt policy field":  {provider(good, `,"profileSourcedArgsPolicy":"Append"`), `unknown field "profileSourcedArgsPolicy"`},
		"no execConfig":            {`{"providers":[{"name":"p"}]}`, "has no execConfig"},
		"no name":                  {`{"providers":[{"execConfig":{` + good + `}}]}`, "name is empty"},
		"the same name twice":      {`{"providers":[{"name":"p","execConfig":{` + good + `}},{"name":"p","execConfig":{` + good + `}}]}`, `there are two of the name "p"`},
		"an unknown policy":        {provider(good, `,"profileSourcedCLIArgsPolicy":"Prepend"`), `profileSourcedCLIArgsPolicy "Prepend": there is only Append and Ignore`},
		"an unknown policy of env": {provider(good, `,"profileSourcedEnvVarsPolicy":"Append"`), `profileSourcedEnvVarsPolicy "Append"`},
		"an unknown version":       {provider(`"apiVersion":"client.authentication.k8s.io/v1alpha1","command":"p"`, ""), "there is only"},
		"no command":               {provider(`"apiVersion":"`+exec.V1+`"`, ""), "command is empty"},
		"a relative path":          {provider(`"apiVersion":"`+exec.V1+`","command":"./plugin"`, ""), "use an absolute path"},
		"a plugin that asks":       {provider(good+`,"interactiveMode":"Always"`, ""), "there is nobody to ask"},
		"a variable of no name":    {provider(good+`,"env":[{"name":"A=B","value":"x"}]`, ""), `environment variable "A=B"`},
		"what it is asked":         {provider(good+`,"env":[{"name":"KUBERNETES_EXEC_INFO","value":"x"}]`, ""), "it is how the plugin is told"},
		"a NUL byte":               {provider(good+`,"args":["a\u0000b"]`, ""), "NUL byte"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := exec.ParseProviders([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want …%s…", err, tc.want)
			}
		})
	}
}

func TestWhatAProfileMayAdd(t *testing.T) {
	provider := exec.Provider{Plugin: exec.Plugin{
		Name: "p", APIVersion: exec.V1, Command: "/bin/plugin", Args: []string{"get"},
		Env: []exec.Variable{{Name: "TENANT", Value: "ours"}}, InheritEnv: []string{"TOKEN_FILE"},
	}}
	env := "TENANT: theirs\nCLIENT: c\nBASE: b\nHOME: /theirs\nTOKEN_FILE: /theirs\n"
	cases := map[string]struct {
		args      exec.ArgsPolicy
		env       exec.EnvPolicy
		inArgs    string
		inEnv     string
		wantArgs  []string
		wantEnv   []exec.Variable
		wantError string
	}{
		"nothing by default":                {inArgs: `["-x"]`, inEnv: env, wantArgs: []string{"get"}, wantEnv: []exec.Variable{{Name: "TENANT", Value: "ours"}}},
		"what is ignored may be malformed":  {args: exec.ArgsIgnore, env: exec.EnvIgnore, inArgs: "{", inEnv: "[", wantArgs: []string{"get"}, wantEnv: []exec.Variable{{Name: "TENANT", Value: "ours"}}},
		"arguments are appended, all":       {args: exec.ArgsAppend, inArgs: "- get\n- a b\n", wantArgs: []string{"get", "get", "a b"}, wantEnv: []exec.Variable{{Name: "TENANT", Value: "ours"}}},
		"arguments that are no list":        {args: exec.ArgsAppend, inArgs: `{"a":1}`, wantError: "no list of strings"},
		"variables are added if not there":  {env: exec.EnvAppendIfNotExists, inEnv: env, wantArgs: []string{"get"}, wantEnv: []exec.Variable{{Name: "TENANT", Value: "ours"}, {Name: "BASE", Value: "b"}, {Name: "CLIENT", Value: "c"}}},
		"variables replace the operator's":  {env: exec.EnvReplace, inEnv: env, wantArgs: []string{"get"}, wantEnv: []exec.Variable{{Name: "TENANT", Value: "theirs"}, {Name: "BASE", Value: "b"}, {Name: "CLIENT", Value: "c"}}},
		"variables that are no map":         {env: exec.EnvReplace, inEnv: `["A"]`, wantError: "no map of strings"},
		"a variable of no name":             {env: exec.EnvReplace, inEnv: `{"A B":"c"}`, wantError: `environment variable "A B"`},
		"a variable that loads other code":  {env: exec.EnvReplace, inEnv: `{"LD_PRELOAD":"/tmp/x.so"}`, wantError: "run other code"},
		"a variable that is what we ask by": {env: exec.EnvAppendIfNotExists, inEnv: `{"KUBERNETES_EXEC_INFO":"{}"}`, wantError: "it is how the plugin is told"},
		"a NUL byte":                        {args: exec.ArgsAppend, inArgs: `["a\u0000b"]`, wantError: "NUL"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := provider
			p.ProfileArgs, p.ProfileEnv = tc.args, tc.env
			for range 2 { // once more: nothing of the first is left in the second
				got, err := p.For([]byte(tc.inArgs), []byte(tc.inEnv))
				if tc.wantError != "" {
					if err == nil || !strings.Contains(err.Error(), tc.wantError) {
						t.Errorf("got %v, want …%s…", err, tc.wantError)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.wantArgs, got.Args); diff != "" {
					t.Errorf("arguments (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tc.wantEnv, got.Env); diff != "" {
					t.Errorf("environment (-want +got):\n%s", diff)
				}
			}
		})
	}
	if diff := cmp.Diff([]string{"get"}, provider.Plugin.Args); diff != "" {
		t.Errorf("the operator's own changed:\n%s", diff)
	}
}

func TestFingerprintsTellPluginsApart(t *testing.T) {
	seen := map[string]int{}
	for i, p := range []exec.Plugin{
		{Command: "a"},
		{Command: "b"},
		{Command: "a", Args: []string{"x"}},
		{Command: "a", Args: []string{"x", "y"}},
		{Command: "a", Args: []string{"xy"}},
		{Command: "a", Env: []exec.Variable{{Name: "x", Value: "y"}}},
		{Command: "a", Env: []exec.Variable{{Name: "xy"}}},
		{Command: "a", InheritEnv: []string{"x"}},
		{Command: "a", ProvideClusterInfo: true},
		{Command: "a", APIVersion: exec.V1beta1},
	} {
		if other, ok := seen[p.Fingerprint()]; ok {
			t.Errorf("plugins %d and %d have the same", other, i)
		}
		seen[p.Fingerprint()] = i
	}
}

func FuzzParseProviders(f *testing.F) {
	f.Add([]byte(file), []byte(`["-x"]`), []byte("A: b"))
	f.Add([]byte(`{"providers":[{"name":"p","execConfig":{"apiVersion":"client.authentication.k8s.io/v1","command":"c"},"profileSourcedCLIArgsPolicy":"Append","profileSourcedEnvVarsPolicy":"Replace"}]}`), []byte("- a"), []byte(`{"LD_PRELOAD":"x"}`))
	f.Add([]byte(`{}`), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, text, args, env []byte) {
		providers, err := exec.ParseProviders(text)
		if err != nil {
			return
		}
		for _, p := range providers {
			if p.Name == "" || p.Command == "" {
				t.Errorf("accepted %+v", p)
			}
			plugin, err := p.For(args, env)
			if err != nil {
				continue
			}
			if plugin.Command != p.Command || len(plugin.Args) < len(p.Args) || plugin.Validate() != nil {
				t.Errorf("%+v became %+v", p, plugin)
			}
			if p.ProfileArgs != exec.ArgsAppend && len(plugin.Args) != len(p.Args) {
				t.Errorf("arguments were added without leave: %q", plugin.Args)
			}
		}
	})
}
