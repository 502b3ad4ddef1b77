package bootstrap

import (
	"fmt"
	"slices"

	"github.com/awslabs/goformation/v4/cloudformation/iam"
)

// planCAPA renders a file of kind AWSIAMConfiguration: what clusterawsadm makes of it, with every field doing
// what it says. (There, clusterAPIControllers.disable does nothing, path and boundary of controllers and nodes
// are those of the control plane, and the user gets the control plane's policies instead of its own.)
func planCAPA(f *file, account Account) (plan, error) {
	var config capaConfig
	if err := f.decode(&config); err != nil {
		return plan{}, err
	}
	s := &config.Spec
	s.applyDefaults()
	c := checker{file: f}
	c.checkCAPA(s)
	if err := c.err(); err != nil {
		return plan{}, err
	}
	t := s.template(account)
	c.checkSizes(t)
	return plan{template: t, warnings: s.warnings(account), commands: s.commands(account)}, c.err()
}

// Logical IDs, as clusterawsadm has them: a stack of its own is taken over without making anything anew.
const (
	capaControllersRole      = "AWSIAMRoleControllers"
	capaControlPlaneRole     = "AWSIAMRoleControlPlane"
	capaNodesRole            = "AWSIAMRoleNodes"
	capaEKSControlPlaneRole  = "AWSIAMRoleEKSControlPlane"
	capaEKSNodegroupRole     = "AWSIAMRoleEKSNodegroup"
	capaEKSFargateRole       = "AWSIAMRoleEKSFargate"
	capaControllersPolicy    = "AWSIAMManagedPolicyControllers"
	capaControllersEKSPolicy = "AWSIAMManagedPolicyControllersEKS"
	capaControlPlanePolicy   = "AWSIAMManagedPolicyCloudProviderControlPlane"
	capaNodesPolicy          = "AWSIAMManagedPolicyCloudProviderNodes"
	capaUserID               = "AWSIAMUserBootstrapper"
	capaGroupID              = "AWSIAMGroupBootstrapper"
)

func (s *capaSpec) template(account Account) *template {
	t := &template{
		Description: fmt.Sprintf("Roles and policies of Cluster API Provider AWS, %s account.", account),
		Resources:   map[string]any{},
	}
	s.addRoles(t)
	s.addPolicies(t)
	if u := s.BootstrapUser; u.Enable {
		t.Resources[capaGroupID] = &iam.Group{GroupName: u.GroupName}
		user := &iam.User{
			UserName: u.UserName, Groups: append([]string{ref(capaGroupID)}, u.ExtraGroups...),
			ManagedPolicyArns: u.ExtraPolicyAttachments, Tags: tagList(u.Tags),
		}
		if len(u.ExtraStatements) > 0 {
			user.Policies = []iam.User_Policy{{PolicyName: s.StackName, PolicyDocument: documentOf(u.ExtraStatements...)}}
		}
		t.Resources[capaUserID] = user
	}
	return t
}

