package exec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/credential/exec"
)

// entry is the operator's file with one plugin of these arguments, variables and parameters, in JSON.
func entry(args, env, parameters string) []byte {
	return fmt.Appendf(nil, `{"providers":[{"name":"cloud","execConfig":{"apiVersion":"client.authentication.k8s.io/v1","command":"/opt/cloud","args":%s,"env":%s},
	  "profileSourcedCLIArgsPolicy":"Append","parameters":%s}]}`, args, env, parameters)
}

func TestParametersFillTheirPlaces(t *testing.T) {
	providers, err := exec.ParseProviders(entry(
		`["token","--cluster=$(cluster)","$(region)","$$(cluster)","$(free)"]`, `[{"name":"ROLE","value":"arn:$(region):x"}]`,
		`[{"name":"cluster"},{"name":"region","pattern":"eu-[a-z]+|us","default":"us"},{"name":"free","pattern":".*","default":""}]`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		values    map[string]string
		args      []string
		env, want string
	}{
		"a default stands where nothing is given": {values: map[string]string{"cluster": "prod"}, args: []string{"token", "--cluster=prod", "us", "$(cluster)", ""}, env: "arn:us:x"},
		"a value that looks like a place is none": {values: map[string]string{"cluster": "a", "region": "eu-north", "free": "$(cluster) -x"},
			args: []string{"token", "--cluster=a", "eu-north", "$(cluster)", "$(cluster) -x"}, env: "arn:eu-north:x"},
		"a parameter without a default is needed":  {values: nil, want: `parameter "cluster" is missing`},
		"one that nobody declared is refused":      {values: map[string]string{"cluster": "a", "command": "/bin/sh"}, want: `parameter "command" is not one that the entry declares`},
		"an option is no name":                     {values: map[string]string{"cluster": "--insecure"}, want: `parameter "cluster": its value does not match`},
		"neither are two words":                    {values: map[string]string{"cluster": "a b"}, want: "does not match"},
		"an empty value is none":                   {values: map[string]string{"cluster": ""}, want: "does not match"},
		"the whole value has to match":             {values: map[string]string{"cluster": "a", "region": "us-or-not"}, want: `parameter "region"`},
		"a line break is refused":                  {values: map[string]string{"cluster": "a", "free": "a\nb"}, want: "control characters"},
		"and so is what is longer than an address": {values: map[string]string{"cluster": strings.Repeat("a", 4096)}, want: "longer than"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plugin, err := providers[0].Fill(test.values)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("the error is %v, want one with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.args, plugin.Args); diff != "" || plugin.Env[0].Value != test.env || plugin.Command != "/opt/cloud" {
				t.Errorf("it runs %s %v with %v (-want +got)\n%s", plugin.Command, plugin.Args, plugin.Env, diff)
			}
		})
	}
	if got := providers[0].Args[1]; got != "--cluster=$(cluster)" {
		t.Errorf("the entry itself was changed: %s", got)
	}
}

func TestParametersAreDeclaredWell(t *testing.T) {
	tests := map[string]struct{ args, env, parameters, want string }{
		"a place that nobody fills":        {`["$(a)","$(b)"]`, `[]`, `[{"name":"a"}]`, `$(b) is none of its parameters`},
		"a parameter without a place":      {`["$(a)"]`, `[]`, `[{"name":"a"},{"name":"b"}]`, `parameter "b" has no place`},
		"two of a name":                    {`["$(a)"]`, `[]`, `[{"name":"a"},{"name":"a"}]`, `declared twice`},
		"a name that is none":              {`["x"]`, `[]`, `[{"name":"a)b"}]`, `letters, digits`},
		"a pattern that is none":           {`["$(a)"]`, `[]`, `[{"name":"a","pattern":"("}]`, `its pattern`},
		"a pattern that gets out":          {`["$(a)"]`, `[]`, `[{"name":"a","pattern":"x)|(?:.*"}]`, `its pattern`},
		"a default that does not match":    {`["$(a)"]`, `[]`, `[{"name":"a","default":"-x"}]`, `does not match`},
		"a field that is misspelt":         {`["$(a)"]`, `[]`, `[{"name":"a","regexp":".*"}]`, `unknown field`},
		"places without a parameter":       {`["$(a)"]`, `[]`, `[]`, ``},
		"a place in a variable is a place": {`[]`, `[{"name":"A","value":"$(a)"}]`, `[{"name":"a"}]`, ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := exec.ParseProviders(entry(test.args, test.env, test.parameters))
			if (test.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestAnInventoryFillsNoParameters(t *testing.T) {
	providers, err := exec.ParseProviders(entry(`["$(a)"]`, `[]`, `[{"name":"a","default":"x"}]`))
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := providers[0].For([]byte(`["$(a)"]`), nil)
	if diff := cmp.Diff([]string{"x", "$(a)"}, plugin.Args); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	providers[0].Parameters[0].Default = nil
	if _, err := providers[0].For(nil, nil); err == nil || !strings.Contains(err.Error(), `parameter "a" is missing`) {
		t.Errorf("the error is %v", err)
	}
}

func FuzzFill(f *testing.F) {
	providers, err := exec.ParseProviders(entry(`["--name=$(a)"]`, `[]`, `[{"name":"a"}]`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"prod", "-x", "$(a)", "a b", "\x00", "a\n--b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		plugin, err := providers[0].Fill(map[string]string{"a": value})
		if err != nil {
			return
		}
		if len(plugin.Args) != 1 || plugin.Args[0] != "--name="+value || strings.ContainsAny(value, " \x00\n\t$()") || strings.HasPrefix(value, "-") {
			t.Errorf("%q became %q", value, plugin.Args)
		}
	})
}
