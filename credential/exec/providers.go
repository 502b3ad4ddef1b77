package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// ArgsPolicy says what becomes of arguments that a cluster's entry in an inventory asks for.
type ArgsPolicy string

// EnvPolicy says what becomes of environment variables that a cluster's entry in an inventory asks for.
type EnvPolicy string

// The policies. An empty one is Ignore.
const (
	ArgsIgnore ArgsPolicy = "Ignore"
	// ArgsAppend puts them after those of the operator.
	ArgsAppend ArgsPolicy = "Append"

	EnvIgnore EnvPolicy = "Ignore"
	// EnvAppendIfNotExists adds what the operator does not set and the plugin does not inherit.
	EnvAppendIfNotExists EnvPolicy = "AppendIfNotExists"
	// EnvReplace does the same, and replaces what the operator sets.
	EnvReplace EnvPolicy = "Replace"
)

// Provider is a plugin that clusters may select by its name, with what they may add to its command line.
type Provider struct {
	Plugin
	ProfileArgs ArgsPolicy
	ProfileEnv  EnvPolicy
	// Parameters that are filled in where the entry is selected.
	Parameters []Parameter
	// Shared lets several clusters be shown one and the same credential: each of them could use it at the others.
	Shared bool
}

// maxFile bounds the operator's file.
const maxFile = 1 << 20

// providersFile is the JSON of --clusterprofile-provider-file (ex KEP-5339, multicluster.x-k8s.io), with
// inheritEnv, parameters and shared added.
type providersFile struct {
	Providers []struct {
		Name       string `json:"name"`
		ExecConfig *struct {
			APIVersion         string     `json:"apiVersion"`
			Command            string     `json:"command"`
			Args               []string   `json:"args"`
			Env                []Variable `json:"env"`
			InheritEnv         []string   `json:"inheritEnv"`
			InstallHint        string     `json:"installHint"`
			ProvideClusterInfo bool       `json:"provideClusterInfo"`
			InteractiveMode    string     `json:"interactiveMode"`
		} `json:"execConfig"`
		Args ArgsPolicy `json:"profileSourcedCLIArgsPolicy"`
		Env  EnvPolicy  `json:"profileSourcedEnvVarsPolicy"`

		Parameters []struct {
			Name    string  `json:"name"`
			Pattern string  `json:"pattern"`
			Default *string `json:"default"`
		} `json:"parameters"`
		Shared bool `json:"shared"`
	} `json:"providers"`
}

// ReadProviders reads the operator's file. One that its group or everybody may write is refused.
func ReadProviders(path string) ([]Provider, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the plugins: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the plugins: %w", err)
	}
	if err := refuseWritable(path, info); err != nil {
		return nil, fmt.Errorf("reading the plugins: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the plugins: %w", err)
	}
	providers, err := ParseProviders(text)
	if err != nil {
		return nil, fmt.Errorf("reading the plugins in %s: %w", path, err)
	}
	return providers, nil
}

// ParseProviders reads the text of the operator's file: JSON, in which a field that is not known is an error, and
// so is a policy, a version or a mode.
func ParseProviders(text []byte) ([]Provider, error) {
	if len(text) > maxFile {
		return nil, errors.New("it is larger than 1 MiB")
	}
	var file providersFile
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("it is no JSON of the kind: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows after the JSON")
	}
	var providers []Provider
	for i, entry := range file.Providers {
		name := entry.Name
		if entry.ExecConfig == nil {
			return nil, fmt.Errorf("providers[%d] %q has no execConfig", i, name)
		}
		e := entry.ExecConfig
		p := Provider{
			Plugin: Plugin{
				Name: name, APIVersion: e.APIVersion, Command: e.Command, Args: e.Args, Env: e.Env,
				InheritEnv: e.InheritEnv, ProvideClusterInfo: e.ProvideClusterInfo,
			},
			ProfileArgs: entry.Args, ProfileEnv: entry.Env, Shared: entry.Shared,
		}
		for _, parameter := range entry.Parameters {
			p.Parameters = append(p.Parameters, Parameter(parameter))
		}
		if e.InteractiveMode == "Always" {
			return nil, fmt.Errorf("providers[%d] %q: interactiveMode Always: there is nobody to ask", i, name)
		}
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("providers[%d] %q: %w", i, name, err)
		}
		if slices.ContainsFunc(providers, func(other Provider) bool { return other.Name == name }) {
			return nil, fmt.Errorf("providers[%d]: there are two of the name %q", i, name)
		}
		providers = append(providers, p)
	}
	return providers, nil
}

