package bootstrap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awslabs/goformation/v4/cloudformation/iam"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// planOwn renders a file of kind AWSBootstrap.
func planOwn(f *file, account Account) (plan, error) {
	var o ownConfig
	if err := f.decode(&o); err != nil {
		return plan{}, err
	}
	c := checker{file: f}
	if o.Partition == "" {
		o.Partition = "aws" // the default of trusts is made with it
	}
	o.applyDefaults()
	c.checkOwn(&o)
	if account == Management && o.Management == nil || account == Target && o.Target == nil {
		c.add("", "it has no block %s, so there is no template for that account", account)
	}
	if err := c.err(); err != nil {
		return plan{}, err
	}
	p := plan{warnings: o.warnings(account), commands: o.commands}
	if account == Management {
		p.template = o.managementTemplate()
	} else {
		p.template = o.targetTemplate()
	}
	c.checkSizes(p.template)
	return p, c.err()
}

// role is a role with what all of ours share.
func (o *ownConfig) role(name, description string, trusts ...statement) *iam.Role {
	boundary := o.PermissionsBoundary
	if boundary != "" && !strings.HasPrefix(boundary, "arn:") {
		boundary = sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/%s", boundary)
	}
	return &iam.Role{
		RoleName: name, Description: description, Path: o.Path, PermissionsBoundary: boundary,
		AssumeRolePolicyDocument: documentOf(trusts...),
		Tags:                     tagList(o.Tags),
	}
}

// Logical IDs of our resources.
const (
	managerRole  = "HawserManagerRole"
	oidcProvider = "HawserOIDCProvider"
	tokenRole    = "HawserTokenRole"
	apiRole      = "HawserAPIRole"
)

func (o *ownConfig) managementTemplate() *template {
	m := o.Management
	t := &template{
		Description: "Hawser, management account: the identity of the manager.",
		Resources:   map[string]any{},
		Outputs:     map[string]output{"RoleARN": {"Role that the manager runs as", roleARN(managerRole)}},
	}
	role := o.role(m.RoleName, "What the Hawser manager runs as", m.trust(m.provider())...)
	role.Policies = inline("assume-target-roles", m.assume())
	t.Resources[managerRole] = role
	if m.OIDC != nil && m.OIDC.CreateProvider {
		t.Resources[oidcProvider] = &iam.OIDCProvider{
			Url: m.OIDC.Issuer, ClientIdList: []string{m.OIDC.Audience}, ThumbprintList: m.OIDC.Thumbprints, Tags: tagList(o.Tags),
		}
	}
	return t
}

// provider is the issuer as IAM knows it.
func (m *management) provider() string {
	switch {
	case m.OIDC == nil:
		return ""
	case m.OIDC.CreateProvider:
		return ref(oidcProvider) // which is its ARN, and makes it first
	default:
		return sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:oidc-provider/%s", m.OIDC.name())
	}
}

// name of the issuer, in the ARN of its provider and before the keys of conditions.
func (o *oidc) name() string { return strings.TrimPrefix(o.Issuer, "https://") }

// trust lets the manager's service account in, and nobody else.
func (m *management) trust(provider string) []statement {
	var all []statement
	if m.OIDC != nil {
		all = append(all, trust("Federated", texts{provider}, "sts:AssumeRoleWithWebIdentity").
			under("StringEquals", m.OIDC.name()+":sub", fmt.Sprintf("system:serviceaccount:%s:%s", m.ServiceAccount.Namespace, m.ServiceAccount.Name)).
			under("StringEquals", m.OIDC.name()+":aud", m.OIDC.Audience))
	}
	if m.PodIdentity {
		all = append(all, trust("Service", texts{"pods.eks.amazonaws.com"}, "sts:AssumeRole", "sts:TagSession").
			under("StringEquals", "aws:RequestTag/kubernetes-namespace", m.ServiceAccount.Namespace).
			under("StringEquals", "aws:RequestTag/kubernetes-service-account", m.ServiceAccount.Name))
	}
	return all
}

