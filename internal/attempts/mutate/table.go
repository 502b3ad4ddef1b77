package main

import "slices"

// table is every guard with the attempt that it holds off. Where two guards stand one behind the other, an attempt that
// reaches each alone comes first, and then, where there is none, both are taken away.
var table = slices.Concat(rightsTable, remoteTable, localTable, statusTable, federationTable, thievesTable, thereTable, certificatesTable, cacheTable)

// noWorld are the attempts that are not made without the guard, because Hawser itself does not work without it.
var noWorld = []string{
	authorHere + "a writer of a RemoteCluster's status says where its credential was proved",
	statusHere + "of a RemoteCluster changes its server", statusHere + "of a RemoteCluster has Hawser take it off",
	statusHere + "of an AccessRequest changes its output",
}

// alone are those without whose guard others may fail, too.
var alone = []string{thief + "of any token shows it to another cluster"}

const (
	rightOf      = "TestAttempts/by a thief of any credential with a right that it should not have/"
	collects     = "TestAttempts/an author of RemoteClusters collects tokens at a server of their own/"
	authorThere  = "TestAttempts/by an author or a status writer there/"
	authorHere   = "TestAttempts/by an author or a status writer here/"
	federates    = "TestAttempts/by an author of federation here/"
	statusHere   = "TestAttempts/by a status writer here/"
	thief        = "TestAttempts/by a thief/"
	thiefThere   = "TestAttempts/by a thief there/"
	certificate  = "TestAttempts/by a thief/of a connection's certificate asks for another's/"
	onTheCache   = "TestAttemptsOnTheCache/"
	grantPolicy  = "member/policy_grants.go"
	controllers  = "member/policy_controllers.go"
	issuerPolicy = "member/policy_issuers.go"
	decide       = "internal/controller/certificaterequest/decide.go"
	cacheFile    = "internal/authcache/authcache.go"
	authorsFile  = "internal/authors/authors.go"
	managerFile  = "internal/authors/manager.go"
)

var rightsTable = []mutation{
	{rightOf + "manager", "its roles", []edit{{"config/rbac/manager.yaml", "  resources: [namespaces]\n  verbs: [get]", "  resources: [namespaces]\n  verbs: [get, list]"}}},
	{rightOf + "connection", "the table of rights", []edit{{"member/table.go", `"serviceaccounts", []string{"delete"}, v1alpha1.MemberServiceAccount)`, `"serviceaccounts", []string{"delete", "update"}, v1alpha1.MemberServiceAccount)`}}},
	{rightOf + "certificate", "the table of rights", []edit{{"member/table.go", `[]string{"get", "delete"}, RequestName(local))`, `[]string{"get", "delete"})`}}},
	{rightOf + "gate", "the table of rights", []edit{{"member/gate.go", `rule("", "serviceaccounts/token", []string{"create"})`, `rule("", "serviceaccounts/token", []string{"create", "delete"})`}}},
	{rightOf + "controllers", "the table of rights", []edit{{"member/controllers.go", `rule("", "namespaces", []string{"get", "list", "watch"})`, `rule("", "namespaces", []string{"get", "list", "watch", "update"})`}}},
}

