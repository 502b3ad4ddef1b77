package rbac

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

const intro = `# Rights

Every role that Hawser asks for, rule by rule. This page, the files in ` + "`config`" + ` and the roles of the chart are made from the tables in
` + "`internal/rbac`" + ` (here) and ` + "`member`" + ` (there). A test drives every feature under exactly these roles on real API servers, and fails on a
request that is refused and on a verb that no request used.

What RBAC cannot narrow, admission policies do. On the remote side: how long tokens live, which bindings the member controllers touch,
what the gate writes, and that nobody grants what they could not bind. [trust.md](trust.md) is about these. Here, with ` + "`--endpoints`" + `:
who writes an EndpointSet or a FederatedNetworkPolicy has the rights to what comes of it (` + "`hawser-federation-authors`" + `), and the manager writes and
deletes only what carries its label, and no ConfigMap in ` + "`kube-system`" + ` (` + "`hawser-federation-manager`" + `); [endpoints.md](endpoints.md#who-may-do-what). The roles of inventories in the
library stand beside their code, as ` + "`role.yaml`" + `.
`

// markdown is docs/rbac.md.
func markdown() []byte {
	var b strings.Builder
	b.WriteString("<!-- " + generated + " -->\n\n" + intro)
	features := Features()
	fmt.Fprintf(&b, "\n## Here: the manager\n\nService account `%s` in namespace `%s`.\n", Account, v1alpha1.Namespace)
	local(&b, slices.DeleteFunc(slices.Clone(features), func(f Feature) bool { return f.Name == "people" || f.Of != "" }))
	ownConnection(&b)
	b.WriteString("\n## Here: people\n\nNothing binds these. Whoever is cluster-admin has no need of them.\n")
	local(&b, slices.DeleteFunc(features, func(f Feature) bool { return f.Name != "people" }))
	fmt.Fprintf(&b, "\n## There: a connection\n\nService account `%s` in namespace `hawser-from-LOCAL`, or user `%s`, where LOCAL is the name of the local cluster; or an identity of a cloud or of a kubeconfig. "+
		"`hawser join` installs it, and `hawser member manifests` prints it.\n\n", v1alpha1.MemberServiceAccount, v1alpha1.MemberUser("LOCAL"))
	connection(&b)
	fmt.Fprintf(&b, "\n## There: the member controllers\n\nService account `%s` in namespace `%s`, where `hawser member controllers` runs.\n\n", member.ControllersServiceAccount, v1alpha1.Namespace)
	remote(&b, member.ControllerRights())
	b.WriteString("\nAnd in addition:\n")
	local(&b, slices.DeleteFunc(Features(), func(f Feature) bool { return f.Of != member.ControllersServiceAccount }))
	fmt.Fprintf(&b, "\n## There: the gate\n\nService account `%s` in namespace `%s`, where `hawser gate` runs.\n\n", v1alpha1.GateServiceAccount, v1alpha1.Namespace)
	remote(&b, member.GateRights())
	return []byte(b.String())
}

func local(b *strings.Builder, features []Feature) {
	b.WriteString("\n| role | where | may | switched on by | why |\n|---|---|---|---|---|\n")
	for _, f := range features {
		for _, r := range f.Roles {
			for _, rule := range r.Rules {
				where := place(r.Namespace)
				if f.Name == "requests" || r.Name == "hawser-requester" {
					where = "where it is bound"
				}
				row(b, "`"+r.Name+"`", where, may(rule.PolicyRule), f.Switch, rule.Why)
			}
		}
	}
}

// ownConnection tells what the chart gives the manager where the local cluster's own RemoteCluster is used for more than
// being there: its connection is the manager's own account.
func ownConnection(b *strings.Builder) {
	options := member.Options{Local: "LOCAL", Identity: member.Foreign, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints}}
	for _, r := range member.Rights(options) {
		if r.Role == "hawser-endpoints" {
			row(b, "`hawser-endpoints`, by the binding `hawser-endpoints-here`", place(r.Namespace), may(r.Rule), "capability `endpoints` of the local cluster itself, in the chart", r.Why)
		}
	}
	row(b, "`hawser-requires-here`", "everywhere", "what `requires` says", "`requires` of the local cluster itself, in the chart", "for your own controllers, as over any other connection. Of the kinds that `hawser-federation-manager` is about, with `--endpoints`, only what has the manager's label")
}

func remote(b *strings.Builder, rights []member.Right) {
	b.WriteString("| where | may | why |\n|---|---|---|\n")
	for _, r := range rights {
		row(b, place(r.Namespace), may(r.Rule), r.Why)
	}
}

// connection tells the rights of all identities in one table.
func connection(b *strings.Builder) {
	options := member.Options{
		Local: "LOCAL", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints},
	}
	identities := []member.Identity{member.ServiceAccount, member.RenewedCertificate, member.Certificate}
	var rights []member.Right
	holders := map[string][]member.Identity{}
	for _, id := range identities {
		options.Identity = id
		at := 0
		for _, r := range member.Rights(options) {
			key := fmt.Sprint(r)
			if i := slices.IndexFunc(rights, func(have member.Right) bool { return reflect.DeepEqual(have, r) }); i >= 0 {
				at = i + 1
			} else {
				rights = slices.Insert(rights, at, r)
				at++
			}
			holders[key] = append(holders[key], id)
		}
	}
	b.WriteString("| role | where | may | switched on by | why |\n|---|---|---|---|---|\n")
	for _, r := range rights {
		row(b, "`"+r.Role+"`", place(r.Namespace), may(r.Rule), when(r, holders[fmt.Sprint(r)], len(identities)), r.Why)
	}
	row(b, "`hawser-requires-from-LOCAL`", "everywhere", "what `spec.requires` says", "`spec.requires`", "for controllers that work over the connection; wildcards and what would widen rights are refused")
}

func when(r member.Right, holders []member.Identity, all int) string {
	switch {
	case r.Role == "hawser-connect":
		return "always"
	case r.Role == "hawser-endpoints":
		return "capability `endpoints`"
	case len(holders) == all:
		return "an identity that Hawser made"
	case holders[0] == member.ServiceAccount:
		return "a service account (`bearerToken`)"
	default:
		return "certificates by request (`mtls`)"
	}
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func place(namespace string) string {
	if namespace == "" {
		return "everywhere"
	}
	return "namespace `" + namespace + "`"
}

// may says a rule in words: get, list `secrets`, of the names …
func may(r rbacv1.PolicyRule) string {
	var resources []string
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			name, sub, _ := strings.Cut(resource, "/")
			if group != "" {
				name += "." + group
			}
			if sub != "" {
				name += "/" + sub
			}
			resources = append(resources, "`"+name+"`")
		}
	}
	for _, url := range r.NonResourceURLs {
		resources = append(resources, "`"+url+"`")
	}
	text := strings.Join(r.Verbs, ", ") + " " + strings.Join(resources, ", ")
	if len(r.ResourceNames) > 0 {
		text += " named `" + strings.Join(r.ResourceNames, "`, `") + "`"
	}
	return text
}
