package bootstrap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/aws"
)

var (
	issuerPattern     = regexp.MustCompile(`^https://[a-z0-9-]+(\.[a-z0-9-]+)*(/[\w.~-]+)*$`)
	eksIssuerPattern  = regexp.MustCompile(`^https://oidc\.eks\.([a-z0-9-]+)\.`)
	audiencePattern   = regexp.MustCompile(`^[\w+=,.@:/-]{1,255}$`)
	thumbprintPattern = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)
	externalIDPattern = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	orgPattern        = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	dnsPattern        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// maxExternalID is IAM's limit, more than a pattern of Go can count.
const maxExternalID = 1224

func (c *checker) checkExternalID(path, value string) {
	if value != "" && (!externalIDPattern.MatchString(value) || len(value) > maxExternalID) {
		c.add(path, "%q is not an external ID: 2 to %d letters, digits and any of +=,.@:/-_", value, maxExternalID)
	}
}

// matches adds a problem if a value that is there does not fit.
func (c *checker) matches(path, value string, pattern *regexp.Regexp, what string) {
	if value != "" && !pattern.MatchString(value) {
		c.add(path, "%q is not %s", value, what)
	}
}

// checkOwn looks at all of a file, whichever account it is rendered for.
func (c *checker) checkOwn(o *ownConfig) {
	o.Partition, o.Region = c.checkPartition("partition", o.Partition, "region", o.Region)
	c.matches("stackName", o.StackName, stackNamePattern, "the name of a stack: a letter, then up to 99 letters, digits and dashes")
	c.matches("path", o.Path, pathPattern, "a path: it begins and ends with a slash")
	c.checkTags("tags", o.Tags)
	switch b := o.PermissionsBoundary; {
	case strings.HasPrefix(b, "arn:"):
		c.matches("permissionsBoundary", b, policyARNPattern, "the ARN of a policy")
		c.samePartition("permissionsBoundary", b, o.Partition)
	default:
		c.matches("permissionsBoundary", b, policyNamePattern, "the name or ARN of a policy")
	}
	if o.Management != nil {
		c.checkManagement(o.Management, o.Partition)
	}
	if o.Target != nil {
		c.checkTarget(o.Target, o)
	}
}

func (c *checker) checkManagement(m *management, partition string) {
	if m.AccountID == "" {
		c.add("management", "it has no accountID")
	}
	c.matches("management.accountID", m.AccountID, accountPattern, "an account: 12 digits")
	c.matches("management.roleName", m.RoleName, roleNamePattern, "the name of a role")
	c.matches("management.serviceAccount.namespace", m.ServiceAccount.Namespace, dnsPattern, "the name of a namespace")
	c.matches("management.serviceAccount.name", m.ServiceAccount.Name, dnsPattern, "the name of a service account")
	switch {
	case m.OIDC != nil:
		c.checkOIDC(m.OIDC, partition)
	case !m.PodIdentity:
		c.add("management", "nobody could take on the role: give oidc (IRSA), podIdentity: true, or both")
	}
	seen := map[string]bool{}
	for i, a := range m.Targets {
		here := fmt.Sprintf("management.targets[%d]", i)
		if a.AccountID == "" {
			c.add(here, "it has no accountID")
		} else if seen[a.AccountID] {
			c.add(here+".accountID", "account %s is listed twice: give it all of its roles in one place", a.AccountID)
		}
		seen[a.AccountID] = true
		c.matches(here+".accountID", a.AccountID, accountPattern, "an account: 12 digits, and no wildcard")
		c.checkExternalID(here+".externalID", a.ExternalID)
		for j, role := range a.Roles {
			if !rolePattern.MatchString(role) {
				c.add(fmt.Sprintf("%s.roles[%d]", here, j), "%q is not the name of a role, with its path if it has one, and without a wildcard", role)
			}
		}
	}
}

