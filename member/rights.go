package member

import (
	rbacv1 "k8s.io/api/rbac/v1"
)

// Right is one line of the table, for those who print it or hold it against what was used.
type Right struct {
	// Role that holds it, a ClusterRole where Namespace is empty.
	Role, Namespace string
	Rule            rbacv1.PolicyRule
	// Why it is needed, a phrase without a full stop.
	Why string
}

// Rights returns what the install for a local cluster gives its connection. The options must be valid;
// those of the controllers and the gate are left out, see ControllerRights and GateRights.
func Rights(o Options) []Right {
	o = o.withDefaults()
	return exported(table(o.Local, o.Capabilities, o.Requires, o.Identity), func(r right) string { return roleName(r.part, o.Local) }, o.Local)
}

// ControllerRights returns the rights of the member controllers.
func ControllerRights(grantable ...string) []Right {
	return exported(controllerRights(grantable), func(right) string { return ControllersRole }, "")
}

// GateRights returns the rights of the gate.
func GateRights() []Right {
	return exported(gateRights(), func(right) string { return GateRole }, "")
}

func exported(rights []right, role func(right) string, local string) []Right {
	var all []Right
	for _, r := range rights {
		all = append(all, Right{Role: role(r), Namespace: namespaceOf(r.scope, local), Rule: *r.rule.DeepCopy(), Why: r.why})
	}
	return all
}
