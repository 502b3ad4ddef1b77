package grant

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Rules are the effective verbs of a grant, one line for each set of them, sorted:
//
//	get,list,watch pods,services
//	get deployments.apps[web]
//	get /healthz
//
// A resource has its API group behind a dot, and a single object its name in brackets.
// What has no namespace counts only for a grant of the whole cluster; roles that do
// not exist add nothing.
func Rules(g *v1alpha1.AccessGrant, roles map[string][]rbacv1.PolicyRule) []string {
	verbs := map[string]map[string]bool{} // by what they are on
	add := func(on string, list []string) {
		if verbs[on] == nil {
			verbs[on] = map[string]bool{}
		}
		for _, v := range list {
			verbs[on][v] = true
		}
	}
	for _, name := range g.Spec.ClusterRoles {
		for _, r := range roles[name] {
			for _, on := range objects(r) {
				add(on, r.Verbs)
			}
			if g.Spec.WholeCluster {
				for _, url := range r.NonResourceURLs {
					add(url, r.Verbs)
				}
			}
		}
	}
	return lines(verbs)
}

// objects are what a rule is about, in words.
func objects(r rbacv1.PolicyRule) []string {
	var on []string
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			if group != "" {
				base, sub, has := strings.Cut(resource, "/")
				if resource = base + "." + group; has {
					resource += "/" + sub
				}
			}
			if len(r.ResourceNames) == 0 {
				on = append(on, resource)
			}
			for _, name := range r.ResourceNames {
				on = append(on, resource+"["+name+"]")
			}
		}
	}
	return on
}

// lines joins what has the same verbs.
func lines(verbs map[string]map[string]bool) []string {
	same := map[string][]string{}
	for on, set := range verbs {
		same[joined(set)] = append(same[joined(set)], on)
	}
	var out []string
	for set, on := range same {
		slices.Sort(on)
		out = append(out, set+" "+strings.Join(on, ","))
	}
	slices.Sort(out)
	return out
}

func joined(verbs map[string]bool) string {
	if verbs[rbacv1.VerbAll] {
		return rbacv1.VerbAll
	}
	var list []string
	for v := range verbs {
		list = append(list, v)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