func (s *capaSpec) addRoles(t *template) {
	ec2 := trust("Service", texts{"ec2.amazonaws.com"}, "sts:AssumeRole")
	add := func(id, name string, r *capaRole, policies []string, trusts ...statement) {
		if r.Disable {
			return
		}
		t.Resources[id] = &iam.Role{
			RoleName: name, Path: r.Path, PermissionsBoundary: r.PermissionsBoundary, Tags: tagList(r.Tags),
			AssumeRolePolicyDocument: documentOf(append(trusts, r.TrustStatements...)...),
			ManagedPolicyArns:        append(policies, r.ExtraPolicyAttachments...),
			Policies:                 inline(s.StackName, r.ExtraStatements),
		}
	}
	onEC2 := func(id, profile, name string, r *capaRole, policies []string, trusts ...statement) {
		if add(id, s.name(name), r, policies, append([]statement{ec2}, trusts...)...); !r.Disable {
			t.Resources[profile] = &iam.InstanceProfile{InstanceProfileName: s.name(name), Roles: []string{ref(id)}}
		}
	}

	var nodePolicies []string
	var podIdentity []statement
	if !s.EKS.Disable {
		nodePolicies = []string{awsManaged("AmazonEKSWorkerNodePolicy"), awsManaged("AmazonEKS_CNI_Policy")}
		podIdentity = []statement{trust("Service", texts{"pods.eks.amazonaws.com"}, "sts:AssumeRole", "sts:TagSession")}
	}
	if s.Nodes.EC2ContainerRegistryReadOnly {
		nodePolicies = append(nodePolicies, awsManaged("AmazonEC2ContainerRegistryReadOnly"))
	}
	onEC2(capaControllersRole, "AWSIAMInstanceProfileControllers", "controllers", &s.ClusterAPIControllers.capaRole, nil, podIdentity...)
	onEC2(capaControlPlaneRole, "AWSIAMInstanceProfileControlPlane", "control-plane", &s.ControlPlane.capaRole, nil)
	onEC2(capaNodesRole, "AWSIAMInstanceProfileNodes", "nodes", &s.Nodes.capaRole, nodePolicies)
	if s.EKS.Disable {
		return
	}
	add(capaEKSControlPlaneRole, "eks-controlplane"+capaSuffix, &s.EKS.DefaultControlPlaneRole,
		[]string{awsManaged("AmazonEKSClusterPolicy")}, trust("Service", texts{"eks.amazonaws.com"}, "sts:AssumeRole"))
	add(capaEKSNodegroupRole, "eks-nodegroup"+capaSuffix, s.EKS.ManagedMachinePool,
		[]string{awsManaged("AmazonEKSWorkerNodePolicy"), awsManaged("AmazonEKS_CNI_Policy"), awsManaged("AmazonEC2ContainerRegistryReadOnly")},
		trust("Service", texts{"ec2.amazonaws.com", "eks.amazonaws.com"}, "sts:AssumeRole"))
	add(capaEKSFargateRole, "eks-fargate"+capaSuffix, s.EKS.Fargate,
		[]string{awsManaged("AmazonEKSFargatePodExecutionRolePolicy")}, trust("Service", texts{"eks-fargate-pods.amazonaws.com"}, "sts:AssumeRole"))
}

func (s *capaSpec) addPolicies(t *template) {
	add := func(id, name, description string, d document, groups []string, roles ...string) {
		roles = slices.DeleteFunc(roles, func(id string) bool { return t.Resources[id] == nil }) // disabled
		for i := range roles {
			roles[i] = ref(roles[i])
		}
		t.Resources[id] = &iam.ManagedPolicy{
			ManagedPolicyName: s.name(name), Description: description, PolicyDocument: d, Groups: groups, Roles: roles,
		}
	}
	var group []string
	if s.BootstrapUser.Enable {
		group = []string{ref(capaGroupID)}
	}
	holders := []string{capaControllersRole}
	if !s.ControlPlane.DisableClusterAPIControllerPolicyAttachment {
		holders = append(holders, capaControlPlaneRole)
	}
	const forControllers = "For the Kubernetes Cluster API Provider AWS Controllers"
	add(capaControllersPolicy, "controllers", forControllers, s.controllersPolicy(), group, slices.Clone(holders)...)
	if !s.EKS.Disable {
		add(capaControllersEKSPolicy, "controllers-eks", forControllers, s.controllersEKSPolicy(), group, slices.Clone(holders)...)
	}
	nodes := []string{capaNodesRole}
	if !s.ControlPlane.DisableCloudProviderPolicy {
		add(capaControlPlanePolicy, "control-plane", "For the Kubernetes Cloud Provider AWS Control Plane", controlPlanePolicy(), nil, capaControlPlaneRole)
		nodes = append(nodes, capaControlPlaneRole)
	}
	if !s.Nodes.DisableCloudProviderPolicy {
		add(capaNodesPolicy, "nodes", "For the Kubernetes Cloud Provider AWS nodes", s.nodesPolicy(), nil, nodes...)
	}
}

// commands deploys the stack of one account; the file of the other account is another one.
func (s *capaSpec) commands(account Account) func(Format) []Command {
	note := "target account, after the management account: the roles that it trusts have to exist"
	if account == Management {
		note = "management account: " + whyFirst
	}
	return func(format Format) []Command {
		return []Command{{Note: note, Args: deploy(account, format, s.StackName, s.Region, s.StackTags)}}
	}
}
