package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AuthType names a way to authenticate, and the field of Auth that holds its settings.
// +kubebuilder:validation:Enum=bearerToken;mtls;kubeconfig;inCluster;eks;oidc;exec
type AuthType string

// The ways to authenticate.
const (
	AuthBearerToken AuthType = "bearerToken"
	AuthMTLS        AuthType = "mtls"
	AuthKubeconfig  AuthType = "kubeconfig"
	AuthInCluster   AuthType = "inCluster"
	AuthEKS         AuthType = "eks"
	AuthOIDC        AuthType = "oidc"
	AuthExec        AuthType = "exec"
)

// Auth says how a connection authenticates. Only the block that type names may be present.
//
// +kubebuilder:validation:XValidation:rule="has(self.bearerToken) ? self.type == 'bearerToken' : true",message="auth.bearerToken is only for auth.type bearerToken"
// +kubebuilder:validation:XValidation:rule="has(self.mtls) ? self.type == 'mtls' : true",message="auth.mtls is only for auth.type mtls"
// +kubebuilder:validation:XValidation:rule="(self.type == 'kubeconfig') == has(self.kubeconfig)",message="auth.type kubeconfig and the block auth.kubeconfig need each other"
// +kubebuilder:validation:XValidation:rule="(self.type == 'eks') == has(self.eks)",message="auth.type eks and the block auth.eks need each other"
// +kubebuilder:validation:XValidation:rule="(self.type == 'oidc') == has(self.oidc)",message="auth.type oidc and the block auth.oidc need each other"
// +kubebuilder:validation:XValidation:rule="(self.type == 'exec') == has(self.exec)",message="auth.type exec and the block auth.exec need each other"
type Auth struct {
	// Type names the way, and the block beside it that holds its settings:
	//
	// bearerToken: a service-account token of the remote cluster, from the key bearerToken of the
	// Secret hawser-cluster-<name> or from hawser join, renewed by itself from then on.
	//
	// mtls: a client certificate, from the keys tls.crt and tls.key of the Secret
	// hawser-cluster-<name>, watched, or renewed through the remote's CSR API.
	//
	// kubeconfig: a kubeconfig in a Secret, with an inline token or certificate.
	//
	// inCluster: this cluster itself, by Hawser's own service account; nothing is stored.
	//
	// eks: an AWS IAM identity, by presigned STS requests; nothing is stored.
	//
	// oidc: a token of an issuer that the remote cluster trusts, shown to its API server, or exchanged
	// at its gate; nothing is stored.
	//
	// exec: what a plugin gives that the manager's operator has configured.
	Type AuthType `json:"type"`

	// BearerToken adjusts auth.type bearerToken.
	// +optional
	BearerToken *BearerTokenAuth `json:"bearerToken,omitempty"`
	// MTLS adjusts auth.type mtls.
	// +optional
	MTLS *MTLSAuth `json:"mtls,omitempty"`
	// Kubeconfig says where the kubeconfig of auth.type kubeconfig is.
	// +optional
	Kubeconfig *KubeconfigAuth `json:"kubeconfig,omitempty"`
	// EKS holds the settings of auth.type eks.
	// +optional
	EKS *EKSAuth `json:"eks,omitempty"`
	// OIDC holds the settings of auth.type oidc.
	// +optional
	OIDC *OIDCAuth `json:"oidc,omitempty"`
	// Exec names the plugin of auth.type exec.
	// +optional
	Exec *ExecAuth `json:"exec,omitempty"`
}

// BearerTokenAuth adjusts auth.type bearerToken.
type BearerTokenAuth struct {
	// Lifetime asked for at each renewal. By default that of the token that is being renewed.
	// The API server may shorten it, and what it answers counts.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="lifetime must be at least 10m, the least that an API server grants"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
}

// CertificateRenewal says who renews a client certificate.
// +kubebuilder:validation:Enum=watch;csr
type CertificateRenewal string

const (
	// RenewByWatch leaves renewal to whoever owns the Secret, and warns 30, 7 and 1 days before expiry.
	RenewByWatch CertificateRenewal = "watch"
	// RenewByCSR renews through the remote cluster's CSR API, approved by the member controllers there.
	RenewByCSR CertificateRenewal = "csr"
)

