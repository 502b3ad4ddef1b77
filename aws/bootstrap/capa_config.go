package bootstrap

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The kind of Cluster API Provider AWS, read as it is.
const (
	capaAPIVersion = "bootstrap.aws.infrastructure.cluster.x-k8s.io/v1beta1"
	capaKind       = "AWSIAMConfiguration"
)

// capaConfig is a file of kind AWSIAMConfiguration: every field that the kind has, whether it is rendered or refused.
type capaConfig struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Spec       capaSpec `yaml:"spec"`
}

type capaSpec struct {
	NamePrefix            string            `yaml:"namePrefix"`
	NameSuffix            *string           `yaml:"nameSuffix"`
	Partition             string            `yaml:"partition"`
	Region                string            `yaml:"region"`
	StackName             string            `yaml:"stackName"`
	StackTags             map[string]string `yaml:"stackTags"`
	SecureSecretBackends  []secretBackend   `yaml:"secureSecretBackends"`
	S3Buckets             *capaS3Buckets    `yaml:"s3Buckets"`
	EventBridge           capaEnable        `yaml:"eventBridge"`
	AllowAssumeRole       bool              `yaml:"allowAssumeRole"`
	ControlPlane          capaControlPlane  `yaml:"controlPlane"`
	ClusterAPIControllers capaControllers   `yaml:"clusterAPIControllers"`
	Nodes                 capaNodes         `yaml:"nodes"`
	BootstrapUser         capaUser          `yaml:"bootstrapUser"`
	EKS                   *capaEKS          `yaml:"eks"`
}

// secretBackend is where bootstrap data of machines is kept.
type secretBackend string

const (
	secretsManager    secretBackend = "secrets-manager"
	ssmParameterStore secretBackend = "ssm-parameter-store"
)

type capaEnable struct {
	Enable bool `yaml:"enable"`
}

type capaS3Buckets struct {
	Enable     bool   `yaml:"enable"`
	NamePrefix string `yaml:"namePrefix"`
}

// capaRole is what all blocks for a role have.
type capaRole struct {
	Disable                bool              `yaml:"disable"`
	ExtraPolicyAttachments []string          `yaml:"extraPolicyAttachments"`
	ExtraStatements        []statement       `yaml:"extraStatements"`
	TrustStatements        []statement       `yaml:"trustStatements"`
	Path                   string            `yaml:"path"`
	PermissionsBoundary    string            `yaml:"permissionsBoundary"`
	Tags                   map[string]string `yaml:"tags"`
}

type capaControllers struct {
	capaRole                   `yaml:",inline"`
	AllowedEC2InstanceProfiles []string `yaml:"allowedEC2InstanceProfiles"`
}

type capaControlPlane struct {
	capaRole                                    `yaml:",inline"`
	DisableClusterAPIControllerPolicyAttachment bool `yaml:"disableClusterAPIControllerPolicyAttachment"`
	DisableCloudProviderPolicy                  bool `yaml:"disableCloudProviderPolicy"`
	EnableCSIPolicy                             bool `yaml:"enableCSIPolicy"`
}

type capaNodes struct {
	capaRole                     `yaml:",inline"`
	DisableCloudProviderPolicy   bool `yaml:"disableCloudProviderPolicy"`
	EC2ContainerRegistryReadOnly bool `yaml:"ec2ContainerRegistryReadOnly"`
}

type capaUser struct {
	Enable                 bool              `yaml:"enable"`
	UserName               string            `yaml:"userName"`
	GroupName              string            `yaml:"groupName"`
	ExtraPolicyAttachments []string          `yaml:"extraPolicyAttachments"`
	ExtraGroups            []string          `yaml:"extraGroups"`
	ExtraStatements        []statement       `yaml:"extraStatements"`
	Tags                   map[string]string `yaml:"tags"`
}

type capaEKS struct {
	Disable                    bool      `yaml:"disable"`
	IAMRoleCreation            bool      `yaml:"iamRoleCreation"`
	EnableUserEKSConsolePolicy bool      `yaml:"enableUserEKSConsolePolicy"`
	DefaultControlPlaneRole    capaRole  `yaml:"defaultControlPlaneRole"`
	ManagedMachinePool         *capaRole `yaml:"managedMachinePool"`
	Fargate                    *capaRole `yaml:"fargate"`
	KMSAliasPrefix             string    `yaml:"kmsAliasPrefix"`
}

