package v1alpha1

// Condition types of a RemoteCluster. Each is owned by one piece of code; Ready sums up the others.
const (
	// Ready is True when the connection can be used for all that was asked of it.
	Ready = "Ready"
	// Reachable is True when the API server answers over verified TLS.
	Reachable = "Reachable"
	// Authenticated is True when the API server accepts the credential.
	Authenticated = "Authenticated"
	// Authorized is True when the identity holds every verb of its capabilities and requires.
	Authorized = "Authorized"
	// CredentialFresh is True when the credential is not due, or is being renewed in time.
	CredentialFresh = "CredentialFresh"
	// Compatible is True when versions and clocks are close enough to work together.
	Compatible = "Compatible"
)

// Complete is True, on an EndpointSet and on a FederatedNetworkPolicy, when what was made is of all clusters that are
// asked for.
const Complete = "Complete"

// Reasons, by condition. A reason tells what to do; the message names the objects.
const (
	// Ready.
	ReasonConnected  = "Connected"
	ReasonConnecting = "Connecting"
	ReasonDisabled   = "Disabled"

	// Any condition that nothing has been learned about yet, or any more.
	ReasonNotProbed = "NotProbed"

	// Reachable.
	ReasonAnswering        = "Answering"
	ReasonDNSFailed        = "DNSFailed"
	ReasonDialFailed       = "DialFailed"
	ReasonTimeout          = "Timeout"
	ReasonTLSFailed        = "TLSFailed"
	ReasonNotKubernetes    = "NotKubernetes"
	ReasonServerError      = "ServerError"
	ReasonNotReady         = "NotReady"
	ReasonSpecInvalid      = "SpecInvalid"
	ReasonWrongCluster     = "WrongCluster"
	ReasonAddressUnproven  = "AddressUnproven"
	ReasonAuthTypeUnknown  = "AuthTypeUnknown"
	ReasonDuplicateCluster = "DuplicateCluster"

	// Authenticated.
	ReasonAccepted       = "Accepted"
	ReasonRefused        = "Refused"
	ReasonNoCredential   = "NoCredential"
	ReasonInputMissing   = "InputMissing"
	ReasonInputUnlabeled = "InputUnlabeled"
	ReasonInputForbidden = "InputForbidden"
	ReasonInputInvalid   = "InputInvalid"
	ReasonPluginFailed   = "PluginFailed"
	ReasonPluginUnknown  = "PluginUnknown"
	ReasonTokenFailed    = "TokenFailed"
	ReasonExchangeFailed = "ExchangeFailed"
	ReasonAudienceShared = "AudienceShared"

	// Authorized.
	ReasonAllowed      = "Allowed"
	ReasonMissingVerbs = "MissingVerbs"

	// CredentialFresh.
	ReasonFresh         = "Fresh"
	ReasonNeverExpires  = "NeverExpires"
	ReasonExpiresSoon   = "ExpiresSoon"
	ReasonExpired       = "Expired"
	ReasonRenewalFailed = "RenewalFailed"
	ReasonInputRefused  = "InputRefused"

	// Compatible.
	ReasonCompatible    = "Compatible"
	ReasonClockSkew     = "ClockSkew"
	ReasonMemberMissing = "MemberMissing"
	ReasonVersionSkew   = "VersionSkew"
	// ReasonVersionUntested is a warning: the cluster works, and is out of the range that Hawser is tested with.
	ReasonVersionUntested = "VersionUntested"

	// AWS: what may break on the way from the manager's own identity to an EKS cluster. On an
	// AWSIdentity, on an EKSInventory, and on a RemoteCluster's Authenticated.
	ReasonIdentityReady       = "IdentityReady"
	ReasonIdentityNotFound    = "IdentityNotFound"
	ReasonIdentityCycle       = "IdentityCycle"
	ReasonIdentityInUse       = "IdentityInUse"
	ReasonChainTooDeep        = "ChainTooDeep"
	ReasonCrossPartition      = "CrossPartition"
	ReasonDurationTooLong     = "DurationTooLong"
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	ReasonNoAWSCredentials    = "NoAWSCredentials"
	ReasonCredentialsInvalid  = "CredentialsInvalid"
	ReasonCredentialsExpired  = "CredentialsExpired"
	ReasonAssumeRoleDenied    = "AssumeRoleDenied"
	ReasonThrottled           = "Throttled"
	ReasonRegionDisabled      = "RegionDisabled"
	ReasonAWSUnreachable      = "AWSUnreachable"
	ReasonAWSError            = "AWSError"
	ReasonEKSDenied           = "EKSDenied"
	ReasonEKSClusterNotFound  = "EKSClusterNotFound"
	ReasonEKSClusterNotActive = "EKSClusterNotActive"
	ReasonAccountMismatch     = "AccountMismatch"
	ReasonAuthModeConfigMap   = "AuthModeConfigMap"
	ReasonAccessEntryMissing  = "AccessEntryMissing"
	ReasonPrincipalRecreated  = "PrincipalRecreated"
	ReasonSharedTokenAudience = "SharedTokenAudience"

	// TrustedIssuer's Ready.
	ReasonTrusted          = "Trusted"
	ReasonKeysFetchFailed  = "KeysFetchFailed"
	ReasonNoKeys           = "NoKeys"
	ReasonIssuerIsLocal    = "IssuerIsLocal"
	ReasonIssuerConflict   = "IssuerConflict"
	ReasonPrefixConflict   = "PrefixConflict"
	ReasonAudienceConflict = "AudienceConflict"

	// AccessGrant's Ready.
	ReasonGranted          = "Granted"
	ReasonEnded            = "Ended"
	ReasonRolesMissing     = "RolesMissing"
	ReasonIssuerUnready    = "IssuerUnready"
	ReasonNameTaken        = "NameTaken"
	ReasonAuthorsUnbounded = "AuthorsUnbounded"

	// AccessRequest's Ready.
	ReasonWritten           = "Written"
	ReasonClusterNotFound   = "ClusterNotFound"
	ReasonClusterNotReady   = "ClusterNotReady"
	ReasonNotGranted        = "NotGranted"
	ReasonSecretNotOurs     = "SecretNotOurs"
	ReasonOutputUnsupported = "OutputUnsupported"
	ReasonOutputForbidden   = "OutputForbidden"

	// EKSInventory's Ready.
	ReasonSynced       = "Synced"
	ReasonPartlySynced = "PartlySynced"

	// Ready of an EndpointSet and of a FederatedNetworkPolicy, besides ReasonWritten. What selects nothing, or everything,
	// is a warning.
	ReasonPending           = "Pending"
	ReasonSelectorInvalid   = "SelectorInvalid"
	ReasonNotExpressible    = "NotExpressible"
	ReasonOutputsRefused    = "OutputsRefused"
	ReasonSelectsNothing    = "SelectsNothing"
	ReasonSelectsEverything = "SelectsEverything"
	ReasonAuthorUnasked     = "AuthorUnasked"
	ReasonManagerUnbounded  = "ManagerUnbounded"

	// Complete.
	ReasonAllClusters     = "AllClusters"
	ReasonClustersMissing = "ClustersMissing"
	ReasonNoClusters      = "NoClusters"
)