var remoteTable = []mutation{
	{authorThere + "an author of TrustedIssuers believes an issuer of their own", "policy of issuers: who writes one could mint anyway",
		[]edit{{issuerPolicy, `Expression:        mints,`, `Expression:        "true || " + mints,`}}},
	{authorThere + "an author of TrustedIssuers changes one that is believed", "policy of issuers: another spec counts",
		[]edit{{issuerPolicy, ` || object.spec != oldObject.spec"`, `"`}}},
	{authorThere + "a writer of a TrustedIssuer's status puts a key of their own there", "policy of issuers: the status counts",
		[]edit{{issuerPolicy, `named{hawserGroup, "v1alpha1", "trustedissuers/status", onUpdate},`, ``}}},
	{authorThere + "an author of TrustedIssuers believes forged tokens of this cluster", "an issuer with the url of the cluster itself is refused",
		[]edit{{"trust/conflicts.go", "if slices.ContainsFunc(local.Issuers, ", "if false && slices.ContainsFunc(local.Issuers, "}}},
	{authorThere + "an author of TrustedIssuers believes the keys of this cluster", "an issuer with a key of the cluster itself is refused",
		[]edit{{"trust/conflicts.go", `own := ownKey(ti, local); own != ""`, `own := ownKey(ti, local); false && own != ""`}}},
	{authorThere + "a writer of an AccessGrant's status names an account", "the controllers write the status again",
		[]edit{{"internal/controller/accessgrant/status.go", "g.Status.Accounts = accountsOf(done)", "if len(g.Status.Accounts) == 0 {\n\t\tg.Status.Accounts = accountsOf(done)\n\t}"}}},
	{authorThere + "an author of AccessGrants entitles an account of Hawser or Kubernetes/users of Kubernetes", "validation of the kind",
		[]edit{{"config/crd/hawser.io_accessgrants.yaml", "users of Kubernetes itself cannot be granted anything\n                        rule: '!self.startsWith(''system:'')'", "users of Kubernetes itself cannot be granted anything\n                        rule: 'true'"}}},
	{authorThere + "an author of AccessGrants entitles an account of Hawser or Kubernetes/groups of Kubernetes", "validation of the kind",
		[]edit{{"config/crd/hawser.io_accessgrants.yaml", "groups of Kubernetes itself cannot be granted anything\n                        rule: '!self.startsWith(''system:'')'", "groups of Kubernetes itself cannot be granted anything\n                        rule: 'true'"}}},
	{authorThere + "an author of AccessGrants entitles an account of Hawser or Kubernetes/as a connection", "validation of the kind",
		[]edit{{"config/crd/hawser.io_accessgrants.yaml", "rule: '!self.startsWith(''system:'') || self.startsWith(''system:serviceaccount:'')'", "rule: 'true'"}}},
	{authorThere + "an author of AccessGrants entitles an account of Hawser or Kubernetes/in Hawser's namespaces", "validation of the kind",
		[]edit{{"config/crd/hawser.io_accessgrants.yaml", "rule: self.all(n, n != 'hawser' && n != 'hawser-grants' && !n.startsWith('hawser-from-'))", "rule: self.all(n, true)"}}},
	{authorThere + "an author of AccessGrants mints for the accounts of another grant", "the Role to mint is by name; without the controllers' policy, which refuses another",
		[]edit{{"grant/mint.go", "ResourceNames: entry.accounts,", "ResourceNames: nil,"}, namelessRoles}},
	{authorThere + "an author of AccessGrants gives away a role that they may not bind", "policy of grants: the verb bind on each role",
		[]edit{{grantPolicy, `.check('bind').allowed()",`, `.check('bind').allowed() || true",`}}},
	{authorThere + "an author of AccessGrants gives away a role that they may not bind", "policy of grants: on the last of eight, too",
		[]edit{{grantPolicy, "for i := range maxGrantRoles {", "for i := range maxGrantRoles - 1 {"}}},
	{authorThere + "an author of AccessGrants takes over an account that is not a grant's", "the gate gives no token of an account that is not in status.accounts",
		[]edit{{"internal/gate/grants.go", "case !slices.ContainsFunc(ag.Status.Accounts, ", "case false && !slices.ContainsFunc(ag.Status.Accounts, "}}},
}

// namelessRoles takes away what stands behind the Role to mint by name.
var namelessRoles = edit{controllers, `Expression: "!variables.role || (`, `Expression: "true || !variables.role || (`}

