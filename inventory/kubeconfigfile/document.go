package kubeconfigfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/kubeconfig"
)

// document is a kubeconfig, read as far as each entry can be read: one that is wrong harms no other.
type document struct {
	contexts []entry
	whole    bool // it has all the lists that a kubeconfig has
}

// entry is one context with what it refers to.
type entry struct {
	name    string
	dir     string // of the kubeconfig
	cluster clientcmdapiv1.Cluster
	user    clientcmdapiv1.AuthInfo
	err     error // why it cannot be used
}

// item is an entry of any list of a kubeconfig.
type item struct {
	Name    string          `json:"name"`
	Cluster json.RawMessage `json:"cluster"`
	Context json.RawMessage `json:"context"`
	User    json.RawMessage `json:"user"`
}

// parse reads a kubeconfig that lies in dir. Its errors name what is wrong and quote no value.
func parse(text []byte, dir string) (*document, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, errors.New("it is no YAML") // the parser's words may quote values
	}
	var lists map[string]json.RawMessage
	switch err := json.Unmarshal(asJSON, &lists); {
	case err != nil:
		return nil, errors.New("it is no kubeconfig")
	case lists == nil:
		return nil, errors.New("it is empty")
	}
	d, items := &document{whole: true}, map[string][]item{}
	for _, name := range []string{"clusters", "contexts", "users"} {
		list, there := lists[name]
		d.whole = d.whole && there
		var of []item
		if there && json.Unmarshal(list, &of) != nil {
			return nil, fmt.Errorf("its %s are no list of entries with names", name)
		}
		items[name] = of
	}
	seen := map[string]int{}
	for _, c := range items["contexts"] {
		if i, again := seen[c.Name]; again {
			d.contexts[i].err = fmt.Errorf("it has two contexts %q", c.Name)
			continue
		}
		seen[c.Name] = len(d.contexts)
		d.contexts = append(d.contexts, resolve(c, items["clusters"], items["users"], dir))
	}
	return d, nil
}

// resolve finds what a context refers to.
func resolve(c item, clusters, users []item, dir string) entry {
	e := entry{name: c.Name, dir: dir}
	var context clientcmdapiv1.Context
	if json.Unmarshal(c.Context, &context) != nil {
		e.err = fmt.Errorf("context %q has a field of the wrong kind", c.Name)
		return e
	}
	cluster, err := find("cluster", context.Cluster, clusters)
	if err == nil && json.Unmarshal(cluster.Cluster, &e.cluster) != nil {
		err = fmt.Errorf("cluster %q has a field of the wrong kind", cluster.Name)
	}
	if err != nil {
		e.err = err
		return e
	}
	user, err := find("user", context.AuthInfo, users)
	if err == nil && json.Unmarshal(user.User, &e.user) != nil {
		err = fmt.Errorf("user %q has a field of the wrong kind", user.Name)
	}
	e.err = err
	return e
}

func find(kind, name string, list []item) (item, error) {
	var hit *item
	for i := range list {
		switch {
		case list[i].Name != name:
		case hit != nil:
			return item{}, fmt.Errorf("it has two entries for %s %q", kind, name)
		default:
			hit = &list[i]
		}
	}
	if hit == nil {
		return item{}, fmt.Errorf("it has no %s %q", kind, name)
	}
	return *hit, nil
}

// files are the paths of the files that an entry names, except for those that have their data beside them.
func (e entry) files() []string {
	var paths []string
	for _, f := range e.fields() {
		if f.used() {
			paths = append(paths, e.path(*f.path))
		}
	}
	return paths
}

func (e entry) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(e.dir, name)
}

// field is a file that an entry names, and where its content goes.
type field struct {
	path *string
	data *[]byte // nil: a token
	// secret says that others must not read the file.
	secret bool
}

// used follows kubectl: inline data comes before a file, and a token file before an inline token.
func (f field) used() bool { return *f.path != "" && (f.data == nil || len(*f.data) == 0) }

func (e *entry) fields() []field {
	return []field{
		{path: &e.cluster.CertificateAuthority, data: &e.cluster.CertificateAuthorityData},
		{path: &e.user.TokenFile, secret: true},
		{path: &e.user.ClientCertificate, data: &e.user.ClientCertificateData},
		{path: &e.user.ClientKey, data: &e.user.ClientKeyData, secret: true},
	}
}

// credential reads the files that an entry names, and makes a credential of it all. Its errors name the field or
// file, and quote no value.
func (e entry) credential(read func(path string) ([]byte, error)) (credential.Credential, error) {
	switch {
	case e.err != nil:
		return credential.Credential{}, e.err
	case e.user.Exec != nil:
		return credential.Credential{}, errors.New("exec is not taken: auth.type exec is not built yet; use a token, a tokenFile or a client certificate")
	case e.user.AuthProvider != nil:
		return credential.Credential{}, errors.New("auth-provider is not taken, client-go has none any more, and auth.type exec, which replaces them, is not built yet; use a token, a tokenFile or a client certificate")
	}
	for _, f := range e.fields() {
		if !f.used() {
			*f.path = "" // its data is beside it
			continue
		}
		content, err := read(e.path(*f.path))
		if err != nil {
			return credential.Credential{}, err
		}
		*f.path = ""
		if f.data == nil {
			e.user.Token = strings.TrimSpace(string(content))
		} else {
			*f.data = content
		}
	}
	e.cluster.Extensions, e.user.Extensions = nil, nil
	text, err := json.Marshal(clientcmdapiv1.Config{
		CurrentContext: e.name,
		Contexts:       []clientcmdapiv1.NamedContext{{Name: e.name, Context: clientcmdapiv1.Context{Cluster: "cluster", AuthInfo: "user"}}},
		Clusters:       []clientcmdapiv1.NamedCluster{{Name: "cluster", Cluster: e.cluster}},
		AuthInfos:      []clientcmdapiv1.NamedAuthInfo{{Name: "user", AuthInfo: e.user}},
	})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("writing context %q by itself: %w", e.name, err)
	}
	return kubeconfig.Parse(text, e.name) // which refuses what no kubeconfig may do
}
