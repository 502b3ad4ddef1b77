package rights_test

// expectedRefusals are requests of our identities that are meant to be refused: what event.String says, and why.
var expectedRefusals = map[string]string{
	"primary: person:vera may not get secrets hawser-cluster-alpha in hawser":                                  "a viewer reads no credentials: hawser check says that, and goes as far as it can",
	"primary: person:vera may not get secrets hawser-credential-alpha in hawser":                               "the same",
	"primary: person:ada may not list events":                                                                  "hawser leave looks there for what the manager could not do, and goes without",
	"alpha: system:serviceaccount:hawser-grants:entry-6d5dca13621fb240 may not get namespaces hawser-from-hub": "a connection looks for an install of its own, which one with a granted identity may not have",
}

// unseen are rights that no request in an audit log can show: how right.String begins, and why they are needed.
var unseen = map[string]string{
	"there: hawser-member-controllers: approve signers.certificates.k8s.io kubernetes.io/kube-apiserver-client": "the API server asks for it by itself, where an approval is written",
	"there: hawser-member-controllers: bind clusterroles.rbac.authorization.k8s.io":                             "the API server asks for it by itself, where a binding is written",
	"there: hawser-grants/hawser-member-controllers: bind roles.rbac.authorization.k8s.io":                      "the API server asks for it by itself, where a binding is written",
	"there: hawser-grants/hawser-member-controllers: escalate roles.rbac.authorization.k8s.io":                  "the API server asks for it by itself, where a Role is written",
	"here: hawser-upgrade: create customresourcedefinitions.apiextensions.k8s.io":                               "the API server asks for it by itself, where an apply creates",
	"there: hawser-member-upgrade: create customresourcedefinitions.apiextensions.k8s.io":                       "the API server asks for it by itself, where an apply creates",
	"here: hawser-manager: patch events.events.k8s.io":                                                          "an event that is repeated within six minutes becomes a series",
	"there: hawser-member-controllers: patch events.events.k8s.io":                                              "an event that is repeated within six minutes becomes a series",
	"there: hawser-member-controllers: get /":                                                                   "Kubernetes itself lets every service account read them, by a binding that some take away",
	"there: hawser-member-controllers: get rolebindings":                                                        "where one that a grant makes is there already, which happens with a stale cache, or with one of somebody else's",
	"there: hawser-member-controllers: get clusterrolebindings":                                                 "the same",
	"there: hawser-grants/hawser-member-controllers: get roles":                                                 "the same",
	"there: hawser-endpoints: get":                                                                              "part of the capability: controllers that work over the connection read single objects, beside their caches",
}
