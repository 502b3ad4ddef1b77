// Package advice owns the words of what mends the connection to a cluster, so that conditions, `hawser check` and what
// other commands print say the same: `hawser join` for what that made, and the values of the release for what Helm
// holds, which would write over anything else with its next upgrade. It asks no cluster, and decides nothing.
package advice

import (
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Helm is the value of v1alpha1.ManagedByLabel by which Helm, and whoever renders a chart, marks what is of a release.
const Helm = "Helm"

// ReleaseNameAnnotation is where Helm records the release that an object is of.
const ReleaseNameAnnotation = "meta.helm.sh/release-name"

// ExistingSecretAnnotation is, with the value "true", on a RemoteCluster of the chart whose input Secret a person makes.
const ExistingSecretAnnotation = "hawser.io/existing-secret"

// Cluster is whose connection is to be mended.
type Cluster struct {
	Name string
	Auth v1alpha1.AuthType
	// Local is the name of the local cluster; empty if it is not known.
	Local string
	// Release that declares the cluster; nil where a person or join wrote it.
	Release *Release
}

// Release is one of the chart, in the local cluster.
type Release struct {
	// Name is empty where something else than Helm applies what the chart renders to.
	Name string
	// OwnSecret says that the input Secret is none of the release's: a person makes it.
	OwnSecret bool
}

// Of returns what there is to say of a RemoteCluster.
func Of(rc *v1alpha1.RemoteCluster, local string) Cluster {
	return Cluster{Name: rc.Name, Auth: rc.Spec.Auth.Type, Local: local, Release: ReleaseOf(rc)}
}

// ReleaseOf returns the release that declares a RemoteCluster; nil where none does.
func ReleaseOf(rc *v1alpha1.RemoteCluster) *Release {
	if rc.Labels[v1alpha1.ManagedByLabel] != Helm {
		return nil
	}
	return &Release{Name: rc.Annotations[ReleaseNameAnnotation], OwnSecret: rc.Annotations[ExistingSecretAnnotation] == "true"}
}

// String names it as a person would.
func (r Release) String() string {
	if r.Name == "" {
		return "a release of the chart"
	}
	return fmt.Sprintf("Helm release %q", r.Name)
}

// Rejoin makes a new credential, and puts it where it belongs.
func (c Cluster) Rejoin() string {
	switch {
	case c.Release == nil:
		return "hawser join " + c.Name + " --remote-context CONTEXT"
	case c.Auth == v1alpha1.AuthBearerToken:
		return c.Mint() + " && " + c.Give()
	case c.Auth == v1alpha1.AuthMTLS:
		return "sign a client certificate for user " + v1alpha1.MemberUser(c.local()) + " over there, as docs/install.md does, and: " + c.Give()
	case c.Auth == v1alpha1.AuthKubeconfig:
		return "make a kubeconfig that works, and: " + c.Give()
	}
	return c.upgrade("with the right values of "+c.path(""), "")
}

// Mint makes the first token of a connection over there.
func (c Cluster) Mint() string {
	return fmt.Sprintf("kubectl --context CONTEXT -n %s create token %s --duration 24h > token", v1alpha1.MemberNamespace(c.local()), v1alpha1.MemberServiceAccount)
}

// Give puts a credential, which lies in files, where a release takes it from.
func (c Cluster) Give() string {
	files := map[string]string{"bearerToken": "token"}
	keys := "bearerToken"
	switch c.Auth {
	case v1alpha1.AuthMTLS:
		files = map[string]string{"tlsCrt": v1alpha1.TLSCertKey, "tlsKey": v1alpha1.TLSKeyKey}
		keys = "tlsCrt tlsKey"
	case v1alpha1.AuthKubeconfig:
		files = map[string]string{"kubeconfig.text": "FILE"}
		keys = "kubeconfig.text"
	}
	if c.Release != nil && c.Release.OwnSecret {
		return c.fill()
	}
	var flags []string
	for key := range strings.FieldsSeq(keys) {
		flags = append(flags, "--set-file "+c.path(key)+"="+files[key])
	}
	return c.upgrade("with "+c.path(strings.Fields(keys)[0]), strings.Join(flags, " "))
}

// fill puts the files into the Secret that a person made. Its labels stay.
func (c Cluster) fill() string {
	from := "--from-file " + v1alpha1.BearerTokenKey + "=token"
	switch c.Auth {
	case v1alpha1.AuthMTLS:
		from = "--from-file " + v1alpha1.TLSCertKey + " --from-file " + v1alpha1.TLSKeyKey
	case v1alpha1.AuthKubeconfig:
		return "replace it in the Secret that spec.auth.kubeconfig.secretRef names"
	}
	return fmt.Sprintf("kubectl -n %[1]s create secret generic %[2]s %[3]s --dry-run=client -o yaml | kubectl -n %[1]s apply --server-side --force-conflicts -f -",
		v1alpha1.Namespace, v1alpha1.InputSecretName(c.Name), from)
}

// Trust gives the connection the CA that vouches for its server.
func (c Cluster) Trust() string {
	if c.Release == nil {
		return c.Rejoin()
	}
	return c.upgrade("with "+c.path("caData"), "--set-file "+c.path("caData")+"=ca.crt")
}

// Set changes one field of the spec to a value of type string or boolean.
func (c Cluster) Set(field string, value any) string {
	if c.Release != nil {
		return c.upgrade(fmt.Sprintf("with %s: %v", c.path(field), value), fmt.Sprintf("--set %s=%v", c.path(field), value))
	}
	quoted := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		quoted = `"` + s + `"`
	}
	return fmt.Sprintf(`kubectl patch remotecluster %s --type merge -p '{"spec":{"%s":%s}}'`, c.Name, field, quoted)
}

