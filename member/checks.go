package member

import (
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Checks returns what to ask in SelfSubjectAccessReviews: each verb on each resource, by name where
// the table names it, that a connection needs. It is made from the same table as the roles.
//
// What not every cluster has is not asked for. Of a Foreign identity only that is asked which its use needs, since
// nothing may be installed for it.
func Checks(local string, capabilities []v1alpha1.Capability, requires []v1alpha1.Rule, id Identity) []authorizationv1.ResourceAttributes {
	var checks []authorizationv1.ResourceAttributes
	seen := map[authorizationv1.ResourceAttributes]bool{}
	for _, r := range table(local, capabilities, requires, id) {
		if r.optional || r.installed && id == Foreign {
			continue
		}
		for _, check := range expand(r, local) {
			if !seen[check] {
				seen[check] = true
				checks = append(checks, check)
			}
		}
	}
	return checks
}

func expand(r right, local string) []authorizationv1.ResourceAttributes {
	names := r.rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var checks []authorizationv1.ResourceAttributes
	for _, group := range r.rule.APIGroups {
		for _, resource := range r.rule.Resources {
			resource, subresource, _ := strings.Cut(resource, "/")
			for _, name := range names {
				for _, verb := range r.rule.Verbs {
					checks = append(checks, authorizationv1.ResourceAttributes{
						Namespace:   namespace(r, resource, name, local),
						Verb:        verb,
						Group:       group,
						Resource:    resource,
						Subresource: subresource,
						Name:        name,
					})
				}
			}
		}
	}
	return checks
}

// namespace is the one that a request of this kind carries: that of its scope, and for a request on
// one namespace the API server takes that namespace itself.
func namespace(r right, resource, name, local string) string {
	if resource == "namespaces" && name != "" {
		return name
	}
	return namespaceOf(r.scope, local)
}

// Describe says a check as a person would: list endpointslices.discovery.k8s.io, or
// create serviceaccounts/token "hawser" in namespace "hawser-from-primary".
func Describe(a authorizationv1.ResourceAttributes) string {
	var b strings.Builder
	b.WriteString(a.Verb + " " + a.Resource)
	if a.Group != "" {
		b.WriteString("." + a.Group)
	}
	if a.Subresource != "" {
		b.WriteString("/" + a.Subresource)
	}
	if a.Name != "" {
		fmt.Fprintf(&b, " %q", a.Name)
	}
	if a.Namespace != "" && a.Resource != "namespaces" {
		fmt.Fprintf(&b, " in namespace %q", a.Namespace)
	}
	return b.String()
}
