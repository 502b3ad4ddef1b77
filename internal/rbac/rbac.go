// Package rbac owns the roles that Hawser asks for in the local cluster, and those for the people who
// use it: one table, from which the files of config and of the chart are made, and docs/rbac.md. The
// rights of the remote side are package member's; they are printed from here, too.
//
// Pure data. It reads and writes no cluster; `go run ./hack/rbac` writes the files.
package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
)

// Account is the service account of the manager, in v1alpha1.Namespace.
const Account = "hawser"

// A Rule is one line of the table.
type Rule struct {
	rbacv1.PolicyRule
	// Why it is needed, a phrase without a full stop.
	Why string
}

// A Role is what is bound as one.
type Role struct {
	Name string
	// Namespace that the role is in. Empty: it is a ClusterRole.
	Namespace string
	// Why there is such a role, where its feature does not say so.
	Why string
	// Bound to the account of its feature by a binding of the same name. Others are bound by people.
	Bound bool
	Rules []Rule
}

// A Feature is what is switched on as one.
type Feature struct {
	// Name of its file in the chart.
	Name string
	// File that holds its objects, below config.
	File string
	// Head says in sentences what the roles are for.
	Head string
	// Switch says by what the feature is switched on, as a phrase.
	Switch string
	// Of is the account, in v1alpha1.Namespace, that its roles are bound to. Empty: the manager's.
	Of string
	// Namespaces that the file makes, and Accounts of the first one.
	Namespaces, Accounts []string
	Roles                []Role
}

// Features returns the whole table of the local side, in the order of docs/rbac.md.
func Features() []Feature {
	return []Feature{manager(), requests(), shards(), upgrade(), upgradeEntered(), clusterProfiles(), clusterAPI(), endpoints(), people()}
}

func on(group, resource string, verbs ...string) Rule {
	return Rule{PolicyRule: rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}}
}

func (r Rule) and(resources ...string) Rule {
	r.Resources = append(r.Resources, resources...)
	return r
}

func (r Rule) named(names ...string) Rule {
	r.ResourceNames = names
	return r
}

func (r Rule) because(why string) Rule {
	r.Why = why
	return r
}
