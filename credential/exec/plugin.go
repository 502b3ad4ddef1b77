package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/credential"
)

// The versions of the protocol that are spoken. What a plugin prints must be of the one it was asked in.
const (
	V1      = "client.authentication.k8s.io/v1"
	V1beta1 = "client.authentication.k8s.io/v1beta1"
)

// infoVariable is where a plugin reads what it is asked.
const infoVariable = "KUBERNETES_EXEC_INFO"

// Plugin is what the operator's configuration fixes of a program that prints credentials.
type Plugin struct {
	// Name is shown to people.
	Name string
	// APIVersion of the protocol: V1 or V1beta1.
	APIVersion string
	// Command is an absolute path, or a name that is looked up on our PATH. A file that its group or everybody
	// may write is refused.
	Command string
	Args    []string
	// Env is added to the inherited variables, and wins over them.
	Env []Variable
	// InheritEnv names further variables of our own environment that the program sees. Without it that is only
	// what Inherited lists.
	InheritEnv []string
	// ProvideClusterInfo tells the program which cluster it is for.
	ProvideClusterInfo bool
}

// Variable is one variable of an environment.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Inherited returns the variables of our own environment that every plugin sees: what it takes to find programs
// and certificates, the proxy, and the API server of the cluster that we run in. There is no credential among them.
func Inherited() []string {
	return []string{
		"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate says what is wrong with a plugin, without looking for its program.
func (p Plugin) Validate() error {
	var errs []error
	if p.Name == "" {
		errs = append(errs, errors.New("name is empty"))
	}
	if p.APIVersion != V1 && p.APIVersion != V1beta1 {
		errs = append(errs, fmt.Errorf("apiVersion %q: there is only %s and %s", p.APIVersion, V1, V1beta1))
	}
	switch {
	case p.Command == "":
		errs = append(errs, errors.New("command is empty"))
	case strings.Contains(p.Command, "/") && !filepath.IsAbs(p.Command):
		errs = append(errs, fmt.Errorf("command %q: use an absolute path, or a name that is on the PATH", p.Command))
	}
	if slices.ContainsFunc(append([]string{p.Command}, p.Args...), hasNUL) {
		errs = append(errs, errors.New("the command line holds a NUL byte"))
	}
	for _, v := range p.Env {
		errs = append(errs, v.validate())
	}
	for _, name := range p.InheritEnv {
		errs = append(errs, Variable{Name: name}.validate())
	}
	return errors.Join(errs...)
}

func (v Variable) validate() error {
	switch {
	case !variableName.MatchString(v.Name):
		return fmt.Errorf("environment variable %q: a name has letters, digits and _ only, and does not begin with a digit", v.Name)
	case v.Name == infoVariable:
		return fmt.Errorf("environment variable %s: it is how the plugin is told what it is asked", v.Name)
	case hasNUL(v.Value):
		return fmt.Errorf("environment variable %s holds a NUL byte", v.Name)
	}
	return nil
}

func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }

// Fingerprint changes when anything that is run changes.
func (p Plugin) Fingerprint() string {
	parts := [][]byte{[]byte(p.APIVersion), []byte(p.Command), []byte(strings.Join(p.InheritEnv, "\x00"))}
	if p.ProvideClusterInfo {
		parts = append(parts, []byte("cluster"))
	}
	for _, arg := range p.Args {
		parts = append(parts, []byte("arg"), []byte(arg))
	}
	for _, v := range p.Env {
		parts = append(parts, []byte("env"), []byte(v.Name), []byte(v.Value))
	}
	return credential.Fingerprint(parts...)
}

// program finds the file to run, behind all links, and refuses one that others than its owner may change.
func (p Plugin) program() (string, error) {
	path, err := osexec.LookPath(p.Command)
	if err != nil {
		return "", fmt.Errorf("finding program %q: %w", p.Command, cause(err))
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("finding program %q: it is in a relative directory of the PATH", p.Command)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("finding program %q: %w", p.Command, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("finding program %q: %w", p.Command, err)
	}
	if err := refuseWritable(path, info); err != nil {
		return "", err
	}
	return path, nil
}

// refuseWritable refuses a file that its group or everybody may write.
func refuseWritable(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written by others than its owner (mode %04o), who could make it do anything: chmod go-w %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// cause takes the name of the file off an error, where it is said already.
func cause(err error) error {
	if e, ok := errors.AsType[*osexec.Error](err); ok {
		return e.Err
	}
	return err
}

// environment is all that the program sees: the inherited variables, then its own, then what it is asked.
func (p Plugin) environment(info []byte) []string {
	env := map[string]string{}
	names := slices.Concat(Inherited(), p.InheritEnv)
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	for _, v := range p.Env {
		env[v.Name] = v.Value
	}
	env[infoVariable] = string(info)
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