// Validate says what is wrong with a provider, without looking for its program.
func (p Provider) Validate() error {
	errs := []error{p.Plugin.Validate(), p.validateParameters()}
	if !slices.Contains([]ArgsPolicy{"", ArgsIgnore, ArgsAppend}, p.ProfileArgs) {
		errs = append(errs, fmt.Errorf("profileSourcedCLIArgsPolicy %q: there is only Append and Ignore", p.ProfileArgs))
	}
	if !slices.Contains([]EnvPolicy{"", EnvIgnore, EnvAppendIfNotExists, EnvReplace}, p.ProfileEnv) {
		errs = append(errs, fmt.Errorf("profileSourcedEnvVarsPolicy %q: there is only AppendIfNotExists, Replace and Ignore", p.ProfileEnv))
	}
	return errors.Join(errs...)
}

// For returns the plugin for one cluster: a copy, with what the policies let in of the arguments (a YAML list of
// strings) and environment variables (a YAML map of strings) that the cluster's entry asks for. Nil is nothing.
//
// Inherited variables are never taken from an entry, and those that make a program run other code are an error.
func (p Provider) For(args, env []byte) (Plugin, error) {
	plugin, err := p.Fill(nil) // only where a RemoteCluster selects it are there values
	if err != nil {
		return Plugin{}, err
	}
	if p.ProfileArgs == ArgsAppend && len(args) > 0 {
		var more []string
		if err := yaml.UnmarshalStrict(args, &more); err != nil {
			return Plugin{}, errors.New("the additional arguments are no list of strings")
		}
		plugin.Args = append(plugin.Args, more...)
	}
	if (p.ProfileEnv == EnvAppendIfNotExists || p.ProfileEnv == EnvReplace) && len(env) > 0 {
		var more map[string]string
		if err := yaml.UnmarshalStrict(env, &more); err != nil {
			return Plugin{}, errors.New("the additional environment variables are no map of strings")
		}
		if err := p.merge(&plugin, more); err != nil {
			return Plugin{}, err
		}
	}
	return plugin, plugin.Validate()
}

// merge adds variables in the order of their names, so that the same input always makes the same plugin.
func (p Provider) merge(plugin *Plugin, more map[string]string) error {
	inherited := slices.Concat(Inherited(), p.InheritEnv)
	for _, name := range slices.Sorted(maps.Keys(more)) {
		at := slices.IndexFunc(plugin.Env, func(v Variable) bool { return v.Name == name })
		switch {
		case runsCode(name):
			return fmt.Errorf("the additional environment variable %q could make the plugin run other code", name)
		case at >= 0 && p.ProfileEnv == EnvReplace:
			plugin.Env[at].Value = more[name]
		case at >= 0, slices.Contains(inherited, name):
		default:
			plugin.Env = append(plugin.Env, Variable{Name: name, Value: more[name]})
		}
	}
	return nil
}

// runsCode tells the variables by which the loader, a shell or an interpreter is made to run something else
// than the program that the operator chose.
func runsCode(name string) bool {
	upper := strings.ToUpper(name)
	for _, prefix := range []string{"LD_", "DYLD_", "BASH_", "PYTHON", "PERL", "RUBY", "NODE_", "JAVA_", "JDK_", "_JAVA_", "GIT_", "LUA_", "PHP"} {
		if strings.HasPrefix(upper, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"ENV", "IFS", "PS4", "SHELLOPTS", "GCONV_PATH", "GLIBC_TUNABLES", "CLASSPATH", "EDITOR", "PAGER", "BROWSER"}, upper)
}
