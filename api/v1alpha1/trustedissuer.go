package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TrustedIssuer states, in the cluster that is entered, whose identities are believed there: tokens
// of which issuer, meant for which audience, and under which prefix its subjects are known.
//
// An identity that is believed may do nothing yet: an AccessGrant says what.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=ti,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.spec.prefix`
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Used",type=date,JSONPath=`.status.lastUse`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters"
type TrustedIssuer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says whose identities are believed, and as whom.
	Spec TrustedIssuerSpec `json:"spec"`
	// Status says which keys are in use and what was last learned.
	// +optional
	Status TrustedIssuerStatus `json:"status,omitempty"`
}

// TrustedIssuerList is a list of TrustedIssuers.
//
// +kubebuilder:object:root=true
type TrustedIssuerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrustedIssuer `json:"items"`
}

// TrustedIssuerSpec says whose identities are believed, and as whom.
//
// +kubebuilder:validation:XValidation:rule="!has(self.jwks) || !(has(self.discoveryURL) || has(self.caData))",message="jwks holds the keys: discoveryURL and caData are only for keys that are fetched"
type TrustedIssuerSpec struct {
	// URL is the issuer: exactly what its tokens have in the claim iss. Keys are found by discovery
	// (URL/.well-known/openid-configuration) unless jwks holds them. It must not be the issuer of the
	// cluster that is entered, nor that of another TrustedIssuer.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && size(url(self).getHostname()) > 0",message="url must be https:// with a host"
	// +kubebuilder:validation:XValidation:rule="!isURL(self) || (size(url(self).getQuery()) == 0 && !self.contains('#') && !self.contains('@'))",message="url must have no user, query or fragment"
	URL string `json:"url"`
	// DiscoveryURL is where the discovery document is, in full, where it is not at the usual place
	// under url: a mirror inside the cluster, for example. Its issuer must be url all the same.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && size(url(self).getHostname()) > 0",message="discoveryURL must be https:// with a host"
	DiscoveryURL string `json:"discoveryURL,omitempty"`
	// CAData is the CA bundle that the issuer's certificate is verified with, where keys are fetched:
	// PEM, then base64 on one line. Without it the system's roots are used.
	// +optional
	// +kubebuilder:validation:MaxLength=1048576
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]+={0,2}$') && size(self) % 4 == 0",message="caData must be base64 of a PEM bundle on one line (base64 -w0 ca.crt)"
	CAData string `json:"caData,omitempty"`
	// JWKS holds the issuer's public keys (RFC 7517), for issuers that cannot be reached from here:
	// kubectl get --raw /openid/v1/jwks prints those of a cluster.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	JWKS string `json:"jwks,omitempty"`
	// PinnedKeys are SHA-256 thumbprints (RFC 7638, base64url), as the status shows them. Where there
	// are any, no other key is believed, whatever the issuer publishes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9_-]{43}$`
	PinnedKeys []string `json:"pinnedKeys,omitempty"`
	// Audiences of which a token must name one. By default hawser:<id of this cluster>, the UID of its
	// namespace kube-system. An audience belongs to one cluster: with a shared one, whoever a token is
	// shown to can use it in the others.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Audiences []string `json:"audiences,omitempty"`
	// Prefix stands before the name of every user and group of this issuer: a name and a colon. No two
	// TrustedIssuers have the same.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?:$')",message="prefix must be a lower-case name and a colon, such as cluster-b:"
	// +kubebuilder:validation:XValidation:rule="!(self in ['system:', 'hawser:', 'kubernetes:', 'kubeadm:', 'eks:', 'aks:', 'gke:'])",message="prefix must not be one that Kubernetes or Hawser keeps for itself"
	Prefix string `json:"prefix"`
	// ClaimRules must all hold for a token to be believed. One that cannot be evaluated does not hold.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ClaimRules []ClaimRule `json:"claimRules,omitempty"`
	// Username is a CEL expression over claims that gives the name that comes after the prefix. Default claims.sub.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Username string `json:"username,omitempty"`
	// Groups is a CEL expression over claims that gives a list of names, each of which gets the prefix. Default: none.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Groups string `json:"groups,omitempty"`
	// MaxLifetime is the longest lifetime that a token may have from its iat to its exp, and the
	// longest of what it is exchanged for. Default 1h.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m') && duration(self) <= duration('24h')",message="maxLifetime must be between 10m and 24h"
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`
}

// ClaimRule is a condition on the claims of a token.
type ClaimRule struct {
	// Expression is CEL over the map claims that gives true or false:
	// claims['kubernetes.io'].namespace == 'shop'.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Expression string `json:"expression"`
	// Message for the log when it does not hold.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Message string `json:"message,omitempty"`
}

// TrustedIssuerStatus says which keys are in use and what was last learned.
type TrustedIssuerStatus struct {
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Audiences that tokens are accepted for.
	// +optional
	// +listType=atomic
	Audiences []string `json:"audiences,omitempty"`
	// Keys that tokens are verified with, and those that are not because they are not pinned. The gate
	// reads them here, so that it goes on when the issuer cannot be reached.
	// +optional
	// +listType=map
	// +listMapKey=thumbprint
	Keys []IssuerKey `json:"keys,omitempty"`
	// FetchedAt is when the keys were last fetched.
	// +optional
	FetchedAt *metav1.Time `json:"fetchedAt,omitempty"`
	// LastUse is when a token of this issuer was last exchanged, give or take a minute. The gate writes it.
	// +optional
	LastUse *metav1.Time `json:"lastUse,omitempty"`
	// LastFailure is the last token that was refused. The gate writes it, once a minute at most.
	// +optional
	LastFailure *IssuerFailure `json:"lastFailure,omitempty"`
}

// IssuerKey is one public key of an issuer.
type IssuerKey struct {
	// Thumbprint is the SHA-256 thumbprint of RFC 7638, in base64url.
	Thumbprint string `json:"thumbprint"`
	// KeyID is the kid by which tokens name it.
	// +optional
	KeyID string `json:"keyID,omitempty"`
	// Algorithm that it signs with, for example RS256.
	Algorithm string `json:"algorithm"`
	// JWK is the public key itself (RFC 7517).
	JWK string `json:"jwk"`
	// FirstSeen and LastSeen are when the issuer was first and last found to publish it.
	FirstSeen metav1.Time `json:"firstSeen"`
	LastSeen  metav1.Time `json:"lastSeen"`
	// Unused says why no token is verified with it: not pinned, or no longer published. Empty for keys in use.
	// +optional
	Unused string `json:"unused,omitempty"`
}

// IssuerFailure is a token that was refused.
type IssuerFailure struct {
	// Time of the refusal.
	Time metav1.Time `json:"time"`
	// Reason, one word: UnknownKey, BadSignature, Expired, WrongAudience and so on.
	Reason string `json:"reason"`
	// Message says more. Never the token.
	// +optional
	Message string `json:"message,omitempty"`
}