// CAPA's names where nobody chose one. The EKS roles keep theirs under any suffix: its controllers look for them.
const (
	capaSuffix     = ".cluster-api-provider-aws.sigs.k8s.io"
	capaStack      = "cluster-api-provider-aws-sigs-k8s-io"
	capaUserName   = "bootstrapper" + capaSuffix
	capaKMSAliases = "cluster-api-provider-aws-*"
)

// name puts prefix and suffix around a name.
func (s *capaSpec) name(name string) string { return s.NamePrefix + name + *s.NameSuffix }

func (s *capaSpec) applyDefaults() {
	if s.NameSuffix == nil {
		suffix := capaSuffix
		s.NameSuffix = &suffix
	}
	s.StackName = cmp.Or(s.StackName, capaStack)
	if len(s.SecureSecretBackends) == 0 {
		s.SecureSecretBackends = []secretBackend{secretsManager}
	}
	s.BootstrapUser.UserName = cmp.Or(s.BootstrapUser.UserName, capaUserName)
	s.BootstrapUser.GroupName = cmp.Or(s.BootstrapUser.GroupName, capaUserName)
	if s.EKS == nil {
		s.EKS = &capaEKS{}
	} else if !s.EKS.Disable {
		s.Nodes.EC2ContainerRegistryReadOnly = true // as CAPA does where the block is there
	}
	s.EKS.KMSAliasPrefix = cmp.Or(s.EKS.KMSAliasPrefix, capaKMSAliases)
	if s.EKS.ManagedMachinePool == nil {
		s.EKS.ManagedMachinePool = &capaRole{Disable: true}
	}
	if s.EKS.Fargate == nil {
		s.EKS.Fargate = &capaRole{Disable: true}
	}
}

// roles returns the blocks for roles by their paths, in the order of the file's documentation.
func (s *capaSpec) roles() []namedRole {
	return []namedRole{
		{"spec.clusterAPIControllers", &s.ClusterAPIControllers.capaRole},
		{"spec.controlPlane", &s.ControlPlane.capaRole},
		{"spec.nodes", &s.Nodes.capaRole},
		{"spec.eks.defaultControlPlaneRole", &s.EKS.DefaultControlPlaneRole},
		{"spec.eks.managedMachinePool", s.EKS.ManagedMachinePool},
		{"spec.eks.fargate", s.EKS.Fargate},
	}
}

type namedRole struct {
	path string
	role *capaRole
}

var (
	namePartPattern  = regexp.MustCompile(`^[\w+=,.@-]{0,48}$`)
	userNamePattern  = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	groupNamePattern = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	profilePattern   = regexp.MustCompile(`^[\w+=,.@/*-]{1,512}$`)
	aliasPattern     = regexp.MustCompile(`^[\w/*-]{1,250}$`)
)

// notRendered refuses what only clusterawsadm makes.
func (c *checker) notRendered(path string, set bool, why string) {
	if !set {
		return
	}
	if why != "" {
		why = " (" + why + ")"
	}
	c.add(path, "not rendered by hawser%s: use clusterawsadm, or leave it out", why)
}

