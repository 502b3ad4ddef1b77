package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"

	"github.com/hawser-io/hawser/member"
)

// Action is what somebody may or may not do: one of its fields is set.
type Action struct {
	Resource    *authorizationv1.ResourceAttributes
	NonResource *authorizationv1.NonResourceAttributes
}

// String is the action in words: list deployments.apps in namespace "shop".
func (a Action) String() string {
	if a.NonResource != nil {
		return a.NonResource.Verb + " " + a.NonResource.Path
	}
	text := member.Describe(*a.Resource)
	if a.Resource.Namespace == "" && a.Resource.Name == "" {
		text += " everywhere"
	}
	return text
}

// Action reads a verb and a resource as kubectl auth can-i does: TYPE, TYPE/NAME, TYPE.GROUP, a short name, or a path
// such as /healthz. Its warnings tell of what the cluster does not know, and is asked about all the same.
func (c Cluster) Action(_ context.Context, verb, resource, subresource, namespace string) (Action, []string, error) {
	if verb == "" || resource == "" {
		return Action{}, nil, errors.New("name a verb and a resource")
	}
	if strings.HasPrefix(resource, "/") {
		if subresource != "" || namespace != "" {
			return Action{}, nil, errors.New("a path has neither a subresource nor a namespace")
		}
		return Action{NonResource: &authorizationv1.NonResourceAttributes{Verb: verb, Path: resource}}, nil, nil
	}
	kind, name, _ := strings.Cut(resource, "/")
	groups, err := restmapper.GetAPIGroupResources(c.Kube.Discovery())
	if err != nil {
		return Action{}, nil, fmt.Errorf("asking which resources there are: %w", err)
	}
	var warnings []string
	mapper := restmapper.NewShortcutExpander(restmapper.NewDiscoveryRESTMapper(groups), c.Kube.Discovery(), func(w string) { warnings = append(warnings, w) })
	found, scope := resolve(mapper, kind)
	a := &authorizationv1.ResourceAttributes{
		Verb: verb, Group: found.Group, Resource: found.Resource, Subresource: subresource, Name: name, Namespace: namespace,
	}
	if warning := place(a, kind, scope); warning != "" {
		warnings = append(warnings, warning)
	}
	if name != "" && subresource == "" && slices.Contains(subresources(groups, found), name) {
		warnings = append(warnings, fmt.Sprintf("%s is taken for the object of the name %q: for the subresource say --subresource %s", resource, name, name))
	}
	return Action{Resource: a}, warnings, nil
}

// place takes the namespace away from what has none, and says what is odd.
func place(a *authorizationv1.ResourceAttributes, kind string, scope meta.RESTScopeName) (warning string) {
	switch {
	case kind == "*":
	case scope == "":
		return fmt.Sprintf("the cluster has no resource %q", kind)
	case scope == meta.RESTScopeNameRoot:
		if a.Namespace != "" {
			warning = fmt.Sprintf("%s are in no namespace: -n is ignored", a.Resource)
		}
		a.Namespace = ""
		if a.Group == "" && a.Resource == "namespaces" {
			a.Namespace = a.Name // what a request on one namespace carries
		}
	}
	return warning
}

// resolve finds the resource that is meant; scope is empty where the cluster has none.
func resolve(mapper meta.RESTMapper, kind string) (schema.GroupResource, meta.RESTScopeName) {
	full, short := schema.ParseResourceArg(kind)
	if kind == "*" {
		return schema.GroupResource{Group: "*", Resource: "*"}, ""
	}
	for _, partial := range []*schema.GroupVersionResource{full, new(short.WithVersion(""))} {
		if partial == nil {
			continue
		}
		found, err := mapper.ResourceFor(*partial)
		if err != nil {
			continue
		}
		gvk, err := mapper.KindFor(found)
		if err != nil {
			continue
		}
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			continue
		}
		return found.GroupResource(), mapping.Scope.Name()
	}
	return short, ""
}

// subresources of a resource, by discovery.
func subresources(groups []*restmapper.APIGroupResources, of schema.GroupResource) []string {
	var names []string
	for _, group := range groups {
		if group.Group.Name != of.Group {
			continue
		}
		for _, resources := range group.VersionedResources {
			for _, r := range resources {
				if name, ok := strings.CutPrefix(r.Name, of.Resource+"/"); ok {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
