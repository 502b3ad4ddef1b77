package cli

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Status is the answer of hawser status -o json. Fields are only ever added. A list is null where its kind is not
// installed, or may not be listed.
type Status struct {
	// At is when the question was asked.
	At    metav1.Time `json:"at"`
	Local StatusLocal `json:"local"`
	// Processes are the manager, the member controllers and the gate of this cluster.
	Processes []Process `json:"processes"`
	// Clusters by name.
	Clusters []ClusterStatus `json:"clusters"`
	// Credentials of connections, and those which AccessRequests handed out: the first to expire comes first,
	// and those that never do come last.
	Credentials              []CredentialStatus `json:"credentials"`
	EndpointSets             []FederationStatus `json:"endpointSets"`
	FederatedNetworkPolicies []FederationStatus `json:"federatedNetworkPolicies"`
	AccessRequests           []RequestStatus    `json:"accessRequests"`
	AccessGrants             []GrantStatus      `json:"accessGrants"`
	TrustedIssuers           []IssuerStatus     `json:"trustedIssuers"`
	// Gaps is empty where nothing is missing.
	Gaps []Gap `json:"gaps"`
}

// StatusLocal is what the manager says of the local cluster; empty where there is none.
type StatusLocal struct {
	Name           string `json:"name"`
	DefaultCluster string `json:"defaultCluster,omitempty"`
	// Version of the manager.
	Version string `json:"version,omitempty"`
}

// Kinds of process.
const (
	processManager     = "manager"
	processControllers = "memberControllers"
	processGate        = "gate"
)

// States of a process.
const (
	stateRunning = "running"
	stateStale   = "stale"   // it has not renewed its Lease
	stateStopped = "stopped" // it gave up its Lease, or no pod of it is ready
	stateAbsent  = "absent"  // nothing says that it was ever here
	stateUnknown = "unknown" // what would tell may not be read, or is not kept
)

// Process is one program of Hawser's in this cluster, of which there may be several replicas.
type Process struct {
	Kind string `json:"kind"` // manager, memberControllers or gate
	// State is running, stale, stopped, absent or unknown.
	State string `json:"state"`
	// Holder of the Lease by which one of several acts or leads.
	Holder string `json:"holder,omitempty"`
	// SeenAt is when the Lease was renewed last.
	SeenAt *metav1.Time `json:"seenAt,omitempty"`
	// Ready of Wanted pods, where the chart's Deployment is there.
	Ready  *int32 `json:"ready,omitempty"`
	Wanted *int32 `json:"wanted,omitempty"`
	// Replicas that share the clusters among them, by name: only with hawser manager --shards.
	Replicas []Replica `json:"replicas,omitempty"`
}

// Replica is one of several managers that share the clusters.
type Replica struct {
	Name   string       `json:"name"`
	State  string       `json:"state"`
	SeenAt *metav1.Time `json:"seenAt,omitempty"`
	// Clusters that it owns, and those that it is to leave to others.
	Clusters []string `json:"clusters"`
	Leaving  []string `json:"leaving,omitempty"`
}

// ClusterStatus is one cluster.
type ClusterStatus struct {
	Summary
	// Owner is the replica that holds the connection: only with hawser manager --shards.
	Owner string `json:"owner,omitempty"`
}

// CredentialStatus is a credential, never its secret.
type CredentialStatus struct {
	Kind      string `json:"kind"` // RemoteCluster or AccessRequest
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Subject   string `json:"subject,omitempty"`
	// ExpiresAt is absent where it never expires.
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	RenewedAt *metav1.Time `json:"renewedAt,omitempty"`
	// Fresh is the condition CredentialFresh, of an AccessRequest Ready: True, False or Unknown.
	Fresh  string `json:"fresh"`
	Reason string `json:"reason"`
}

// RequestStatus is one AccessRequest.
type RequestStatus struct {
	Namespace  string       `json:"namespace"`
	Name       string       `json:"name"`
	Cluster    string       `json:"cluster"`
	Grant      string       `json:"grant"`
	Format     string       `json:"format"`
	Ready      string       `json:"ready"`
	Reason     string       `json:"reason"`
	Message    string       `json:"message"`
	SecretName string       `json:"secretName,omitempty"`
	ExpiresAt  *metav1.Time `json:"expiresAt,omitempty"`
}

// GrantStatus is one AccessGrant of this cluster.
type GrantStatus struct {
	Name     string   `json:"name"`
	Ready    string   `json:"ready"`
	Reason   string   `json:"reason"`
	Message  string   `json:"message"`
	Roles    []string `json:"roles"`
	Subjects int      `json:"subjects"`
	// Namespaces that it holds in now; "*" is the whole cluster.
	Namespaces []string     `json:"namespaces"`
	EndsAt     *metav1.Time `json:"endsAt,omitempty"`
}

// IssuerStatus is one TrustedIssuer of this cluster.
type IssuerStatus struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Prefix  string `json:"prefix"`
	Ready   string `json:"ready"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Keys that tokens are verified with.
	Keys      int          `json:"keys"`
	FetchedAt *metav1.Time `json:"fetchedAt,omitempty"`
	LastUse   *metav1.Time `json:"lastUse,omitempty"`
	// LastFailure is the last token that was refused.
	LastFailure *v1alpha1.IssuerFailure `json:"lastFailure,omitempty"`
}

// Gap is something that is missing from the fleet, or from this answer.
type Gap struct {
	// Kind is a kind of object, or Process.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	// Name is empty where the whole kind could not be read.
	Name    string `json:"name,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Since is absent where nobody knows.
	Since *metav1.Time `json:"since,omitempty"`
}
