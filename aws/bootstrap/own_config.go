package bootstrap

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// Our own kind. It is a file of the command line, never an object of a cluster.
const (
	ownAPIVersion = "hawser.io/v1alpha1"
	ownKind       = "AWSBootstrap"
)

// ownConfig is a file of kind AWSBootstrap.
type ownConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	// Partition of all accounts: a role of one partition cannot be assumed from another. Default aws.
	Partition string `yaml:"partition"`
	// Region that the stacks are in. IAM has none; default is the one of the partition that IAM lives in.
	Region string `yaml:"region"`
	// StackName that the stacks begin with: <stackName>-management, <stackName>-target. Default hawser.
	StackName string `yaml:"stackName"`
	// Tags of stacks, roles and provider.
	Tags map[string]string `yaml:"tags"`
	// Path of the roles. Default /.
	Path string `yaml:"path"`
	// PermissionsBoundary of the roles: the name of a policy that each account has, or an ARN.
	PermissionsBoundary string      `yaml:"permissionsBoundary"`
	Management          *management `yaml:"management"`
	Target              *target     `yaml:"target"`
}

// management is the account that the manager runs in.
type management struct {
	AccountID string `yaml:"accountID"`
	// RoleName of the manager's own role. Default hawser.
	RoleName string `yaml:"roleName"`
	// ServiceAccount that the manager runs as. Default hawser in namespace hawser.
	ServiceAccount serviceAccount `yaml:"serviceAccount"`
	// OIDC lets the service account in by the cluster's issuer (IRSA).
	OIDC *oidc `yaml:"oidc"`
	// PodIdentity lets the service account in by EKS Pod Identity.
	PodIdentity bool `yaml:"podIdentity"`
	// Targets are the accounts and roles that the manager may assume, and no others.
	Targets []targetAccount `yaml:"targets"`
}

type serviceAccount struct {
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
}

type oidc struct {
	// Issuer of the local cluster, https://…
	Issuer string `yaml:"issuer"`
	// Audience of the service account's tokens. Default sts.amazonaws.com.
	Audience string `yaml:"audience"`
	// CreateProvider makes the provider in IAM. There is one for each issuer in an account, so it is not
	// made if other workloads use IRSA already.
	CreateProvider bool `yaml:"createProvider"`
	// Thumbprints of the CA that signed the issuer's certificate, where AWS does not trust it by itself.
	Thumbprints []string `yaml:"thumbprints"`
}

type targetAccount struct {
	AccountID string `yaml:"accountID"`
	// Roles in the account, with their path if they have one. Default: those of the block target, or hawser.
	Roles []string `yaml:"roles"`
	// ExternalID that has to be given. Default: that of the block target.
	ExternalID string `yaml:"externalID"`
}

// target is an account whose clusters are reached.
type target struct {
	// AccountID is needed only if the block management does not list the accounts.
	AccountID string `yaml:"accountID"`
	// RoleName of the role that clusters know us as. It never has a permission. Default hawser.
	RoleName string `yaml:"roleName"`
	// Trusts are ARNs of the roles that may take on the roles. Default: the role of the block management.
	Trusts []string `yaml:"trusts"`
	// PodIdentity says that the trusted roles come from EKS Pod Identity. Default: as in the block management.
	PodIdentity bool `yaml:"podIdentity"`
	// ExternalID that whoever takes on the roles has to give.
	ExternalID string `yaml:"externalID"`
	// PrincipalOrgID is the organization that whoever takes on the roles has to be in.
	PrincipalOrgID string `yaml:"principalOrgID"`
	// Permissions for the EKS API. They go to a role of their own, so that the one that clusters know has none.
	Permissions []permission `yaml:"permissions"`
	// APIRoleName of the role with the permissions. Default hawser-eks.
	APIRoleName string `yaml:"apiRoleName"`
}

// permission for the EKS API.
type permission string

const (
	permitDescribe      permission = "describe"      // look at a cluster by name
	permitDiscover      permission = "discover"      // and list them
	permitAccessEntries permission = "accessEntries" // keep Hawser's access entries
)