// Move tells the connection of another address.
func (c Cluster) Move() string {
	if c.Release == nil {
		return c.Rejoin()
	}
	return c.Set("server", "https://HOST:PORT")
}

// Permit gives the identity of the connection the rights that it lacks.
func (c Cluster) Permit() string {
	if c.Release == nil {
		return "apply what hawser member manifests prints, or " + c.Rejoin()
	}
	return "apply what hawser member manifests prints there, or, where a release of the chart made the member side: " + c.UpgradeThere(c.memberValues())
}

func (c Cluster) memberValues() string {
	return fmt.Sprintf(" --set 'member.localClusters={%s}'", c.local())
}

// UpgradeThere brings the member side to the version of this one.
func (c Cluster) UpgradeThere(values string) string {
	if c.Release == nil {
		return c.Rejoin()
	}
	return "helm upgrade hawser CHART --kube-context CONTEXT --namespace " + v1alpha1.Namespace + " --reset-then-reuse-values" + values
}

// Renewing moves the connection to a credential that Hawser renews.
func (c Cluster) Renewing() string {
	switch {
	case c.Release == nil:
		return "hawser join " + c.Name + " --auth bearerToken --remote-context CONTEXT"
	case c.Auth == v1alpha1.AuthBearerToken: // one that has an end
		return c.Rejoin()
	}
	return "let " + c.path("authType") + " be bearerToken in the values of " + c.Release.String() + ", with " + c.path("bearerToken") + " of: " + c.Mint()
}

// Leave ends the connection.
func (c Cluster) Leave() string {
	if c.Release == nil {
		return "hawser leave " + c.Name
	}
	return "take " + c.path("") + " out of the values of " + c.Release.String() + ", and upgrade it"
}

// ComesBack warns of what a release does to a RemoteCluster that was deleted; empty where nothing does.
func (c Cluster) ComesBack() string {
	if c.Release == nil {
		return ""
	}
	return fmt.Sprintf("RemoteCluster %q was of %s, whose next upgrade brings it back unless %s is taken out of its values", c.Name, c.Release, c.path(""))
}

// upgrade is the command that gives a release other values; what says them where there is no such command.
func (c Cluster) upgrade(what, flags string) string {
	if c.Release.Name == "" {
		return "render the chart anew " + what + ", and apply it"
	}
	command := fmt.Sprintf("helm upgrade %s CHART --namespace %s --reset-then-reuse-values", c.Release.Name, v1alpha1.Namespace)
	if flags == "" {
		return command + " " + what
	}
	return command + " " + flags
}

// path of a value of the cluster.
func (c Cluster) path(field string) string {
	path := "multiCluster.clusters." + c.Name
	if field != "" {
		path += "." + field
	}
	return path
}

func (c Cluster) local() string {
	if c.Local == "" {
		return "LOCAL"
	}
	return c.Local
}
