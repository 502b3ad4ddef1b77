package rights_test

// expectedRefusals are requests of our identities that are meant to be refused: what event.String says, and why.
var expectedRefusals = map[string]string{
	"primary: person:vera may not get secrets hawser-cluster-alpha in hawser":                                  "a viewer reads no credentials: hawser check says that, and goes as far as it can",
	"primary: person:vera may not get secrets hawser-credential-alpha in hawser":                               "the same",
	"primary: person:ada may not list events":                                                                  "hawser leave looks there for what the manager could not do, and goes without",
	"alpha: system:serviceaccount:hawser-grants:entry-6d5dca13621fb240 may not get namespaces hawser-from-hub": "a connection looks for an install of its own, which one with a granted identity may not have",
}

// early are requests that may be refused before they are allowed, and why.
var early = map[string]string{
	"alpha: system:serviceaccount:hawser-from-hub:hawser may not get namespaces kube-system": "the first of a connection, which comes when hawser join has just written its role: an API server knows of it a moment later",
}

const calicoAsks = "Calico's API server asks for it by itself, where there is one: here its kinds are served without"

// unseen are rights that no request in an audit log can show: how right.String begins, and why they are needed.
var unseen = map[string]string{
	"there: hawser-member-controllers: approve signers.certificates.k8s.io kubernetes.io/kube-apiserver-client": "the API server asks for it by itself, where an approval is written",
	"there: hawser-member-controllers: bind clusterroles.rbac.authorization.k8s.io":                             "the API server asks for it by itself, where a binding is written",
	"there: hawser-grants/hawser-member-controllers: bind roles.rbac.authorization.k8s.io":                      "the API server asks for it by itself, where a binding is written",
	"there: hawser-grants/hawser-member-controllers: escalate roles.rbac.authorization.k8s.io":                  "the API server asks for it by itself, where a Role is written",
	"here: hawser-upgrade: create customresourcedefinitions.apiextensions.k8s.io":                               "the API server asks for it by itself, where an apply creates",
	"here: hawser-federation: list tier.networkpolicies.projectcalico.org":                                      calicoAsks,
	"here: hawser-federation: watch tier.networkpolicies.projectcalico.org":                                     calicoAsks,
	"here: hawser-federation: create tier.networkpolicies.projectcalico.org":                                    calicoAsks,
	"here: hawser-federation: update tier.networkpolicies.projectcalico.org":                                    calicoAsks,
	"here: hawser-federation: delete tier.networkpolicies.projectcalico.org":                                    calicoAsks,
	"there: hawser-member-upgrade: create customresourcedefinitions.apiextensions.k8s.io":                       "the API server asks for it by itself, where an apply creates",
}

// sometimes are rights that an audit log may show or not: where RBAC names the first of several roles that allow it, and
// where it takes somebody who is late.
var sometimes = map[string]string{
	"here: hawser-manager: patch events.events.k8s.io":             "an event that is repeated within six minutes becomes a series",
	"there: hawser-member-controllers: patch events.events.k8s.io": "the same",
	"here: hawser/hawser-shards: get leases":                       "a Lease is read again after a conflict, and before that of a dead replica is deleted",
	"anywhere: hawser/hawser-admin: delete secrets":                "hawser leave deletes what the manager has not deleted before it",
	"there: hawser-member-controllers: get rolebindings":           "what a grant makes is there already: its cache is late, or it is somebody else's",
	"there: hawser-member-controllers: get clusterrolebindings":    "the same",
	"there: hawser-grants/hawser-member-controllers: get ":         "the same",
	"there: hawser-member-controllers: get /":                      "Kubernetes itself lets every service account read them, by a binding that some take away",
	"here: hawser-federation: get ":                                "what is in the way of an object is looked at before it is refused; and after a conflict the object. Of tiers Calico's API server asks by itself",
}
