package v1alpha1

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TokenFrom says where the token of auth.type oidc comes from.
// +kubebuilder:validation:Enum=serviceAccount;azure;google;spiffe
type TokenFrom string

// Where tokens of auth.type oidc come from.
const (
	// TokenFromServiceAccount is this cluster's own issuer.
	TokenFromServiceAccount TokenFrom = "serviceAccount"
	// TokenFromAzure is Microsoft Entra ID, by workload identity.
	TokenFromAzure TokenFrom = "azure"
	// TokenFromGoogle is Google Cloud, by workload identity federation.
	TokenFromGoogle TokenFrom = "google"
	// TokenFromSPIFFE is the Workload API of SPIFFE.
	TokenFromSPIFFE TokenFrom = "spiffe"
)

// OIDCAuth holds the settings of auth.type oidc: a token that the remote cluster believes, made anew
// before it expires and never stored.
//
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccount) ? self.tokenFrom == 'serviceAccount' : true",message="auth.oidc.serviceAccount is only for tokenFrom serviceAccount"
// +kubebuilder:validation:XValidation:rule="(self.tokenFrom == 'azure') == has(self.azure)",message="tokenFrom azure and the block azure need each other"
// +kubebuilder:validation:XValidation:rule="(self.tokenFrom == 'google') == has(self.google)",message="tokenFrom google and the block google need each other"
// +kubebuilder:validation:XValidation:rule="has(self.spiffe) ? self.tokenFrom == 'spiffe' : true",message="auth.oidc.spiffe is only for tokenFrom spiffe"
// +kubebuilder:validation:XValidation:rule="self.tokenFrom != 'serviceAccount' || !has(self.audience) || self.audience.startsWith('hawser:') || (has(self.serviceAccount) && has(self.serviceAccount.tokenFile))",message="audience must begin with hawser: unless serviceAccount.tokenFile names a token that the pod was given: the manager asks for no token that means something elsewhere"
type OIDCAuth struct {
	// TokenFrom says where the token comes from: serviceAccount, this cluster's own issuer; azure,
	// Microsoft Entra workload identity; google, workload identity federation; spiffe, a JWT-SVID.
	TokenFrom TokenFrom `json:"tokenFrom"`
	// Audience of the token: what the remote cluster asks of it. By default hawser:<clusterID>. It
	// belongs to one cluster: one that this cluster's API server accepts, or that another
	// RemoteCluster has, is refused. It begins with hawser: unless serviceAccount.tokenFile or a cloud
	// decides otherwise, so that a RemoteCluster cannot ask for tokens that other services believe.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience,omitempty"`
	// ServiceAccount whose token is asked for. By default a token that the pod was given with the
	// audience (a projected volume), or else one of the manager's own account.
	// +optional
	ServiceAccount *OIDCServiceAccount `json:"serviceAccount,omitempty"`
	// Azure holds the settings of tokenFrom azure.
	// +optional
	Azure *OIDCAzure `json:"azure,omitempty"`
	// Google holds the settings of tokenFrom google.
	// +optional
	Google *OIDCGoogle `json:"google,omitempty"`
	// SPIFFE adjusts tokenFrom spiffe.
	// +optional
	SPIFFE *OIDCSPIFFE `json:"spiffe,omitempty"`
	// Exchange sends the token to the gate of the remote cluster, which answers one that its API
	// server knows. Without it the token is shown to the API server itself.
	// +optional
	Exchange *OIDCExchange `json:"exchange,omitempty"`
}

// OIDCServiceAccount is a service account of this cluster, in the namespace that Hawser runs in.
//
// +kubebuilder:validation:XValidation:rule="has(self.name) != has(self.tokenFile)",message="serviceAccount takes name or tokenFile, one of them"
type OIDCServiceAccount struct {
	// Name of an account in the namespace that Hawser runs in, whose tokens the manager asks for. It
	// needs the right to: the condition Authenticated prints the Role where it is missing.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// TokenFile is the base name of a projected token under the directory that the manager was started
	// with (--token-dir).
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][-A-Za-z0-9_.]*$`
	TokenFile string `json:"tokenFile,omitempty"`
}

// OIDCAzure holds the settings of tokenFrom azure.
type OIDCAzure struct {
	// TenantID and ClientID of the application that the workload identity federates with. By default
	// AZURE_TENANT_ID and AZURE_CLIENT_ID, as the workload identity webhook sets them.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9.-]+$`
	TenantID string `json:"tenantID,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9.-]+$`
	ClientID string `json:"clientID,omitempty"`
	// Scope of the token. For AKS with Entra: 6dae42f8-4368-4678-94ff-3960e28e3630/.default.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Scope string `json:"scope"`
}

// OIDCGoogle holds the settings of tokenFrom google.
type OIDCGoogle struct {
	// Provider is the full name of the workload identity provider, which is the audience of the token
	// that Google is shown: //iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^//iam\.googleapis\.com/[A-Za-z0-9/_.:-]+$`
	Provider string `json:"provider"`
	// ServiceAccount in Google Cloud that is impersonated. By default the federated identity itself.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+$`
	ServiceAccount string `json:"serviceAccount,omitempty"`
}

// OIDCSPIFFE adjusts tokenFrom spiffe.
type OIDCSPIFFE struct {
	// ID of the identity that is asked for, where the workload has several: spiffe://trust.domain/path.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$`
	ID string `json:"id,omitempty"`
}

// OIDCExchange is the gate of a remote cluster.
type OIDCExchange struct {
	// URL of the gate's token endpoint: https://gate.example.com/token.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && size(url(self).getHostname()) > 0",message="url must be https:// with a host"
	// +kubebuilder:validation:XValidation:rule="!isURL(self) || (size(url(self).getQuery()) == 0 && !self.contains('#') && !self.contains('@'))",message="url must have no user, query or fragment"
	URL string `json:"url"`
	// CAData is the CA bundle of the gate: PEM, then base64 on one line. Without it the system's roots are used.
	// +optional
	// +kubebuilder:validation:MaxLength=1048576
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]+={0,2}$') && size(self) % 4 == 0",message="caData must be base64 of a PEM bundle on one line (base64 -w0 ca.crt)"
	CAData string `json:"caData,omitempty"`
	// Grant is the name of the AccessGrant that is asked for, where the subject has several.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Grant string `json:"grant,omitempty"`
	// Lifetime of the token that is asked for. Default 1h; the grant and the issuer bound it.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m') && duration(self) <= duration('24h')",message="lifetime must be between 10m and 24h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
}

// ExecAuth names a plugin that the manager's operator has configured (--exec-providers), and what
// fills the parameters that its entry declares.
type ExecAuth struct {
	// Provider is the name of an entry of the operator's file.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Provider string `json:"provider"`
	// Parameters by name. Only those that the entry declares may be given.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Parameters map[string]string `json:"parameters,omitempty"`
}

// OIDCAudience is the audience of auth.oidc, where the remote cluster has the given id.
func (a Auth) OIDCAudience(clusterID string) string {
	if a.OIDC == nil {
		return ""
	}
	if a.OIDC.Audience == "" && clusterID == "" {
		return ""
	}
	return cmp.Or(a.OIDC.Audience, DefaultAudience(clusterID))
}
