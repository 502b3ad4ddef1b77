package clusterprofile

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
)

// The kind (KEP-4322), and its plural name.
var (
	Kind     = schema.GroupVersionKind{Group: "multicluster.x-k8s.io", Version: "v1alpha1", Kind: "ClusterProfile"}
	Resource = schema.GroupVersionResource{Group: Kind.Group, Version: Kind.Version, Resource: "clusterprofiles"}
)

const (
	// ManagerLabel names, on a ClusterProfile, the cluster manager that made it: the same as spec.clusterManager.name.
	ManagerLabel = "x-k8s.io/cluster-manager"
	// ControlPlaneHealthy is the condition that the API server answers,
	ControlPlaneHealthy = "ControlPlaneHealthy"
	// Joined is the condition that the cluster manager manages the cluster.
	Joined = "Joined"
	// ExecExtension holds, in a cluster's entry, what a credential plugin is told as its configuration.
	ExecExtension = "client.authentication.k8s.io/exec"
	// ArgsExtension holds what is added to the plugin's command line, where the operator's file lets it,
	ArgsExtension = "clusterprofiles.multicluster.x-k8s.io/exec/additional-args"
	// EnvExtension holds what is added to its environment.
	EnvExtension = "clusterprofiles.multicluster.x-k8s.io/exec/additional-envs"
)

// Labels of the Secrets that hand a kubeconfig to one consumer of an inventory, and the key that it is under.
const (
	ConsumerLabel         = "x-k8s.io/cluster-inventory-consumer"
	ProfileLabel          = "x-k8s.io/cluster-profile"
	ProfileNamespaceLabel = "x-k8s.io/cluster-profile-namespace"
	SecretKey             = "Config"
)

// ClusterProfile is one cluster of somebody's inventory, as far as it is read.
type ClusterProfile struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            Status `json:"status"`
}

// Status is what the cluster manager knows of a cluster.
type Status struct {
	Conditions          []Condition      `json:"conditions"`
	Properties          []Property       `json:"properties"`
	AccessProviders     []AccessProvider `json:"accessProviders"`
	CredentialProviders []AccessProvider `json:"credentialProviders"` // the deprecated name of the same
}

// Condition is one of its conditions.
type Condition struct {
	Type    string                 `json:"type"`
	Status  metav1.ConditionStatus `json:"status"`
	Reason  string                 `json:"reason"`
	Message string                 `json:"message"`
}

// Property is one of its properties.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AccessProvider is one way to get access to the cluster: who knows it by its Name, reaches it at Cluster.
type AccessProvider struct {
	Name    string                 `json:"name"`
	Cluster clientcmdapiv1.Cluster `json:"cluster"`
}
