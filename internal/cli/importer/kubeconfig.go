package importer

import (
	"errors"
	"fmt"
	"slices"
)

// Words of what a kubeconfig has and a RemoteCluster has not.
const (
	isAFile     = "it names a file, and none is opened: kubectl config view --raw --flatten puts it inline"
	noInsecure  = "the server is always verified: put its CA into spec.caData"
	noPassword  = "API servers have no basic authentication any more"
	noProvider  = "it ran code inside of old clients: take an exec plugin or a token"
	noNamespace = "a connection has no namespace of its own"
)

func readKubeconfigs(r *run, documents []Document) {
	for _, d := range documents {
		if kind := kindOf(d); kind != "Config" && (kind != "" || d["contexts"] == nil) {
			r.unknown(d)
			continue
		}
		k := parseKubeconfig(d)
		seen := map[string]bool{}
		for i, c := range k.contexts {
			name := c.text("name")
			if seen[name] {
				r.leaveOut(fmt.Sprintf("context %q", name), "contexts[%d] has the name of another", i)
				continue
			}
			seen[name] = true
			if len(r.Contexts) > 0 && !slices.Contains(r.Contexts, name) {
				continue
			}
			draft := r.draft(fmt.Sprintf("context %q", name), name, "context\x00"+name)
			if err := k.use(draft, name); err != nil {
				draft.dismiss(err)
				continue
			}
			draft.add()
		}
		k.orphans(r)
	}
}

// kubeconfig is a kubeconfig, taken apart.
type kubeconfig struct {
	root                      *fields
	contexts, clusters, users []*fields
	used                      map[*fields]bool
}

func parseKubeconfig(d Document) *kubeconfig {
	root := fieldsOf("", d)
	root.ignore("apiVersion", "kind")
	root.drop("current-context", "which context kubectl takes by default means nothing to a fleet")
	return &kubeconfig{root: root, contexts: root.list("contexts"), clusters: root.list("clusters"), users: root.list("users"), used: map[*fields]bool{}}
}

// current is the context that clients use by default.
func (k *kubeconfig) current() string { return scalar(k.root.values["current-context"]) }

func (k *kubeconfig) find(kind string, list []*fields, name string) (*fields, error) {
	var found *fields
	for _, f := range list {
		if f.text("name") != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("there are two entries for %s %q", kind, name)
		}
		found = f
	}
	if found == nil {
		return nil, fmt.Errorf("there is no %s %q", kind, name)
	}
	k.used[found] = true
	return found, nil
}

// use fills a draft with what one context says.
func (k *kubeconfig) use(d *draft, name string) error {
	if name == "" {
		return errors.New("it has no current-context, and none is named")
	}
	entry, err := k.find("context", k.contexts, name)
	if err != nil {
		return err
	}
	context := d.read(entry).part("context")
	context.drop("namespace", noNamespace)
	cluster, err := k.find("cluster", k.clusters, context.text("cluster"))
	if err != nil {
		return err
	}
	user, err := k.find("user", k.users, context.text("user"))
	if err != nil {
		return err
	}
	useCluster(d, d.read(cluster).part("cluster"))
	return useUser(d, d.read(user).part("user"))
}

func useCluster(d *draft, c *fields) {
	d.server, d.serverName, d.proxy = c.text("server"), c.text("tls-server-name"), c.text("proxy-url")
	if c.has("certificate-authority-data") {
		d.ca = c.base64("certificate-authority-data")
	} else {
		c.drop("certificate-authority", isAFile)
	}
	if c.flag("insecure-skip-tls-verify") {
		c.drop("insecure-skip-tls-verify", noInsecure)
	}
}

// useUser takes the credential. What acts as somebody else, or is of no use without a file, is an error.
func useUser(d *draft, u *fields) error {
	for _, field := range []string{"as", "as-uid", "as-groups", "as-user-extra"} {
		if u.has(field) {
			return errors.New("its user acts as somebody else (impersonation): without that it would have other rights; use a credential of that user")
		}
	}
	u.drop("tokenFile", isAFile)
	u.drop("client-certificate", isAFile)
	u.drop("client-key", isAFile)
	u.drop("username", noPassword)
	u.drop("password", noPassword)
	u.drop("auth-provider", noProvider)
	switch {
	case u.has("token"):
		return d.token(u.text("token"))
	case u.has("client-certificate-data") || u.has("client-key-data"):
		return d.certificate(u.base64("client-certificate-data"), u.base64("client-key-data"))
	case u.has("exec"):
		e := u.part("exec")
		e.ignore("apiVersion", "interactiveMode", "installHint", "provideClusterInfo")
		env := map[string]string{}
		for _, v := range e.list("env") {
			env[v.text("name")] = v.text("value")
		}
		return d.plugin(plugin{e.text("command"), e.texts("args"), env}, e.path)
	case u.has("client-certificate"), u.has("client-key"):
		return errors.New("its certificate is in a file, and none is opened: kubectl config view --raw --flatten puts it inline")
	case u.has("tokenFile"):
		return errors.New("its token is in a file, and none is opened: hawser join makes a credential of Hawser's own")
	case u.has("username"), u.has("password"):
		return errors.New("it has a password, and " + noPassword)
	case u.has("auth-provider"):
		return errors.New("its auth-provider is not run: " + noProvider)
	}
	return errors.New("its user has no credential: hawser join makes one")
}

// orphans tells of what no context used.
func (k *kubeconfig) orphans(r *run) {
	tell := func(path, why string) {
		r.result.Notes = append(r.result.Notes, Note{NoCounterpart, "kubeconfig", path, why})
	}
	if len(r.Contexts) == 0 {
		for _, list := range [][]*fields{k.clusters, k.users} {
			for _, f := range list {
				if !k.used[f] {
					tell(f.path, "no context uses it")
				}
			}
		}
	}
	k.root.rest(tell)
}