// assume allows to assume the roles that are named, one statement for each external ID. Without targets the
// role has no policy at all: a token needs none.
func (m *management) assume() []statement {
	var all []statement
	var externalIDs []string
	var everything texts
	for _, a := range m.Targets {
		var roles texts
		for _, role := range a.Roles {
			roles = append(roles, sub("arn:${AWS::Partition}:iam::%s:role/%s", a.AccountID, role))
		}
		everything = append(everything, roles...)
		if i := slices.Index(externalIDs, a.ExternalID); i >= 0 {
			all[i].Resource = append(all[i].Resource, roles...)
			continue
		}
		s := allow(roles, "sts:AssumeRole")
		if a.ExternalID != "" {
			s = s.under("StringEquals", "sts:ExternalId", a.ExternalID)
		}
		all, externalIDs = append(all, s), append(externalIDs, a.ExternalID)
	}
	if m.PodIdentity && len(everything) > 0 {
		// Pod Identity marks its sessions with tags that go along into every role that is assumed next.
		all = append(all, allow(everything, "sts:TagSession"))
	}
	return all
}

func (o *ownConfig) targetTemplate() *template {
	t := o.Target
	result := &template{
		Description: "Hawser, target account: the identity that clusters of this account know.",
		Resources:   map[string]any{tokenRole: o.role(t.RoleName, "What EKS clusters know Hawser as: no permission in AWS", t.trust()...)},
		Outputs:     map[string]output{"TokenRoleARN": {"Role that clusters know", roleARN(tokenRole)}},
	}
	if len(t.Permissions) > 0 {
		role := o.role(t.APIRoleName, "What Hawser asks the EKS API as", t.trust()...)
		role.Policies = inline("eks-api", t.eksAPI())
		result.Resources[apiRole] = role
		result.Outputs["APIRoleARN"] = output{"Role that asks the EKS API", roleARN(apiRole)}
	}
	return result
}

// trust lets the trusted roles in.
func (t *target) trust() []statement {
	var principals texts
	for _, arn := range t.Trusts {
		part := roleARNPattern.FindStringSubmatch(arn)
		principals = append(principals, sub("arn:${AWS::Partition}:iam::%s:role/%s", part[2], part[3]))
	}
	all := []statement{trust("AWS", principals, "sts:AssumeRole")}
	if t.ExternalID != "" {
		all[0] = all[0].under("StringEquals", "sts:ExternalId", t.ExternalID)
	}
	if t.PodIdentity {
		// A statement of its own: there is no external ID in the question whether a session may be tagged.
		all = append(all, trust("AWS", principals, "sts:TagSession"))
	}
	if t.PrincipalOrgID != "" {
		for i := range all {
			all[i] = all[i].under("StringEquals", "aws:PrincipalOrgID", t.PrincipalOrgID)
		}
	}
	return all
}

// entryTag marks the access entries that Hawser made; package aws/access sets it.
const entryTag = "hawser.io/managed-by"

// eksAPI are the permissions for the EKS API, no broader than their use.
func (t *target) eksAPI() []statement {
	clusters := texts{sub("arn:${AWS::Partition}:eks:*:${AWS::AccountId}:cluster/*")}
	entries := texts{sub("arn:${AWS::Partition}:eks:*:${AWS::AccountId}:access-entry/*")}
	all := []statement{allow(clusters, "eks:DescribeCluster")}
	if slices.Contains(t.Permissions, permitDiscover) {
		all = append(all, allow(texts{"*"}, "eks:ListClusters")) // it knows no narrower resource
	}
	if slices.Contains(t.Permissions, permitAccessEntries) {
		onlyOurGroup := func(s statement) statement {
			return s.under("ForAllValues:StringEquals", "eks:kubernetesGroups", v1alpha1.MembersGroup)
		}
		onlyOurs := func(s statement) statement {
			return s.under("StringEquals", "aws:ResourceTag/"+entryTag, v1alpha1.ManagedBy)
		}
		all = append(all,
			allow(clusters, "eks:ListAccessEntries"),
			onlyOurGroup(allow(clusters, "eks:CreateAccessEntry")),
			allow(entries, "eks:DescribeAccessEntry", "eks:TagResource"),
			onlyOurs(onlyOurGroup(allow(entries, "eks:UpdateAccessEntry"))),
			onlyOurs(allow(entries, "eks:DeleteAccessEntry")),
		)
	}
	return all
}

func (o *ownConfig) warnings(account Account) []string {
	var all []string
	if t := o.Target; account == Target && t.ExternalID == "" {
		all = append(all, "target: there is no externalID: where more than one party makes the manager assume roles, "+
			"set one here and in the AWSIdentity, so that nobody can make it use another's role")
	}
	return all
}