func (c *checker) checkOIDC(o *oidc, partition string) {
	if o.Issuer == "" {
		c.add("management.oidc", "it has no issuer: aws eks describe-cluster --name NAME --query cluster.identity.oidc.issuer")
	}
	c.matches("management.oidc.issuer", o.Issuer, issuerPattern, "an issuer: https://host/path, without port, query and slash at the end")
	if found := eksIssuerPattern.FindStringSubmatch(o.Issuer); found != nil && aws.PartitionOfRegion(found[1]) != partition {
		c.add("management.oidc.issuer", "it is in partition %s, not in %s", aws.PartitionOfRegion(found[1]), partition)
	}
	c.matches("management.oidc.audience", o.Audience, audiencePattern, "an audience")
	if len(o.Thumbprints) > 5 {
		c.add("management.oidc.thumbprints", "a provider has at most 5")
	}
	if len(o.Thumbprints) > 0 && !o.CreateProvider {
		c.add("management.oidc.thumbprints", "they belong to the provider: with createProvider: true only")
	}
	for i, t := range o.Thumbprints {
		if !thumbprintPattern.MatchString(t) {
			c.add(fmt.Sprintf("management.oidc.thumbprints[%d]", i), "%q is not a thumbprint: 40 hexadecimal digits", t)
		}
	}
}

func (c *checker) checkTarget(t *target, o *ownConfig) {
	c.matches("target.accountID", t.AccountID, accountPattern, "an account: 12 digits")
	c.matches("target.roleName", t.RoleName, roleNamePattern, "the name of a role")
	c.matches("target.apiRoleName", t.APIRoleName, roleNamePattern, "the name of a role")
	c.checkExternalID("target.externalID", t.ExternalID)
	c.matches("target.principalOrgID", t.PrincipalOrgID, orgPattern, "an organization, such as o-a1b2c3d4e5")
	if len(t.Permissions) > 0 && t.RoleName == t.APIRoleName {
		c.add("target.apiRoleName", "it is also the roleName: the role that clusters know has no permissions, so the two are different roles")
	}
	for i, p := range t.Permissions {
		if !slices.Contains(permissions, p) {
			c.add(fmt.Sprintf("target.permissions[%d]", i), "there is no %q: there is describe, discover and accessEntries; for none, leave permissions out", p)
		}
	}
	c.checkTrusts(t.Trusts, o.Partition)
	if m := o.Management; m != nil {
		c.checkTargetsAgree(m, t)
	}
}

func (c *checker) checkTrusts(trusts []string, partition string) {
	if len(trusts) == 0 {
		c.add("target", "nobody could take on the role: list in trusts the ARN of the manager's role, or give the block management")
	}
	for i, arn := range trusts {
		here := fmt.Sprintf("target.trusts[%d]", i)
		if !roleARNPattern.MatchString(arn) {
			if c.file.lines[here] > 0 { // not the default: that comes from a block that has its own findings
				c.add(here, "%q is not the ARN of a role, arn:%s:iam::ACCOUNT:role/NAME: trust one role, never an account", arn, partition)
			}
			continue
		}
		c.samePartition(here, arn, partition)
	}
}

// checkTargetsAgree holds what the manager may do in each account against what the one template for targets makes there.
func (c *checker) checkTargetsAgree(m *management, t *target) {
	const advice = "the block target is for all accounts of this file: where they differ, give each a file of its own, with a block target, and leave it out here"
	if t.AccountID != "" && !slices.ContainsFunc(m.Targets, func(a targetAccount) bool { return a.AccountID == t.AccountID }) {
		c.add("target.accountID", "management.targets does not list it: the manager may not assume its roles")
	}
	for i, a := range m.Targets {
		here := fmt.Sprintf("management.targets[%d]", i)
		if a.AccountID == m.AccountID && slices.Contains(t.roles(), m.RoleName) {
			c.add(here+".accountID", "it is the management account, which has a role %q already: give the target another name for its role", m.RoleName)
		}
		if a.ExternalID != t.ExternalID {
			c.add(here+".externalID", "target.externalID is %q: %s", t.ExternalID, advice)
		}
		for _, role := range t.roles() {
			if !slices.ContainsFunc(a.Roles, func(r string) bool { return r == role || strings.HasSuffix(r, "/"+role) }) {
				c.add(here+".roles", "role %s is missing, which the block target makes: %s", role, advice)
			}
		}
	}
}

// samePartition refuses an ARN of another partition: no role is assumed from there, and no policy taken.
func (c *checker) samePartition(path, arn, partition string) {
	if found := arnPattern.FindStringSubmatch(arn); found != nil && found[1] != partition {
		c.add(path, "it is in partition %s, not in %s: nothing crosses that border", found[1], partition)
	}
}
