package member

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// YAML prints objects for review and for kubectl apply: one document for each, in the given order,
// under a comment that says what it is for, without status and other fields that a server fills in.
// The same objects give the same bytes.
func YAML(objs []client.Object) ([]byte, error) {
	var out bytes.Buffer
	for _, obj := range objs {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			return nil, fmt.Errorf("converting %s: %w", key(obj), err)
		}
		unstructured.RemoveNestedField(content, "status")
		if spec, ok := content["spec"].(map[string]any); ok && len(spec) == 0 {
			delete(content, "spec")
		}
		for _, field := range []string{"creationTimestamp", "uid", "resourceVersion", "generation", "managedFields"} {
			unstructured.RemoveNestedField(content, "metadata", field)
		}
		text, err := yaml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", key(obj), err)
		}
		out.WriteString("---\n")
		if line := purpose(obj); line != "" {
			out.WriteString("# " + line + "\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// purpose says in a line what an object of the member side is for.
func purpose(obj client.Object) string {
	kind := obj.GetObjectKind().GroupVersionKind().Kind
	local := obj.GetLabels()[v1alpha1.LocalClusterLabel]
	who := fmt.Sprintf("local cluster %q", local)
	switch kind {
	case "Namespace":
		if obj.GetName() == v1alpha1.GrantsNamespace {
			return "Holds the accounts that AccessGrants make, and nothing that could run as them."
		}
		if local == "" {
			return "Where Hawser runs, if it runs here, and where its member controllers keep their Lease."
		}
		return "Belongs to the connection from " + who + ", and records its version and the longest token lifetime."
	case "ServiceAccount":
		if local == "" {
			return "The identity of " + runner(obj.GetName()) + "."
		}
		return "The identity of the connection from " + who + "."
	case "ValidatingAdmissionPolicy":
		return policyPurpose[obj.GetName()]
	case "ValidatingAdmissionPolicyBinding":
		return "Puts the policy of the same name in force."
	case "ClusterRole", "Role":
		return rolePurpose(kind, obj.GetNamespace(), obj.GetName(), local)
	case "ClusterRoleBinding", "RoleBinding":
		if local == "" {
			return "Gives " + runner(obj.GetName()) + " the " + roleOf(kind) + " of the same name."
		}
		return bindingPurpose(kind, obj.GetName(), local)
	}
	return ""
}

func rolePurpose(kind, namespace, name, local string) string {
	switch {
	case name == GateRole || name == ControllersRole:
		return runnerPurpose(kind, namespace, name)
	case name == roleName(partConnect, local) && namespace == v1alpha1.Namespace:
		return "Capability connect: lets a connection see whether the member controllers run."
	case name == roleName(partConnect, local) && namespace != "":
		return "Capability connect: lets the connection read the version and the token lifetime that are recorded for it."
	case name == roleName(partConnect, local):
		return "Capability connect: lets a connection know which cluster this is."
	case name == roleName(partEndpoints, local):
		return "Capability endpoints: reads what federated endpoints are made of."
	case name == roleName(partRequires, local):
		return fmt.Sprintf("What the RemoteCluster in local cluster %q requires for its own controllers.", local)
	case namespace != "":
		return "Rights of the connection on itself: to renew its token, where it has one, and to delete its own namespace."
	default:
		return "Rights of the connection on itself: to renew its certificate, where it does so, and to delete its own bindings."
	}
}

func bindingPurpose(kind, name, local string) string {
	for _, p := range []part{partConnect, partEndpoints, partRequires} {
		if name == boundName(p, local) {
			return fmt.Sprintf("Gives %s %s to the connection from local cluster %q.", roleOf(kind), roleName(p, local), local)
		}
	}
	return fmt.Sprintf("Gives the connection from local cluster %q, and nobody else, its rights on itself.", local)
}

// roleOf is the kind of role that a kind of binding gives here.
func roleOf(binding string) string {
	if binding == "RoleBinding" {
		return "Role"
	}
	return "ClusterRole"
}

func runnerPurpose(kind, namespace, name string) string {
	switch {
	case name == GateRole && kind == "Role":
		return "Lets the gate mint tokens of the accounts that grants made."
	case name == GateRole:
		return "Lets the gate read issuers and grants, and say when an issuer was last used."
	case namespace == v1alpha1.GrantsNamespace:
		return "Lets the member controllers keep the accounts of grants, and the Roles by which connections mint tokens of them."
	case kind == "Role":
		return "Lets the member controllers say that they run (a Lease) and what they did (events), and see which audiences the API server accepts."
	default:
		return "Lets the member controllers decide on the renewal of client certificates, watch over trusted issuers, and carry out grants."
	}
}

// runner is whose an account, or a role of the same name, is.
func runner(name string) string {
	if name == GateRole {
		return "the gate"
	}
	return "the member controllers"
}

// policyPurpose says what an admission policy is for.
var policyPurpose = map[string]string{
	TokenLifetimePolicy: "Caps the lifetime of tokens for the accounts of connections, each by the annotation " + MaxTokenLifetimeAnnotation + " of its namespace.",
	GrantAuthorsPolicy:  "Whoever writes an AccessGrant needs the verb bind on each of its roles: nobody gives away more than they have.",
	GrantAccountsPolicy: "Keeps namespace " + v1alpha1.GrantsNamespace + " to the accounts of grants, and their tokens to those that end.",
	GrantTokensPolicy:   "Caps the lifetime of tokens for the accounts of grants, each by its AccessGrant, and refuses those that no grant names.",
	ControllersPolicy:   "Keeps the member controllers, who may bind roles, to what grants are made of.",
	GatePolicy:          "Keeps the gate from writing the keys that it verifies tokens with.",
}