var permissions = []permission{permitDescribe, permitDiscover, permitAccessEntries}

// Names where nobody chose one.
const (
	defaultRole    = "hawser"
	defaultAPIRole = "hawser-eks"
	defaultStack   = "hawser"
)

// roles are the names of the roles that a target has.
func (t *target) roles() []string {
	if len(t.Permissions) == 0 {
		return []string{t.RoleName}
	}
	return []string{t.RoleName, t.APIRoleName}
}

func (c *ownConfig) applyDefaults() {
	c.StackName = cmp.Or(c.StackName, defaultStack)
	c.Path = cmp.Or(c.Path, "/")
	m, t := c.Management, c.Target
	if t != nil {
		t.RoleName = cmp.Or(t.RoleName, defaultRole)
		t.APIRoleName = cmp.Or(t.APIRoleName, defaultAPIRole)
	}
	if m == nil {
		return
	}
	m.RoleName = cmp.Or(m.RoleName, defaultRole)
	m.ServiceAccount.Namespace = cmp.Or(m.ServiceAccount.Namespace, v1alpha1.Namespace)
	m.ServiceAccount.Name = cmp.Or(m.ServiceAccount.Name, managerAccount)
	if m.OIDC != nil {
		m.OIDC.Audience = cmp.Or(m.OIDC.Audience, "sts.amazonaws.com")
	}
	if t == nil {
		for i := range m.Targets {
			m.Targets[i].withDefaults([]string{defaultRole}, "", "")
		}
		return
	}
	if len(m.Targets) == 0 && t.AccountID != "" {
		m.Targets = []targetAccount{{AccountID: t.AccountID}}
	}
	for i := range m.Targets {
		m.Targets[i].withDefaults(t.roles(), c.Path, t.ExternalID)
	}
	if len(t.Trusts) == 0 {
		t.Trusts = []string{fmt.Sprintf("arn:%s:iam::%s:role%s%s", c.Partition, m.AccountID, c.Path, m.RoleName)}
	}
	t.PodIdentity = t.PodIdentity || m.PodIdentity
}

// managerAccount is the service account that the manager runs as where nobody chose another.
const managerAccount = "hawser"

func (a *targetAccount) withDefaults(roles []string, path, externalID string) {
	a.ExternalID = cmp.Or(a.ExternalID, externalID)
	if len(a.Roles) > 0 {
		return
	}
	for _, role := range roles {
		a.Roles = append(a.Roles, strings.TrimPrefix(path, "/")+role)
	}
}

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
	if len(t.Trusts) == 0 {
		c.add("target", "nobody could take on the role: list in trusts the ARN of the manager's role, or give the block management")
	}
	for i, arn := range t.Trusts {
		here := fmt.Sprintf("target.trusts[%d]", i)
		if !roleARNPattern.MatchString(arn) {
			if c.file.lines[here] > 0 { // not the default: that comes from a block that has its own findings
				c.add(here, "%q is not the ARN of a role, arn:%s:iam::ACCOUNT:role/NAME: trust one role, never an account", arn, o.Partition)
			}
			continue
		}
		c.samePartition(here, arn, o.Partition)
	}
	if m := o.Management; m != nil {
		c.checkTargetsAgree(m, t)
	}
	if m := o.Management; m != nil && t.AccountID != "" &&
		!slices.ContainsFunc(m.Targets, func(a targetAccount) bool { return a.AccountID == t.AccountID }) {
		c.add("target.accountID", "management.targets does not list it: the manager may not assume its roles")
	}
	if m := o.Management; m != nil && t.AccountID == m.AccountID && slices.Contains(t.roles(), m.RoleName) {
		c.add("target.accountID", "it is the management account, which has a role %q already: give the target another name for its role", m.RoleName)
	}
}

// checkTargetsAgree holds what the manager may do in each account against what the one template for targets makes there.
func (c *checker) checkTargetsAgree(m *management, t *target) {
	const advice = "the block target is for all accounts of this file: where they differ, give each a file of its own, with a block target, and leave it out here"
	for i, a := range m.Targets {
		here := fmt.Sprintf("management.targets[%d]", i)
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