var localTable = []mutation{
	{collects + "for alphas gate", "an audience belongs to one cluster",
		[]edit{{"credential/oidc/audience.go", "return id != \"\" && v1alpha1.DefaultAudience(id) == audience", "return false"}}},
	{collects + "for alphas gate by name", "an audience belongs to one cluster",
		[]edit{{"credential/oidc/audience.go", "return id != \"\" && v1alpha1.DefaultAudience(id) == audience", "return false"}}},
	{collects + "for alphas gate by another gate", "an audience belongs to one gate",
		[]edit{{"credential/oidc/audience.go", "if same && rc.Spec.Auth.OIDC.Exchange == nil {", "if same {"}}},
	{collects + "for the local cluster", "validation of the kind: audiences begin with hawser:",
		[]edit{{"config/crd/hawser.io_remoteclusters.yaml", "rule: self.tokenFrom != 'serviceAccount' || !has(self.audience)\n", "rule: true || self.tokenFrom != 'serviceAccount' || !has(self.audience)\n"}}},
	{collects + "for aws", "validation of the kind: audiences begin with hawser:",
		[]edit{{"config/crd/hawser.io_remoteclusters.yaml", "rule: self.tokenFrom != 'serviceAccount' || !has(self.audience)\n", "rule: true || self.tokenFrom != 'serviceAccount' || !has(self.audience)\n"}}},
	{collects + "for aws as hawser", "the audiences of clouds are refused",
		[]edit{{"credential/oidc/audience.go", `if owner := cloudOf(audience); owner != "" {`, `if owner := cloudOf(audience); false && owner != "" {`}}},
	{collects + "for azure", "the scope is AKS's, or one that the operator allows",
		[]edit{{"credential/oidc/azure.go", "if a.Scope != AKSScope &&", "if false && a.Scope != AKSScope &&"}}},
	{collects + "of a strong account", "the manager mints for its own account alone",
		[]edit{{"config/rbac/manager.yaml", "  resources: [serviceaccounts/token]\n  resourceNames: [hawser]\n", "  resources: [serviceaccounts/token]\n"}}},
	{collects + "of a file elsewhere", "validation of the kind: a base name",
		[]edit{{"config/crd/hawser.io_remoteclusters.yaml", "TokenFile is the base name of a projected token under the directory that the manager was started\n                              with (--token-dir).\n                            maxLength: 253\n                            pattern: ^[A-Za-z0-9][-A-Za-z0-9_.]*$", "TokenFile is the base name of a projected token under the directory that the manager was started\n                              with (--token-dir).\n                            maxLength: 253"}}},
	{collects + "of the pod itself", "a token is tried at the local API server first, and not shown if that accepts it",
		[]edit{{"credential/oidc/local.go", "if err := t.try(ctx, c.Token, audience); err != nil {", "if err := t.try(ctx, c.Token, audience); false && err != nil {"}}},
	{collects + "of the pod for another", "the audience of the file's token is the one that is asked for",
		[]edit{{"credential/oidc/serviceaccount.go", "token, err := s.read(s.File)\n	if err == nil {", "token, err := s.read(s.File)\n	if false && err == nil {"}}},
	{collects + "by a plugin", "a plugin is one of the operator's file",
		[]edit{{"internal/manager/exec.go", `return nil, &credential.InputError{Reason: v1alpha1.ReasonPluginUnknown, Err: fmt.Errorf("no plugins`, `return []exec.Provider{{Plugin: exec.Plugin{Name: "/bin/cat", Command: "/bin/cat"}}}, nil
		return nil, &credential.InputError{Reason: v1alpha1.ReasonPluginUnknown, Err: fmt.Errorf("no plugins`}}},
	{collects + "itself", "validation of the kind: inCluster has no server",
		[]edit{{"config/crd/hawser.io_remoteclusters.yaml", "rule: 'self.auth.type in [''kubeconfig'', ''inCluster''] ? !has(self.server)\n", "rule: 'self.auth.type == ''inCluster'' || self.auth.type in [''kubeconfig''] ? true\n"}, {"config/crd/hawser.io_remoteclusters.yaml", "rule: 'self.auth.type in [''kubeconfig'', ''inCluster''] ? !has(self.caData)\n", "rule: 'self.auth.type in [''inCluster''] || self.auth.type in [''kubeconfig''] ? true || !has(self.caData)\n"}}},
	{collects + "by a secret elsewhere", "the manager reads Secrets of its own namespace alone",
		[]edit{{"config/rbac/manager.yaml", "  resources: [namespaces]\n  verbs: [get]", "  resources: [namespaces, secrets]\n  verbs: [get]"}}},
	{authorHere + "an author of RemoteClusters moves a connection to a server of their own", "a credential is bound to the server that it was proved at",
		[]edit{{"connection/generation.go", "if !binding.Admits(g.endpoint, roots) {", "if false && !binding.Admits(g.endpoint, roots) {"}}},
	{authorHere + "an author of RemoteClusters makes one anew at a server of their own", "what a Secret is bound to is remembered",
		[]edit{{"credential/store.go", "if err := s.recordFor(ctx, kept, input.UID); err != nil {", "_ = kept\n\tif err := error(nil); err != nil {"}}},
	{authorHere + "an author of AccessRequests writes input for Hawser", "nothing is written in Hawser's own namespace",
		[]edit{{"internal/controller/accessrequest/admit.go", "if ar.Namespace == r.Namespace {", "if false {"}}},
	{authorHere + "an author of AccessRequests writes over somebody else's Secret", "only what was made for the request is written",
		[]edit{{"internal/controller/accessrequest/output.go", "\tlabels := o.GetLabels()\n", "\tif true {\n\t\treturn true\n\t}\n\tlabels := o.GetLabels()\n"}}},
	{authorHere + "an author of AccessRequests asks from a namespace that is not allowed", "spec.allowedNamespaces",
		[]edit{{"internal/controller/accessrequest/admit.go", "if err != nil || !allowed.Admit(", "if err != nil || false && !allowed.Admit("}}},
	{authorHere + "an author of AccessRequests asks for what another namespace was granted", "each namespace has an account of its own",
		[]edit{{"grant/account.go", `[]string{"localCluster", s.LocalCluster.Name, s.LocalCluster.Namespace}`, `[]string{"localCluster", s.LocalCluster.Name}`}}},
	{authorHere + "an author of AccessRequests makes a Secret that Kubernetes fills or acts on", "validation of the kind: types of Secrets",
		[]edit{{"config/crd/hawser.io_accessrequests.yaml", "rule: '!self.startsWith(''kubernetes.io/'') && !self.startsWith(''bootstrap.kubernetes.io/'')'", "rule: 'true'"}}},
	{authorHere + "an author of AccessRequests makes a Secret that Kubernetes fills or acts on", "Hawser's own labels are refused; and are not written over",
		[]edit{
			{"export/template.go", "if reserved(label) {", "if false && reserved(label) {"},
			{"internal/controller/accessrequest/output.go", "if _, own := s.Labels[label]; !own {", "if true {"},
		}},
	{authorHere + "a writer of an AccessRequest's status has somebody else's Secret deleted", "only what was made for the request is deleted; a status of others is not believed",
		[]edit{
			{"internal/controller/accessrequest/output.go", "\tlabels := o.GetLabels()\n", "\tif true {\n\t\treturn true\n\t}\n\tlabels := o.GetLabels()\n"},
			{"internal/controller/accessrequest/controller.go", "last != nil && last.(written).uid == ar.UID {", "last != nil && last.(written).uid == \"\" {"},
		}},
	{authorHere + "a writer of a RemoteCluster's status says where its credential was proved", "a status is no way to a spec",
		[]edit{{"config/crd/hawser.io_remoteclusters.yaml", "    subresources:\n      status: {}\n", ""}}},
}

