package bootstrap

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
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