// MTLSAuth adjusts auth.type mtls.
//
// +kubebuilder:validation:XValidation:rule="has(self.lifetime) ? self.renew == 'csr' : true",message="auth.mtls.lifetime is only for renew: csr"
type MTLSAuth struct {
	// Renew is watch (the default): somebody else replaces the certificate in the Secret, it is
	// picked up, and warnings come 30, 7 and 1 days before expiry. Or csr: Hawser renews it at
	// half of its life through the remote's CSR API, where the member controllers approve it.
	// +optional
	// +kubebuilder:default=watch
	Renew CertificateRenewal `json:"renew,omitempty"`
	// Lifetime asked for at each renewal. By default that of the certificate that is being renewed.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m')",message="lifetime must be at least 10m, the least that an API server grants"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
}

// KubeconfigAuth says where a kubeconfig is. Address, CA, proxy and TLS name come from it.
type KubeconfigAuth struct {
	// SecretRef names the Secret that holds the kubeconfig.
	SecretRef SecretKeyRef `json:"secretRef"`
	// Context of the kubeconfig. By default its current-context.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Context string `json:"context,omitempty"`
}

// SecretKeyRef names one key of a Secret.
type SecretKeyRef struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Namespace of the Secret. By default the one that Hawser runs in. In any other, Hawser needs
	// a Role that lets it get this Secret; the condition Authenticated prints it where it is missing.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Key of the Secret. Default kubeconfig.
	// +optional
	// +kubebuilder:default=kubeconfig
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// EKSAuth holds the settings of auth.type eks: a token that proves an AWS identity, made anew every
// ten minutes and never stored.
type EKSAuth struct {
	// ClusterName is the name of the EKS cluster in AWS. By default that of the RemoteCluster. The
	// token is signed for it: another cluster refuses it, unless that has the same name in another
	// account or region.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z][A-Za-z0-9_-]*$`
	// +kubebuilder:validation:MaxLength=100
	ClusterName string `json:"clusterName,omitempty"`
	// Region of the EKS cluster, for example eu-north-1.
	// +kubebuilder:validation:Pattern=`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`
	// +kubebuilder:validation:MaxLength=32
	Region string `json:"region"`
	// AccountID is the AWS account that the EKS cluster belongs to. It is checked where
	// apiIdentityRef may describe the cluster.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]{12}$`
	AccountID string `json:"accountID,omitempty"`
	// IdentityRef names the identity that the token proves. It needs no permission in AWS. By
	// default the manager's own: IRSA, Pod Identity, environment or instance.
	// +optional
	IdentityRef *AWSIdentityRef `json:"identityRef,omitempty"`
	// APIIdentityRef names the identity that asks the EKS API about the cluster
	// (eks:DescribeCluster). Without it the EKS API is asked nothing.
	// +optional
	APIIdentityRef *AWSIdentityRef `json:"apiIdentityRef,omitempty"`
}

// TokenLifetime is the lifetime that auth.bearerToken asks for; zero keeps that of the token.
func (a Auth) TokenLifetime() time.Duration {
	if a.BearerToken == nil || a.BearerToken.Lifetime == nil {
		return 0
	}
	return a.BearerToken.Lifetime.Duration
}

// CertificateLifetime is the lifetime that auth.mtls asks for; zero keeps that of the certificate.
func (a Auth) CertificateLifetime() time.Duration {
	if a.MTLS == nil || a.MTLS.Lifetime == nil {
		return 0
	}
	return a.MTLS.Lifetime.Duration
}

// Renews reports whether Hawser renews the credential by itself. What it does not renew, somebody else
// has to replace.
func (a Auth) Renews() bool {
	switch a.Type {
	case AuthBearerToken, AuthEKS, AuthOIDC, AuthExec:
		return true
	}
	return a.RenewsByCSR()
}

// RenewsByCSR reports whether auth.mtls renews through the CSR API.
func (a Auth) RenewsByCSR() bool { return a.MTLS != nil && a.MTLS.Renew == RenewByCSR }

// KubeconfigRef is auth.kubeconfig.secretRef with its defaults, where Hawser runs in namespace.
func (a Auth) KubeconfigRef(namespace string) SecretKeyRef {
	if a.Kubeconfig == nil {
		return SecretKeyRef{}
	}
	ref := a.Kubeconfig.SecretRef
	if ref.Namespace == "" {
		ref.Namespace = namespace
	}
	if ref.Key == "" {
		ref.Key = DefaultKubeconfigKey
	}
	return ref
}

// EKSClusterName is the name that tokens of auth.eks are signed for, where the RemoteCluster has the given name.
func (a Auth) EKSClusterName(name string) string {
	if a.EKS == nil || a.EKS.ClusterName == "" {
		return name
	}
	return a.EKS.ClusterName
}