var statusTable = []mutation{
	{statusHere + "of a RemoteCluster changes its server", "a status is no way to a spec", []edit{{"config/crd/hawser.io_remoteclusters.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of a RemoteCluster has Hawser take it off", "a status is no way to finalizers", []edit{{"config/crd/hawser.io_remoteclusters.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of an AccessRequest changes its output", "a status is no way to a spec", []edit{{"config/crd/hawser.io_accessrequests.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of an AWSIdentity changes its role", "a status is no way to a spec", []edit{{"config/crd/hawser.io_awsidentities.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of an AWSIdentity lets others enter as itself", "a status is no way to a spec", []edit{{"config/crd/hawser.io_awsidentities.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of an EKSInventory changes whom it asks", "a status is no way to a spec", []edit{{"config/crd/hawser.io_eksinventories.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of an EndpointSet changes what is made of it", "a status is no way to a spec", []edit{{"config/crd/hawser.io_endpointsets.yaml", "    subresources:\n      status: {}\n", ""}}},
	{statusHere + "of a FederatedNetworkPolicy opens it", "a status is no way to a spec", []edit{{"config/crd/hawser.io_federatednetworkpolicies.yaml", "    subresources:\n      status: {}\n", ""}}},
}

// federationTable leaves out, of what the policy of authors asks for, one right after the other.
var federationTable = []mutation{
	{federates + "an author of FederatedNetworkPolicies has a NetworkPolicy written", "policy of authors: NetworkPolicies",
		[]edit{{authorsFile, `v1alpha1.TargetNetworkPolicy) + of(networkPolicies, ofPolicies) + "]" +`, `v1alpha1.TargetNetworkPolicy) + "]" +`}}},
	{federates + "an author of FederatedNetworkPolicies has a policy of Calico written", "policy of authors: policies of Calico",
		[]edit{{authorsFile, `calicoPolicies + ", " + calicoTierPolicies + ", "`, `calicoTierPolicies + ", "`}}},
	{federates + "an author of FederatedNetworkPolicies has a policy of Calico's tier written", "policy of authors: policies of Calico's tier",
		[]edit{{authorsFile, `calicoPolicies + ", " + calicoTierPolicies + ", "`, `calicoPolicies + ", "`}}},
	{federates + "an author of FederatedNetworkPolicies has sets of Calico written", "policy of authors: sets of Calico",
		[]edit{{authorsFile, `calicoTierPolicies + ", " + globalNetworkSets + "]"`, `calicoTierPolicies + "]"`}}},
	{federates + "an author of FederatedNetworkPolicies has a ClusterNetworkPolicy written", "policy of authors: ClusterNetworkPolicies",
		[]edit{{authorsFile, `of(networkPolicies, ofPolicies) + ", " + clusterPolicies + "]"`, `of(networkPolicies, ofPolicies) + "]"`}}},
	{federates + "an author of FederatedNetworkPolicies closes pods for a ClusterNetworkPolicy", "policy of authors: NetworkPolicies beside these",
		[]edit{{authorsFile, `of(networkPolicies, ofPolicies) + ", " + clusterPolicies + "]"`, `clusterPolicies + "]"`}}},
	{federates + "an author of FederatedNetworkPolicies changes what is written", "policy of authors: another spec counts",
		[]edit{{authorsFile, `"request.operation != 'UPDATE' || " + otherSpec + " || " + otherOwners`, `"request.operation != 'UPDATE' || " + otherOwners`}}},
	{federates + "an author of FederatedNetworkPolicies has written what they only make", "policy of authors: the right to update",
		[]edit{{authorsFile, `may(w, "create"), may(w, "update")`, `may(w, "create"), "true"`}}},
	{federates + "an author of EndpointSets has a NetworkPolicy written elsewhere", "policy of authors: NetworkPolicies of sets",
		[]edit{{authorsFile, `"has(o.networkPolicy) ? " + of(networkPolicies, ofOutputs)`, `"has(o.networkPolicy) ? " + anyRight`}, harmless}},
	{federates + "an author of EndpointSets has a NetworkSet written elsewhere", "policy of authors: NetworkSets",
		[]edit{{authorsFile, `o.calicoNetworkSet.namespace != '' ? " + networkSets`, `o.calicoNetworkSet.namespace != '' ? " + anyRight`}, harmless}},
	{federates + "an author of EndpointSets has a GlobalNetworkSet written", "policy of authors: GlobalNetworkSets",
		[]edit{{authorsFile, `" : " + globalNetworkSets + ")"`, `" : " + anyRight + ")"`}, harmless}},
	{federates + "an author of EndpointSets has a CiliumCIDRGroup written", "policy of authors: CiliumCIDRGroups",
		[]edit{{authorsFile, `" : has(o.ciliumCIDRGroup) ? " + cidrGroups`, `" : has(o.ciliumCIDRGroup) ? " + anyRight`}, harmless}},
	{federates + "an author of EndpointSets has a ConfigMap written elsewhere", "policy of authors: ConfigMaps",
		[]edit{{authorsFile, `" : has(o.configMap) ? " + configMaps`, `" : has(o.configMap) ? " + anyRight`}, harmless}},
	{federates + "an author of EndpointSets has one more object written than is looked at", "policy of authors: how many are looked at",
		[]edit{{authorsFile, `fmt.Sprintf("size(variables.written) <= %d", MaxOutputs)`, `fmt.Sprintf("true || size(variables.written) <= %d", MaxOutputs)`}}},
	{federates + "an author of EndpointSets has one more object written than is looked at", "policy of authors: all of them are looked at",
		[]edit{{authorsFile, "for i := range MaxOutputs {\n\t\tw :=", "for i := range MaxOutputs - 1 {\n\t\tw :="}}},
	{federates + "an author of FederatedNetworkPolicies deletes one that closes pods", "policy of authors: deleting counts",
		[]edit{{authorsFile, "admissionv1.Update, admissionv1.Delete}", "admissionv1.Update}"}}},
	{federates + "an author of FederatedNetworkPolicies takes a target away", "policy of authors: the spec before counts",
		[]edit{{authorsFile, `made("old", "oldObject", "had"`, `made("old", "object", "had"`}}},
	{federates + "an author of EndpointSets takes an output away", "policy of authors: what is in the spec no more",
		[]edit{{authorsFile, `variables.had.filter(h, !(h in variables.written))`, `[]`}}},
	{federates + "an author of EndpointSets has the last output that is looked at removed", "policy of authors: all that is removed is looked at",
		[]edit{{authorsFile, "for i := range MaxOutputs {\n\t\tr :=", "for i := range MaxOutputs - 1 {\n\t\tr :="}}},
	{federates + "an author of EndpointSets has the garbage collector delete one", "policy of authors: other owners count",
		[]edit{{authorsFile, `otherSpec + " || " + otherOwners`, `otherSpec`}}},
	{federates + "an author of EndpointSets has the garbage collector delete one", "policy of authors: with other owners all goes",
		[]edit{{authorsFile, `"request.operation == 'UPDATE' && " + otherOwners +`, `"false" +`}}},
	{federates + "an author of EndpointSets changes more at once than can be looked at", "policy of authors: how often is asked",
		[]edit{{authorsFile, "const maxAsked = 26", "const maxAsked = 1000"}}},
	{federates + "an author of EndpointSets says that one was applied", "a status is not for authors", []edit{{"config/crd/hawser.io_endpointsets.yaml", "    subresources:\n      status: {}\n", ""}}},
	{federates + "an author of FederatedNetworkPolicies says that one was applied", "a status is not for authors",
		[]edit{{"config/crd/hawser.io_federatednetworkpolicies.yaml", "    subresources:\n      status: {}\n", ""}}},
}

// harmless is a right that the authors have.
var harmless = edit{authorsFile, "everything            = ", "anyRight = \"['hawser.io', 'endpointsets', '', '']\"\n\teverything            = "}

var thievesTable = []mutation{
	{thief + "of any token shows it to another cluster", "the default audience is one cluster's alone",
		[]edit{{"api/v1alpha1/names.go", `{ return "hawser:" + clusterID }`, `{ return "hawser:beta" }`}}},
	{thief + "of any token but a subject's shows it to the gate", "a believed issuer's subjects are not granted anything by being believed",
		[]edit{{"internal/gate/grants.go", "default:\n\t\t\tadd(g.subjects, identity{s.Issuer.Name, s.Issuer.Subject}, ag.Name)", "default:\n\t\t\tadd(g.patterns, s.Issuer.Name, ag.Name)"}, anySubject}},
	{thief + "of a subject's token for another cluster shows it to the gate", "the audience is this cluster",
		[]edit{{"trust/verify.go", "if !slices.ContainsFunc(t.audiences", "if false && !slices.ContainsFunc(t.audiences"}}},
	{thief + "of a subject's token asks for what was granted to others", "who a grant names", []edit{anySubject}},
	{thief + "of a subject's token asks for a token of another cluster", "the audience that is asked for is this cluster",
		[]edit{{"internal/gate/exchange.go", `if asked.audience != "" && !e.issuers`, `if false && asked.audience != "" && !e.issuers`}}},
	{thief + "of a subject's token asks for longer than the grant gives", "the gate asks for no more than the grant gives",
		[]edit{{"internal/gate/grants.go", "life = min(life, asked)", "life = asked"}}},
	{thief + "of a connection's token becomes more than the connection", "it mints for itself by name",
		[]edit{{"member/table.go", `rule("", "serviceaccounts/token", []string{"create"}, v1alpha1.MemberServiceAccount)`, `rule("", "serviceaccounts/token", []string{"create"})`}}},
	{thief + "of a connection's token becomes more than the connection", "it mints for accounts of its grants by name; without the controllers' policy, which refuses another Role",
		[]edit{{"grant/mint.go", "ResourceNames: entry.accounts,", "ResourceNames: nil,"}, namelessRoles}},
	{thief + "of a connection's token becomes more than the connection", "it asks for no certificate",
		[]edit{{"member/table.go", "if id == RenewedCertificate {", "if true {"}}},
	{thief + "of a connection's token mints what outlives the grant", "policy of grants' tokens: their lifetime",
		[]edit{{grantPolicy, `lifetimeOfToken + " <= variables.max"`, `lifetimeOfToken + " <= variables.max || true"`}}},
	{thief + "of a connection's token mints what outlives the grant", "policy of grants' accounts: bound to no pod",
		[]edit{{grantPolicy, `"!variables.token || " + boundToNoPod`, `"true || !variables.token || " + boundToNoPod`}}},
	{thief + "of a connection's token mints what outlives the connection", "policy of connections: the lifetime of tokens",
		[]edit{{"member/policy.go", `lifetimeOfToken + " <= variables.max"`, `lifetimeOfToken + " <= variables.max || true"`}}},
	{thief + "of a connection's token mints what outlives the connection", "policy of connections: bound to no pod",
		[]edit{{"member/policy.go", "Expression: boundToNoPod,", `Expression: "true || " + boundToNoPod,`}}},
	{thief + "of a granted account's token makes more of it", "roles are bound in the namespaces of the grant",
		[]edit{{"grant/wanted.go", "if g.Spec.WholeCluster {", "if true {"}}},
	{thief + "of the exchange's answer finds something besides the token", "the answer has what RFC 8693 asks for",
		[]edit{{"internal/gate/answer.go", "Scope           string `json:\"scope\"`", "Scope           string `json:\"scope\"`\n\tRefresh string `json:\"refresh_token\"`"}}},
	{thief + "of the right to ask for certificates asks for a connection's", "the requester is a connection, and the policy says so, too",
		[]edit{{decide, "strings.HasPrefix(csr.Spec.Username, v1alpha1.MemberUser(\"\"))", "(true || strings.HasPrefix(csr.Spec.Username, v1alpha1.MemberUser(\"\")))"}, anyRequest}},
	{thief + "of the manager's token becomes somebody in the local cluster", "its role in namespaces of requests gets Secrets by name",
		[]edit{{"config/rbac/requests.yaml", "verbs: [get, create, update, delete]", "verbs: [get, list, create, update, delete]"}}},
	{thief + "of the manager's token writes what it did not make", "policy of the manager: the label, also where something is deleted",
		[]edit{{managerFile, `"(request.operation == 'CREATE' ? [dyn(object)] : request.operation == 'DELETE' ? [dyn(oldObject)] :`, `"(request.operation == 'CREATE' ? [dyn(object)] : request.operation == 'DELETE' ? [] :`}}},
	{thief + "of the manager's token makes what nobody can tell from others", "policy of the manager: the label of what is made",
		[]edit{{managerFile, `"(request.operation == 'CREATE' ? [dyn(object)] :`, `"(request.operation == 'CREATE' ? [] :`}}},
	{thief + "of the manager's token takes over what it did not make", "policy of the manager: the label before",
		[]edit{{managerFile, `[dyn(oldObject), dyn(object)])`, `[dyn(object)])`}}},
	{thief + "of the manager's token takes over what it did not make", "policy of the manager: the label after",
		[]edit{{managerFile, `[dyn(oldObject), dyn(object)])`, `[dyn(oldObject)])`}}},
	{thief + "of the manager's token writes a ConfigMap that is a right", "policy of the manager: none in kube-system",
		[]edit{{managerFile, `"!variables.configMap || variables.place != '"`, `"true || variables.place != '"`}}},
	{thief + "of the manager's token writes the status of a Service", "policy of the manager: conditions alone",
		[]edit{{managerFile, `"!variables.status || " + same("status", "loadBalancer") + " && "`, `"true || " + same("status", "loadBalancer") + " && "`}}},
}

var anySubject = edit{"grant/account.go", ` && s.Issuer.Subject != "" && s.Issuer.Subject == subject`, ` && s.Issuer.Subject != ""`}

// anyRequest lets the controllers approve what anybody asks for.
var anyRequest = edit{"member/policy_approvals.go", "Expression: \"object.spec.signerName", "Expression: \"true || object.spec.signerName"}

var thereTable = []mutation{
	{thiefThere + "of the controllers' token approves the request of a stranger", "policy: requests of connections alone", []edit{anyRequest}},
	{thiefThere + "of the controllers' token asks for a certificate", "they do not ask for what they approve",
		[]edit{{"member/controllers.go", `rule(certificatesGroup, "certificatesigningrequests", follow)`, `rule(certificatesGroup, "certificatesigningrequests", append([]string{"create"}, follow...))`}}},
	{thiefThere + "of the controllers' token writes what is granted", "policy of grants: the controllers write none",
		[]edit{{grantPolicy, `Expression: "request.userInfo.username != '"`, `Expression: "true || request.userInfo.username != '"`}, {grantPolicy, `.check('bind').allowed()",`, `.check('bind').allowed() || true",`}}},
	{thiefThere + "of the controllers' token mints", "they let others mint, and may not",
		[]edit{{"member/controllers.go", `rule("", "serviceaccounts/token", []string{"create"}, ControllersServiceAccount)`, `rule("", "serviceaccounts/token", []string{"create"})`}}},
	{thiefThere + "of the controllers' token binds a role in no grant's name", "controllers' policy: labels and names",
		[]edit{{controllers, `"variables.objects.all(o, " + names + ")"`, `"true || variables.objects.all(o, " + names + ")"`}}},
	{thiefThere + "of the controllers' token binds a role in Hawser's namespaces", "controllers' policy: places",
		[]edit{{controllers, `Expression: "variables.place != '"`, `Expression: "true || variables.place != '"`}}},
	{thiefThere + "of the controllers' token binds a role to the strong", "controllers' policy: who may be entitled",
		[]edit{{controllers, `"' : !s.name.startsWith('system:')"`, `"' || true : true || !s.name.startsWith('system:')"`}}},
	{thiefThere + "of the controllers' token lets others mint for every account", "controllers' policy: Roles to mint by name", []edit{namelessRoles}},
	{thiefThere + "of the controllers' token lets others mint for every account", "controllers' policy: the accounts of that grant",
		[]edit{{controllers, `r.resourceNames.all(n, n.startsWith(`, `r.resourceNames.all(n, true || n.startsWith(`}}},
	{thiefThere + "of the controllers' token lets the strong mint", "controllers' policy: who may mint",
		[]edit{{controllers, `" ? (" + mints + ") : ("`, `" ? (true || " + mints + ") : ("`}}},
	{thiefThere + "of the controllers' token binds a ClusterRole among accounts", "controllers' policy: Roles among accounts",
		[]edit{{controllers, `Expression: "!variables.binding || object.roleRef.kind == (`, `Expression: "true || !variables.binding || object.roleRef.kind == (`}}},
	{thiefThere + "of the controllers' token binds a ClusterRole among accounts", "controllers' policy: a Role of the same name",
		[]edit{{controllers, `" || object.roleRef.name == object.metadata.name"`, `" || true"`}}},
	{thiefThere + "of the gate's token mints for an account that no grant made", "policy of grants' accounts: the form of their names",
		[]edit{{grantPolicy, `"!variables.token || request.name.matches(`, `"true || !variables.token || request.name.matches(`}}},
	{thiefThere + "of the gate's token mints for an account that no grant made", "policy of grants' tokens: the grant names the account",
		[]edit{{grantPolicy, `Expression: "!has(params.metadata.deletionTimestamp) &&`, `Expression: "true || !has(params.metadata.deletionTimestamp) &&`}}},
	{thiefThere + "of the gate's token mints what outlives the grant", "policy of grants' tokens: their lifetime",
		[]edit{{grantPolicy, `lifetimeOfToken + " <= variables.max"`, `lifetimeOfToken + " <= variables.max || true"`}}},
	{thiefThere + "of the gate's token mints elsewhere", "it mints in one namespace",
		[]edit{{"member/gate.go", `scope: grants, rule: rule("", "serviceaccounts/token", []string{"create"})`, `rule: rule("", "serviceaccounts/token", []string{"create"})`}}},
	{thiefThere + "of the gate's token puts a key of their own into an issuer", "policy of the gate: keys",
		[]edit{{"member/gate.go", `"audiences", "keys", "fetchedAt"}`, `"audiences", "fetchedAt"}`}}},
	{thiefThere + "of the gate's token puts a key of their own into an issuer", "policy of the gate: audiences",
		[]edit{{"member/gate.go", `"audiences", "keys", "fetchedAt"}`, `"keys", "fetchedAt"}`}}},
	{thiefThere + "of the gate's token makes an account that tokens are given to", "policy of grants' accounts: who makes them",
		[]edit{{grantPolicy, `"!variables.account || object.metadata.name == 'default'`, `"true || !variables.account || object.metadata.name == 'default'`}}},
	{thiefThere + "of the gate's token makes an account that tokens are given to", "policy of grants' accounts: nothing runs there",
		[]edit{{grantPolicy, `"request.resource.resource != 'pods'"`, `"true"`}}},
	{thiefThere + "of the gate's token makes an account that tokens are given to", "policy of grants' accounts: tokens lie in no Secret",
		[]edit{{grantPolicy, `"request.resource.resource != 'secrets' || !has(object.type)`, `"true || request.resource.resource != 'secrets' || !has(object.type)`}}},
}

var certificatesTable = []mutation{
	{certificate + "for another connection", "the common name is the requester's", []edit{commonName}},
	{certificate + "for a person", "the common name is the requester's", []edit{commonName}},
	{certificate + "with a group", "the subject is a common name alone", []edit{{decide, "if len(parsed.Subject.Names) != 1 || !parsed.Subject.Names[0].Type.Equal(oidCommonName) {", "if false {"}}},
	{certificate + "for a year", "the lifetime is capped", []edit{{decide, "lifetime < minLifetime || lifetime > maxLifetime", "lifetime < minLifetime"}}},
	{certificate + "for as long as the signer likes", "the lifetime is said", []edit{{decide, "	if seconds == nil {\n", "	if seconds == nil {\n\t\treturn nil\n\t}\n	if seconds == nil {\n"}}},
	{certificate + "with the name of a host", "no extensions", []edit{{decide, "{ReasonExtensions, func() error { return checkExtensions(parsed) }},", ""}}},
	{certificate + "under the name of another's request", "each has a name of its own", []edit{{decide, "if want := member.RequestName(local); csr.Name != want {", "if want := member.RequestName(local); false && csr.Name != want {"}}},
	{certificate + "and approves the request", "no connection approves", []edit{{"member/table.go", `part: partSelf, rule: rule(certificatesGroup, "certificatesigningrequests", []string{"create"}),`,
		`part: partSelf, rule: rbacv1.PolicyRule{APIGroups: []string{certificatesGroup}, Resources: []string{"certificatesigningrequests", "certificatesigningrequests/approval", "signers"}, Verbs: []string{"create", "update", "approve"}},`}}},
}

var commonName = edit{decide, "if parsed.Subject.CommonName != username {", "if false && parsed.Subject.CommonName != username {"}

var cacheTable = []mutation{
	{onTheCache + "a directory that others may list", "the mode of the directory", []edit{anyMode}},
	{onTheCache + "a directory that others may write", "the mode of the directory", []edit{anyMode}},
	{onTheCache + "a directory of another user's", "the owner of the directory", []edit{anyOwner}},
	{onTheCache + "a file that others may read", "the mode of the file", []edit{anyMode}},
	{onTheCache + "a file that others may write", "the mode of the file", []edit{anyMode}},
	{onTheCache + "a file of another user's", "the owner of the file", []edit{anyOwner}},
	{onTheCache + "a link out of the directory", "files are opened in the directory alone", []edit{{cacheFile, "file, err := c.root.OpenFile(key+entrySuffix, os.O_RDONLY|nonblocking, 0)", "file, err := os.OpenFile(filepath.Join(c.root.Name(), key+entrySuffix), os.O_RDONLY|nonblocking, 0)"}}},
	{onTheCache + "an answer to another question, by a link", "the key is in the file", []edit{anyKey}},
	{onTheCache + "an answer to another question, moved here", "the key is in the file", []edit{anyKey}},
	{onTheCache + "a token that was put into the file", "the sum of the file", []edit{anySum}},
	{onTheCache + "a torn file", "the sum of the file", []edit{anySum}},
	{onTheCache + "a file that never ends", "the size of the file; without its sum", []edit{anySum, {cacheFile, "info.Size() > maxEntry || ", ""}, {cacheFile, "if err := json.Unmarshal(body, &s); err != nil || ", "if err := json.NewDecoder(bytes.NewReader(body)).Decode(&s); err != nil || "}}},
	{onTheCache + "a pipe that never talks", "only a regular file is read, and without waiting", []edit{{cacheFile, "os.O_RDONLY|nonblocking, 0)", "os.O_RDONLY, 0)"}}},
	{onTheCache + "the modes that it makes itself", "the modes of what it makes", []edit{{cacheFile, "os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)", "os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)"}}},
	{onTheCache + "a file that lies ready where it writes", "what lies there is removed, and the file is new", []edit{{cacheFile, "if err := c.root.Remove(temporary); err != nil &&", "if err := error(nil); err != nil &&"}, {cacheFile, "os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)", "os.O_WRONLY|os.O_CREATE, 0o600)"}}},
}

var (
	anyMode  = edit{cacheFile, "if info.Mode().Perm()&0o077 != 0 {", "if false && info.Mode().Perm()&0o077 != 0 {"}
	anyOwner = edit{cacheFile, "known && owner != os.Geteuid() {", "known && owner < 0 {"}
	anyKey   = edit{cacheFile, " || s.Key != key ", " "}
	anySum   = edit{cacheFile, "!ok || string(line) != hex.EncodeToString(sum[:])", "!ok || len(line) == 0 || len(sum) == 0"}
)
