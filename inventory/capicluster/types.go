package capicluster

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// groupName is the API group of Cluster API, resource its kind, and versions those that are understood, best first.
const (
	groupName = "cluster.x-k8s.io"
	resource  = "clusters"
)

var versions = []string{"v1beta2", "v1beta1"}

// clusterNameLabel is on every Secret that Cluster API makes for a Cluster, and has to be on those that take
// the place of one.
const clusterNameLabel = "cluster.x-k8s.io/cluster-name"

// Cluster is a Cluster of Cluster API, of v1beta1 or v1beta2, as far as an inventory needs to know it.
type Cluster struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            ClusterStatus `json:"status"`
}

// ClusterStatus says how far a cluster has come.
type ClusterStatus struct {
	// Phase is Pending, Provisioning, Provisioned, Deleting, Failed or Unknown.
	Phase string `json:"phase"`
	// Initialization is from v1beta2 on.
	Initialization struct {
		ControlPlaneInitialized *bool `json:"controlPlaneInitialized"`
	} `json:"initialization"`
	// Conditions are of another type in each version; both have these two fields.
	Conditions []struct {
		Type   string `json:"type"`
		Status string `json:"status"`
	} `json:"conditions"`
}

// Initialized reports whether the control plane has come up once, by what either version says: then its API server
// answers, or did. Phase Provisioned counts, too: its address and its kubeconfig are there.
func (c *Cluster) Initialized() bool {
	if done := c.Status.Initialization.ControlPlaneInitialized; done != nil && *done {
		return true
	}
	for _, condition := range c.Status.Conditions {
		if condition.Type == "ControlPlaneInitialized" && condition.Status == "True" {
			return true
		}
	}
	return c.Status.Phase == "Provisioned"
}
