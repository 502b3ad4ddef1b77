package bootstrap

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// warnings are about what is rendered as it was asked for, but does not do what it is there for, or does more.
func (s *capaSpec) warnings(account Account) []string {
	w := capaWarnings{spec: s}
	if s.BootstrapUser.Enable {
		w.add("spec.bootstrapUser.enable", "the user's access keys cannot assume the roles of target accounts: extraStatements of the controllers "+
			"go to role %s, and target accounts trust that role. Run the controllers as the role (IRSA, Pod Identity, instance profile), "+
			"then take the keys away: clusterawsadm controller zero-credentials", s.name("controllers"))
	}
	if s.EKS.IAMRoleCreation && !s.EKS.Disable {
		w.add("spec.eks.iamRoleCreation", "it lets the controllers make any role and attach any policy: whoever is the controllers is admin of the account")
	}
	for _, r := range s.roles() {
		for i, st := range r.role.ExtraStatements {
			w.permission(r.role, fmt.Sprintf("%s.extraStatements[%d]", r.path, i), st)
		}
		for i, st := range r.role.TrustStatements {
			w.trust(r.role, fmt.Sprintf("%s.trustStatements[%d]", r.path, i), st)
		}
	}
	for _, m := range s.mentions() {
		if found := arnPattern.FindStringSubmatch(m.arn); found != nil && found[1] != s.Partition && found[1] != "*" {
			w.add(m.path, "%s is in partition %s, and the stack in %s: nothing crosses that border", m.arn, found[1], s.Partition)
		}
	}
	if account == Management && !w.reaches {
		w.add("spec.clusterAPIControllers.extraStatements", "none allows sts:AssumeRole: the controllers reach no other account")
	}
	if account == Target && !w.reached {
		w.add("spec.clusterAPIControllers.trustStatements", "none trusts a role of another account: the management account cannot come in")
	}
	return w.all
}

type capaWarnings struct {
	spec    *capaSpec
	all     []string
	reaches bool // the controllers may assume roles
	reached bool // the controllers' role is trusted to somebody
}

func (w *capaWarnings) add(path, format string, args ...any) {
	w.all = append(w.all, path+": "+fmt.Sprintf(format, args...))
}

func (w *capaWarnings) ofControllers(r *capaRole) bool {
	return r == &w.spec.ClusterAPIControllers.capaRole
}

func (w *capaWarnings) permission(r *capaRole, path string, s statement) {
	if s.Effect != "Allow" || !slices.ContainsFunc(s.Action, isAssumeRole) {
		return
	}
	w.reaches = w.reaches || w.ofControllers(r)
	for _, arn := range s.Resource {
		if strings.ContainsAny(accountOf(arn), "*?") {
			w.add(path+".Resource", "%s reaches into every account, and only their trust policies are in the way: name the accounts instead", arn)
		}
	}
}

func (w *capaWarnings) trust(r *capaRole, path string, s statement) {
	principals := s.Principal["AWS"]
	if s.Effect != "Allow" || len(principals) == 0 {
		return
	}
	w.reached = w.reached || w.ofControllers(r)
	if slices.Contains(principals, "*") {
		w.add(path+".Principal.AWS", "* is every account of AWS: name the role")
	}
	if !hasKey(s.Condition, "sts:ExternalId") && !hasKey(s.Condition, "aws:PrincipalOrgID") {
		w.add(path, "it asks for no sts:ExternalId: where more than one party makes the trusted role assume others, "+
			"add a Condition here, and externalID to the AWSClusterRoleIdentity")
	}
}

// isAssumeRole reports whether an action, or a pattern of actions, is sts:AssumeRole.
func isAssumeRole(action string) bool {
	ok, err := path.Match(strings.ToLower(action), "sts:assumerole")
	return err == nil && ok
}

// accountOf is the account that an ARN or a pattern of one names.
func accountOf(arn string) string {
	if arn == "*" {
		return arn
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

// hasKey reports whether a condition asks for a key, under any operator.
func hasKey(c conditions, key string) bool {
	for _, keys := range c {
		for k := range keys {
			if strings.EqualFold(k, key) {
				return true
			}
		}
	}
	return false
}

// mentions returns the texts of a spec that a person wrote and that hold an ARN, by path.
func (s *capaSpec) mentions() []mention {
	var all []mention
	add := func(path string, values ...string) {
		for _, v := range values {
			if strings.HasPrefix(v, "arn:") {
				all = append(all, mention{path, v})
			}
		}
	}
	statements := func(path string, list []statement) {
		for i, st := range list {
			here := fmt.Sprintf("%s[%d]", path, i)
			add(here+".Resource", st.Resource...)
			for _, kind := range []string{"AWS", "Federated"} {
				add(here+".Principal."+kind, st.Principal[kind]...)
				add(here+".NotPrincipal."+kind, st.NotPrincipal[kind]...)
			}
		}
	}
	for _, r := range s.roles() {
		add(r.path+".extraPolicyAttachments", r.role.ExtraPolicyAttachments...)
		add(r.path+".permissionsBoundary", r.role.PermissionsBoundary)
		statements(r.path+".extraStatements", r.role.ExtraStatements)
		statements(r.path+".trustStatements", r.role.TrustStatements)
	}
	add("spec.bootstrapUser.extraPolicyAttachments", s.BootstrapUser.ExtraPolicyAttachments...)
	statements("spec.bootstrapUser.extraStatements", s.BootstrapUser.ExtraStatements)
	return all
}

type mention struct{ path, arn string }