// checkCAPA looks at a whole spec, after its defaults.
func (c *checker) checkCAPA(s *capaSpec) {
	s.Partition, s.Region = c.checkPartition("spec.partition", s.Partition, "spec.region", s.Region)
	c.matches("spec.namePrefix", s.NamePrefix, namePartPattern, "the beginning of a name")
	c.matches("spec.nameSuffix", *s.NameSuffix, namePartPattern, "the end of a name")
	for _, name := range []string{"controllers", "control-plane", "nodes", "controllers-eks"} {
		if full := s.name(name); len(full) > 64 {
			c.add("spec.namePrefix", "the name %s has %d characters, and IAM takes 64", full, len(full))
		}
	}
	c.matches("spec.stackName", s.StackName, stackNamePattern, "the name of a stack: a letter, then up to 99 letters, digits and dashes")
	c.checkTags("spec.stackTags", s.StackTags)
	for i, backend := range s.SecureSecretBackends {
		if !slices.Contains([]secretBackend{secretsManager, ssmParameterStore}, backend) {
			c.add(fmt.Sprintf("spec.secureSecretBackends[%d]", i), "there is no %q: there is %s and %s", backend, secretsManager, ssmParameterStore)
		}
	}
	if s.S3Buckets != nil {
		c.notRendered("spec.s3Buckets.enable", s.S3Buckets.Enable, "")
		c.notRendered("spec.s3Buckets.namePrefix", s.S3Buckets.NamePrefix != "", "")
	}
	c.notRendered("spec.eventBridge.enable", s.EventBridge.Enable, "")
	c.notRendered("spec.allowAssumeRole", s.AllowAssumeRole,
		"it also lets control plane nodes and the bootstrap user assume roles in every account; clusterAPIControllers.extraStatements can name the accounts")
	c.notRendered("spec.controlPlane.enableCSIPolicy", s.ControlPlane.EnableCSIPolicy, "")
	c.notRendered("spec.eks.enableUserEKSConsolePolicy", s.EKS.EnableUserEKSConsolePolicy, "")
	c.checkPatterns("spec.clusterAPIControllers.allowedEC2InstanceProfiles", s.ClusterAPIControllers.AllowedEC2InstanceProfiles,
		profilePattern, "the name of a role, or a pattern with *")
	c.matches("spec.eks.kmsAliasPrefix", s.EKS.KMSAliasPrefix, aliasPattern, "the beginning of an alias")
	if s.EKS.Disable && c.anySet("spec.eks", "iamRoleCreation", "defaultControlPlaneRole", "managedMachinePool", "fargate", "kmsAliasPrefix") {
		c.add("spec.eks.disable", "nothing of EKS is made, so the other settings of the block would be lost: leave out one or the other")
	}
	c.checkUser(&s.BootstrapUser)
	for _, r := range s.roles() {
		c.checkRole(r.path, r.role)
	}
}

func (c *checker) checkPatterns(path string, all []string, pattern *regexp.Regexp, what string) {
	for i, value := range all {
		if !pattern.MatchString(value) {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%q is not %s", value, what)
		}
	}
}

func (c *checker) checkRole(path string, r *capaRole) {
	c.checkPatterns(path+".extraPolicyAttachments", r.ExtraPolicyAttachments, policyARNPattern, "the ARN of a policy")
	c.checkStatements(path+".extraStatements", r.ExtraStatements, false)
	c.checkStatements(path+".trustStatements", r.TrustStatements, true)
	c.matches(path+".path", r.Path, pathPattern, "a path: it begins and ends with a slash")
	c.matches(path+".permissionsBoundary", r.PermissionsBoundary, policyARNPattern, "the ARN of a policy")
	c.checkTags(path+".tags", r.Tags)
	if settings := r.Path != "" || r.PermissionsBoundary != "" || len(r.Tags)+len(r.ExtraPolicyAttachments)+len(r.ExtraStatements)+len(r.TrustStatements) > 0; r.Disable && settings {
		c.add(path+".disable", "the role is not made, so its other settings would be lost: leave out one or the other")
	}
}

func (c *checker) checkUser(u *capaUser) {
	const path = "spec.bootstrapUser"
	c.matches(path+".userName", u.UserName, userNamePattern, "the name of a user")
	c.matches(path+".groupName", u.GroupName, groupNamePattern, "the name of a group")
	c.checkPatterns(path+".extraPolicyAttachments", u.ExtraPolicyAttachments, policyARNPattern, "the ARN of a policy")
	c.checkPatterns(path+".extraGroups", u.ExtraGroups, groupNamePattern, "the name of a group")
	c.checkStatements(path+".extraStatements", u.ExtraStatements, false)
	c.checkTags(path+".tags", u.Tags)
	if !u.Enable && c.anySet(path, "userName", "groupName", "extraPolicyAttachments", "extraGroups", "extraStatements", "tags") {
		c.add(path, "the user is not made without enable: true, so its other settings would be lost")
	}
}

// anySet reports whether the file has any of the fields.
func (c *checker) anySet(path string, fields ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return c.file.lines[path+"."+field] > 0 })
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
