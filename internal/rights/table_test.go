package rights_test

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/rbac"
	"github.com/hawser-io/hawser/member"
)

// right is one verb on one resource in one rule of the tables, and one name where the rule has names.
type right struct {
	side           string // here or there
	role           string // as event.role
	group          string
	resource, verb string
	name           string
}

func (r right) String() string {
	text := fmt.Sprintf("%s: %s: %s %s", r.side, r.role, r.verb, r.resource)
	if r.group != "" {
		text += "." + r.group
	}
	if r.name != "" {
		text += " " + r.name
	}
	return text
}

const (
	here     = "here"
	there    = "there"
	anywhere = "anywhere" // people are on either side
)

// tables are all rights that we ship.
func tables() []right {
	var all []right
	add := func(side, namespace, role string, rule rbacv1.PolicyRule) {
		if namespace != "" {
			role = namespace + "/" + role
		}
		for _, r := range expand(side, role, rule) {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	for _, f := range rbac.Features() {
		for _, role := range f.Roles {
			for _, rule := range role.Rules {
				add(sideOf(f), role.Namespace, role.Name, rule.PolicyRule)
			}
		}
	}
	capabilities := []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints}
	remote := slices.Concat(member.ControllerRights(), member.GateRights())
	for _, id := range []member.Identity{member.ServiceAccount, member.RenewedCertificate, member.Certificate, member.Foreign} {
		remote = append(remote, member.Rights(member.Options{Local: hub, Capabilities: capabilities, Identity: id})...)
	}
	for _, r := range remote {
		add(there, r.Namespace, r.Role, r.Rule)
	}
	return all
}

// sideOf is where what a feature is for runs.
func sideOf(f rbac.Feature) string {
	switch {
	case f.Name == "people":
		return anywhere
	case f.Of == member.ControllersServiceAccount:
		return there
	}
	return here
}

func expand(side, role string, rule rbacv1.PolicyRule) []right {
	var all []right
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					all = append(all, right{side, role, group, resource, verb, name})
				}
			}
		}
		for _, url := range rule.NonResourceURLs {
			all = append(all, right{side: side, role: role, resource: url, verb: verb})
		}
	}
	return all
}

// usedBy reports whether an event used a right.
func (r right) usedBy(e event) bool {
	side := there
	if e.Cluster == "primary" {
		side = here
	}
	return (r.side == side || r.side == anywhere) && r.role == e.role() && r.group == e.ObjectRef.APIGroup && r.resource == e.resource() && r.verb == e.Verb &&
		(r.name == "" || r.name == e.ObjectRef.Name)
}

// ours tells the identities that Hawser makes or is given: accounts of its namespaces, users that it names.
func ours(e event) bool {
	user := strings.TrimPrefix(e.User.Username, "primary:") // as beta calls accounts of primary
	for _, prefix := range []string{
		"system:serviceaccount:" + v1alpha1.Namespace + ":", "system:serviceaccount:" + v1alpha1.MemberNamespace(hub) + ":",
		"system:serviceaccount:" + v1alpha1.GrantsNamespace + ":", "hawser:from:", "person:",
	} {
		if strings.HasPrefix(user, prefix) {
			return true
		}
	}
	return slices.Contains(e.User.Groups, v1alpha1.MembersGroup)
}
