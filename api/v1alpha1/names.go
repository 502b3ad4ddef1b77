package v1alpha1

// Names that both sides agree on. A remote cluster keeps one namespace for each
// local cluster that may enter it, so that cutting one connection harms no other.
const (
	// Namespace is where Hawser runs, on either side.
	Namespace = "hawser"
	// MemberServiceAccount is the account of a connection, in its own namespace
	// MemberNamespace(local).
	MemberServiceAccount = "hawser"
	// GrantsNamespace, in a remote cluster, holds the accounts that AccessGrants make.
	GrantsNamespace = "hawser-grants"
	// GateServiceAccount is the account of the gate, in Namespace of the remote cluster.
	GateServiceAccount = "hawser-gate"
	// MembersGroup holds the connections that are no service accounts.
	MembersGroup = "hawser-members"
	// MemberControllersLease is held in Namespace of a remote cluster by the member
	// controllers while they run; its age tells whether somebody will approve a
	// certificate renewal.
	MemberControllersLease = "hawser-member-controllers"

	// CredentialsLabel marks, with the value "true", the Secrets that people, Helm
	// or GitOps fill in for Hawser to read. Hawser never writes them.
	CredentialsLabel = "hawser.io/remote-cluster-credentials"
	// ManagedByLabel and ManagedBy mark what Hawser made and may remove.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "hawser"
	// LocalClusterLabel names, on objects in a remote cluster, the local cluster
	// whose connection they serve.
	LocalClusterLabel = "hawser.io/local-cluster"
	// RemoteClusterLabel names, on objects in the local cluster, the RemoteCluster
	// that they serve.
	RemoteClusterLabel = "hawser.io/remote-cluster"
	// InventoryLabel names, on a RemoteCluster, the inventory that keeps it: eks.<EKSInventory> or capa.
	InventoryLabel = "hawser.io/inventory"
	// NamespaceLabel is, on a RemoteCluster, the namespace of the object that an inventory made it
	// from. It has to be among the allowedNamespaces of every identity of its chain. What a person
	// wrote by hand has none and is exempt.
	NamespaceLabel = "hawser.io/source-namespace"
	// VersionAnnotation records the version of Hawser that rendered a member install.
	VersionAnnotation = "hawser.io/version"
	// Finalizer keeps a RemoteCluster whose member install hawser join made until that is removed. No other has it.
	Finalizer = "hawser.io/remote-cluster"
	// IdentityFinalizer, RequestFinalizer and GrantFinalizer were put on by earlier versions, and are taken off.
	IdentityFinalizer = "hawser.io/aws-identity"
	RequestFinalizer  = "hawser.io/access-request"
	GrantFinalizer    = "hawser.io/access-grant"
	// GrantLabel names, on objects in the cluster that is entered, the AccessGrant that they serve.
	GrantLabel = "hawser.io/access-grant"
	// RequestLabel names, on a Secret, the AccessRequest of its namespace that it was written for.
	RequestLabel = "hawser.io/access-request"
	// ExpiresAnnotation says, on what an AccessRequest wrote, when the token in it ends (RFC 3339).
	ExpiresAnnotation = "hawser.io/expires-at"
	// FieldManager is the owner of the fields that Hawser applies.
	FieldManager = "hawser"
)

// Keys of input Secrets.
const (
	BearerTokenKey = "bearerToken"
	TLSCertKey     = "tls.crt"
	TLSKeyKey      = "tls.key"
	// DefaultKubeconfigKey is where kubeconfig Secrets keep their text unless secretRef.key says otherwise.
	DefaultKubeconfigKey = "kubeconfig"
)

// InputSecretName is the name of the Secret that a person or Helm fills in for a cluster.
func InputSecretName(cluster string) string { return "hawser-cluster-" + cluster }

// CredentialSecretName is the name of the Secret in which Hawser keeps what it renewed for a cluster.
func CredentialSecretName(cluster string) string { return "hawser-credential-" + cluster }

// BindingSecretName is the name of the Secret that records which server the input of a cluster may be shown to.
func BindingSecretName(cluster string) string { return "hawser-binding-" + cluster }

// MemberNamespace is the namespace, in a remote cluster, of the connection that comes from local.
func MemberNamespace(local string) string { return "hawser-from-" + local }

// MemberUser is the user name, in a remote cluster, of the connection that comes
// from local, where it authenticates by a certificate.
func MemberUser(local string) string { return "hawser:from:" + local }

// Annotations by which people ask the manager for something. Each holds the time of asking (RFC 3339).
const (
	// RenewAnnotation asks for a new credential now.
	RenewAnnotation = "hawser.io/renew-requested"
	// RevokedAnnotation tells that the credential was cut off, so that what runs over the link is ended.
	RevokedAnnotation = "hawser.io/revoked"
)

// ManagerConfigMap, in Namespace of the local cluster, is where the manager says who it is, under
// the keys below, for the commands that need to know.
const (
	ManagerConfigMap  = "hawser-manager"
	ClusterNameKey    = "clusterName"
	DefaultClusterKey = "defaultCluster"
	VersionKey        = "version"
	// ClusterAPIKey holds the namespace of Cluster API's provider for AWS, where its clusters are connected to.
	ClusterAPIKey = "clusterAPI"
)

// DefaultAudience is the audience of tokens for the cluster whose namespace kube-system has the given
// UID, unless both sides say otherwise.
func DefaultAudience(clusterID string) string { return "hawser:" + clusterID }
