package bootstrap

import "cmp"

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
