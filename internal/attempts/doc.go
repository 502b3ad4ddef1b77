// Package attempts holds the attempts to gain, by Hawser, a right that one lacked: as the lowest role that may write one
// of our kinds or its status, and as the thief of each credential that we issue. Each is a named test on real API servers
// under exactly the manifests that we ship, with the member controllers, the gate and the manager running. It has no
// other code.
//
// Each fails when its guard is taken away, which the program in the folder mutate shows: it takes away, one after the
// other, what the table below names. Where an entry names two guards, they stand one behind the other and no attempt
// reaches the second alone: both are taken away. Attempts on files, which need no cluster, are in the folder cache.
//
// What the packages below try themselves is not repeated here:
//
//	actor                              also tried in
//	author of AccessGrants             member (TestNobodyGrantsMoreThanTheyHave), internal/controller/accessgrant
//	author of TrustedIssuers           trust (TestConflicts, TestNewRefusesWhatCannotBeTrusted)
//	writer of a TrustedIssuer's status member (TestGateWritesNoKeys)
//	author of AccessRequests           internal/controller/accessrequest (TestWhoMayNotHaveAccess, TestASecretOfSomebodyElseIsNeverTouched), export
//	author of EndpointSets             internal/guard (TestAPolicyThatWasWeakenedIsNone), internal/controller/endpointset (TestWhatSomebodyOwnsIsLeftAlone, TestNothingIsMadeWhereAuthorsAreNotBounded)
//	author of FederatedNetworkPolicies internal/controller/federatednetworkpolicy (TestAnObjectThatIsNotOursIsRefusedAndLeft, TestNothingIsMadeWhileNobodyKeepsAuthorsWithinTheirRights)
//	author of RemoteClusters           internal/manager (TestWhatIsWrongWithATokenIsNamed), credential/oidc, credential/exec, connection
//	thief of the manager's token       internal/manager (TestTheManagerMayAskForItsOwnTokensOnly)
//	thief of a connection's token      member (TestMemberSide, TestTokenLifetime), internal/controller/accessgrant (testMinting, testRevoked)
//	thief of a connection's certificate internal/controller/certificaterequest (TestRenewals, TestDecide)
//	thief of a granted account's token internal/controller/accessgrant (testMinting, testDelete), internal/manager (TestANamespaceGetsWhatTheOtherClusterGrants)
//	thief of a subject's token         internal/gate (TestBadTokensOfARealIssuer), trust (TestVerifyRefuses)
//	thief of the gate's token          internal/gate (TestGateHoldsNoMoreThanItNeeds), member (TestTokensOfGrants, TestGateWritesNoKeys)
//	thief of the controllers' token    member (TestControllersKeepToGrants, TestNamespaceOfAccounts)
//	thief of hawser-auth's cache       cmd/hawser-auth, internal/authcache
//
// # Attempts and their guards
//
//	by a thief of any credential with a right that it should not have
//	  manager
//	    its roles (config/rbac/manager.yaml)
//	  connection
//	    the table of rights (member/table.go)
//	  certificate
//	    the table of rights (member/table.go)
//	  gate
//	    the table of rights (member/gate.go)
//	  controllers
//	    the table of rights (member/controllers.go)
//
//	by an author or a status writer there
//	  an author of TrustedIssuers believes an issuer of their own
//	    policy of issuers: who writes one could mint anyway (member/policy_issuers.go)
//	  an author of TrustedIssuers changes one that is believed
//	    policy of issuers: another spec counts (member/policy_issuers.go)
//	  a writer of a TrustedIssuer's status puts a key of their own there
//	    policy of issuers: the status counts (member/policy_issuers.go)
//	  an author of TrustedIssuers believes forged tokens of this cluster
//	    an issuer with the url of the cluster itself is refused (trust/conflicts.go)
//	  an author of TrustedIssuers believes the keys of this cluster
//	    an issuer with a key of the cluster itself is refused (trust/conflicts.go)
//	  a writer of an AccessGrant's status names an account
//	    the controllers write the status again (internal/controller/accessgrant/status.go)
//
//	by an author or a status writer there/an author of AccessGrants entitles an account of Hawser or Kubernetes
//	  users of Kubernetes
//	    validation of the kind (config/crd/hawser.io_accessgrants.yaml)
//	  groups of Kubernetes
//	    validation of the kind (config/crd/hawser.io_accessgrants.yaml)
//	  as a connection
//	    validation of the kind (config/crd/hawser.io_accessgrants.yaml)
//	  in Hawser's namespaces
//	    validation of the kind (config/crd/hawser.io_accessgrants.yaml)
//
//	by an author or a status writer there
//	  an author of AccessGrants mints for the accounts of another grant
//	    the Role to mint is by name; without the controllers' policy, which refuses another (grant/mint.go, member/policy_controllers.go)
//	  an author of AccessGrants gives away a role that they may not bind
//	    policy of grants: the verb bind on each role (member/policy_grants.go)
//	    policy of grants: on the last of eight, too (member/policy_grants.go)
//	  an author of AccessGrants takes over an account that is not a grant's
//	    the gate gives no token of an account that is not in status.accounts (internal/gate/grants.go)
//
//	an author of RemoteClusters collects tokens at a server of their own
//	  for alphas gate
//	    an audience belongs to one cluster (credential/oidc/audience.go)
//	  for alphas gate by name
//	    an audience belongs to one cluster (credential/oidc/audience.go)
//	  for alphas gate by another gate
//	    an audience belongs to one gate (credential/oidc/audience.go)
//	  for the local cluster
//	    validation of the kind: audiences begin with hawser: (config/crd/hawser.io_remoteclusters.yaml)
//	  for aws
//	    validation of the kind: audiences begin with hawser: (config/crd/hawser.io_remoteclusters.yaml)
//	  for aws as hawser
//	    the audiences of clouds are refused (credential/oidc/audience.go)
//	  for azure
//	    the scope is AKS's, or one that the operator allows (credential/oidc/azure.go)
//	  of a strong account
//	    the manager mints for its own account alone (config/rbac/manager.yaml)
//	  of a file elsewhere
//	    validation of the kind: a base name (config/crd/hawser.io_remoteclusters.yaml)
//	  of the pod itself
//	    a token is tried at the local API server first, and not shown if that accepts it (credential/oidc/local.go)
//	  of the pod for another
//	    the audience of the file's token is the one that is asked for (credential/oidc/serviceaccount.go)
//	  by a plugin
//	    a plugin is one of the operator's file (internal/manager/exec.go)
//	  itself
//	    validation of the kind: inCluster has no server (config/crd/hawser.io_remoteclusters.yaml)
//	  by a secret elsewhere
//	    the manager reads Secrets of its own namespace alone (config/rbac/manager.yaml)
//
//	by an author or a status writer here
//	  an author of RemoteClusters moves a connection to a server of their own
//	    a credential is bound to the server that it was proved at (connection/generation.go)
//	  an author of RemoteClusters makes one anew at a server of their own
//	    what a Secret is bound to is remembered (credential/store.go)
//	  an author of AccessRequests writes input for Hawser
//	    nothing is written in Hawser's own namespace (internal/controller/accessrequest/admit.go)
//	  an author of AccessRequests writes over somebody else's Secret
//	    only what was made for the request is written (internal/controller/accessrequest/output.go)
//	  an author of AccessRequests asks from a namespace that is not allowed
//	    spec.allowedNamespaces (internal/controller/accessrequest/admit.go)
//	  an author of AccessRequests asks for what another namespace was granted
//	    each namespace has an account of its own (grant/account.go)
//	  an author of AccessRequests makes a Secret that Kubernetes fills or acts on
//	    validation of the kind: types of Secrets (config/crd/hawser.io_accessrequests.yaml)
//	    Hawser's own labels are refused; and are not written over (export/template.go, internal/controller/accessrequest/output.go)
//	  a writer of an AccessRequest's status has somebody else's Secret deleted
//	    only what was made for the request is deleted; a status of others is not believed (internal/controller/accessrequest/output.go, internal/controller/accessrequest/controller.go)
//	  a writer of a RemoteCluster's status says where its credential was proved
//	    a status is no way to a spec (config/crd/hawser.io_remoteclusters.yaml)
//
//	by a status writer here
//	  of a RemoteCluster changes its server
//	    a status is no way to a spec (config/crd/hawser.io_remoteclusters.yaml)
//	  of a RemoteCluster has Hawser take it off
//	    a status is no way to finalizers (config/crd/hawser.io_remoteclusters.yaml)
//	  of an AccessRequest changes its output
//	    a status is no way to a spec (config/crd/hawser.io_accessrequests.yaml)
//	  of an AWSIdentity changes its role
//	    a status is no way to a spec (config/crd/hawser.io_awsidentities.yaml)
//	  of an AWSIdentity lets others enter as itself
//	    a status is no way to a spec (config/crd/hawser.io_awsidentities.yaml)
//	  of an EKSInventory changes whom it asks
//	    a status is no way to a spec (config/crd/hawser.io_eksinventories.yaml)
//	  of an EndpointSet changes what is made of it
//	    a status is no way to a spec (config/crd/hawser.io_endpointsets.yaml)
//	  of a FederatedNetworkPolicy opens it
//	    a status is no way to a spec (config/crd/hawser.io_federatednetworkpolicies.yaml)
//
//	by an author of federation here
//	  an author of FederatedNetworkPolicies has a NetworkPolicy written
//	    policy of authors: NetworkPolicies (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies has a policy of Calico written
//	    policy of authors: policies of Calico (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies has a policy of Calico's tier written
//	    policy of authors: policies of Calico's tier (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies has sets of Calico written
//	    policy of authors: sets of Calico (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies has a ClusterNetworkPolicy written
//	    policy of authors: ClusterNetworkPolicies (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies closes pods for a ClusterNetworkPolicy
//	    policy of authors: NetworkPolicies beside these (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies changes what is written
//	    policy of authors: another spec counts (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies has written what they only make
//	    policy of authors: the right to update (internal/authors/authors.go)
//	  an author of EndpointSets has a NetworkPolicy written elsewhere
//	    policy of authors: NetworkPolicies of sets (internal/authors/authors.go)
//	  an author of EndpointSets has a NetworkSet written elsewhere
//	    policy of authors: NetworkSets (internal/authors/authors.go)
//	  an author of EndpointSets has a GlobalNetworkSet written
//	    policy of authors: GlobalNetworkSets (internal/authors/authors.go)
//	  an author of EndpointSets has a CiliumCIDRGroup written
//	    policy of authors: CiliumCIDRGroups (internal/authors/authors.go)
//	  an author of EndpointSets has a ConfigMap written elsewhere
//	    policy of authors: ConfigMaps (internal/authors/authors.go)
//	  an author of EndpointSets has one more object written than is looked at
//	    policy of authors: how many are looked at (internal/authors/authors.go)
//	    policy of authors: all of them are looked at (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies deletes one that closes pods
//	    policy of authors: deleting counts (internal/authors/authors.go)
//	  an author of FederatedNetworkPolicies takes a target away
//	    policy of authors: the spec before counts (internal/authors/authors.go)
//	  an author of EndpointSets takes an output away
//	    policy of authors: what is in the spec no more (internal/authors/authors.go)
//	  an author of EndpointSets has the last output that is looked at removed
//	    policy of authors: all that is removed is looked at (internal/authors/authors.go)
//	  an author of EndpointSets has the garbage collector delete one
//	    policy of authors: other owners count (internal/authors/authors.go)
//	    policy of authors: with other owners all goes (internal/authors/authors.go)
//	  an author of EndpointSets changes more at once than can be looked at
//	    policy of authors: how often is asked (internal/authors/authors.go)
//	  an author of EndpointSets says that one was applied
//	    a status is not for authors (config/crd/hawser.io_endpointsets.yaml)
//	  an author of FederatedNetworkPolicies says that one was applied
//	    a status is not for authors (config/crd/hawser.io_federatednetworkpolicies.yaml)
//
//	by a thief
//	  of any token shows it to another cluster
//	    the default audience is one cluster's alone (api/v1alpha1/names.go)
//	  of any token but a subject's shows it to the gate
//	    a believed issuer's subjects are not granted anything by being believed (internal/gate/grants.go, grant/account.go)
//	  of a subject's token for another cluster shows it to the gate
//	    the audience is this cluster (trust/verify.go)
//	  of a subject's token asks for what was granted to others
//	    who a grant names (grant/account.go)
//	  of a subject's token asks for a token of another cluster
//	    the audience that is asked for is this cluster (internal/gate/exchange.go)
//	  of a subject's token asks for longer than the grant gives
//	    the gate asks for no more than the grant gives (internal/gate/grants.go)
//	  of a connection's token becomes more than the connection
//	    it mints for itself by name (member/table.go)
//	    it mints for accounts of its grants by name; without the controllers' policy, which refuses another Role (grant/mint.go, member/policy_controllers.go)
//	    it asks for no certificate (member/table.go)
//	  of a connection's token mints what outlives the grant
//	    policy of grants' tokens: their lifetime (member/policy_grants.go)
//	    policy of grants' accounts: bound to no pod (member/policy_grants.go)
//	  of a connection's token mints what outlives the connection
//	    policy of connections: the lifetime of tokens (member/policy.go)
//	    policy of connections: bound to no pod (member/policy.go)
//	  of a granted account's token makes more of it
//	    roles are bound in the namespaces of the grant (grant/wanted.go)
//	  of the exchange's answer finds something besides the token
//	    the answer has what RFC 8693 asks for (internal/gate/answer.go)
//	  of the right to ask for certificates asks for a connection's
//	    the requester is a connection, and the policy says so, too (internal/controller/certificaterequest/decide.go, member/policy_approvals.go)
//	  of the manager's token becomes somebody in the local cluster
//	    its role in namespaces of requests gets Secrets by name (config/rbac/requests.yaml)
//	  of the manager's token writes what it did not make
//	    policy of the manager: the label, also where something is deleted (internal/authors/manager.go)
//	  of the manager's token makes what nobody can tell from others
//	    policy of the manager: the label of what is made (internal/authors/manager.go)
//	  of the manager's token takes over what it did not make
//	    policy of the manager: the label before (internal/authors/manager.go)
//	    policy of the manager: the label after (internal/authors/manager.go)
//	  of the manager's token writes a ConfigMap that is a right
//	    policy of the manager: none in kube-system (internal/authors/manager.go)
//	  of the manager's token writes the status of a Service
//	    policy of the manager: conditions alone (internal/authors/manager.go)
//
//	by a thief there
//	  of the controllers' token approves the request of a stranger
//	    policy: requests of connections alone (member/policy_approvals.go)
//	  of the controllers' token asks for a certificate
//	    they do not ask for what they approve (member/controllers.go)
//	  of the controllers' token writes what is granted
//	    policy of grants: the controllers write none (member/policy_grants.go)
//	  of the controllers' token mints
//	    they let others mint, and may not (member/controllers.go)
//	  of the controllers' token binds a role in no grant's name
//	    controllers' policy: labels and names (member/policy_controllers.go)
//	  of the controllers' token binds a role in Hawser's namespaces
//	    controllers' policy: places (member/policy_controllers.go)
//	  of the controllers' token binds a role to the strong
//	    controllers' policy: who may be entitled (member/policy_controllers.go)
//	  of the controllers' token lets others mint for every account
//	    controllers' policy: Roles to mint by name (member/policy_controllers.go)
//	    controllers' policy: the accounts of that grant (member/policy_controllers.go)
//	  of the controllers' token lets the strong mint
//	    controllers' policy: who may mint (member/policy_controllers.go)
//	  of the controllers' token binds a ClusterRole among accounts
//	    controllers' policy: Roles among accounts (member/policy_controllers.go)
//	    controllers' policy: a Role of the same name (member/policy_controllers.go)
//	  of the gate's token mints for an account that no grant made
//	    policy of grants' accounts: the form of their names (member/policy_grants.go)
//	    policy of grants' tokens: the grant names the account (member/policy_grants.go)
//	  of the gate's token mints what outlives the grant
//	    policy of grants' tokens: their lifetime (member/policy_grants.go)
//	  of the gate's token mints elsewhere
//	    it mints in one namespace (member/gate.go)
//	  of the gate's token puts a key of their own into an issuer
//	    policy of the gate: keys (member/gate.go)
//	    policy of the gate: audiences (member/gate.go)
//	  of the gate's token makes an account that tokens are given to
//	    policy of grants' accounts: who makes them (member/policy_grants.go)
//	    policy of grants' accounts: nothing runs there (member/policy_grants.go)
//	    policy of grants' accounts: tokens lie in no Secret (member/policy_grants.go)
//
//	by a thief/of a connection's certificate asks for another's
//	  for another connection
//	    the common name is the requester's (internal/controller/certificaterequest/decide.go)
//	  for a person
//	    the common name is the requester's (internal/controller/certificaterequest/decide.go)
//	  with a group
//	    the subject is a common name alone (internal/controller/certificaterequest/decide.go)
//	  for a year
//	    the lifetime is capped (internal/controller/certificaterequest/decide.go)
//	  for as long as the signer likes
//	    the lifetime is said (internal/controller/certificaterequest/decide.go)
//	  with the name of a host
//	    no extensions (internal/controller/certificaterequest/decide.go)
//	  under the name of another's request
//	    each has a name of its own (internal/controller/certificaterequest/decide.go)
//	  and approves the request
//	    no connection approves (member/table.go)
//
//	on the cache of hawser-auth
//	  a directory that others may list
//	    the mode of the directory (internal/authcache/authcache.go)
//	  a directory that others may write
//	    the mode of the directory (internal/authcache/authcache.go)
//	  a directory of another user's
//	    the owner of the directory (internal/authcache/authcache.go)
//	  a file that others may read
//	    the mode of the file (internal/authcache/authcache.go)
//	  a file that others may write
//	    the mode of the file (internal/authcache/authcache.go)
//	  a file of another user's
//	    the owner of the file (internal/authcache/authcache.go)
//	  a link out of the directory
//	    files are opened in the directory alone (internal/authcache/authcache.go)
//	  an answer to another question, by a link
//	    the key is in the file (internal/authcache/authcache.go)
//	  an answer to another question, moved here
//	    the key is in the file (internal/authcache/authcache.go)
//	  a token that was put into the file
//	    the sum of the file (internal/authcache/authcache.go)
//	  a torn file
//	    the sum of the file (internal/authcache/authcache.go)
//	  a file that never ends
//	    the size of the file; without its sum (internal/authcache/authcache.go)
//	  a pipe that never talks
//	    only a regular file is read, and without waiting (internal/authcache/authcache.go)
//	  the modes that it makes itself
//	    the modes of what it makes (internal/authcache/authcache.go)
//	  a file that lies ready where it writes
//	    what lies there is removed, and the file is new (internal/authcache/authcache.go)
package attempts
