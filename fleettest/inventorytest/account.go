package inventorytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
)

// Account is a service account that may do what a role says, and nothing else, and that is seen doing it.
type Account struct {
	config *rest.Config
	proxy  *fleettest.HTTPProxy
	rules  []rbacv1.PolicyRule
}

// NewAccount makes a service account in a namespace, and binds it to the Roles, in that namespace, and
// ClusterRoles that roles holds as YAML documents. It ends with the test, and so do the ClusterRoles.
func NewAccount(t *testing.T, cluster *fleettest.Cluster, namespace string, roles []byte) *Account {
	t.Helper()
	a := &Account{proxy: cluster.HTTPProxy(t)}
	name := cluster.ServiceAccount(t, namespace, "inventory").Name
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(roles), 4096)
	for {
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := decoder.Decode(&role); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the role of an inventory: %v", err)
		}
		switch role.Kind {
		case "Role":
			bindRole(t, cluster, namespace, role, subject)
		case "ClusterRole":
			bindClusterRole(t, cluster, namespace, role, subject)
		default:
			t.Fatalf("reading the role of an inventory: its kind is %q, want Role or ClusterRole", role.Kind)
		}
		a.rules = append(a.rules, role.Rules...)
	}
	if len(a.rules) == 0 {
		t.Fatal("reading the role of an inventory: it has no rules")
	}
	a.config = a.proxy.Through(cluster.TokenConfig(cluster.Token(t, namespace, name, time.Hour)))
	return a
}

func bindRole(t *testing.T, cluster *fleettest.Cluster, namespace string, role rbacv1.ClusterRole, subject rbacv1.Subject) {
	t.Helper()
	client, meta := cluster.Client().RbacV1(), metav1.ObjectMeta{Name: role.Name}
	if _, err := client.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: role.Rules}, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a Role: %v", err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: []rbacv1.Subject{subject}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}}
	if _, err := client.RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a RoleBinding: %v", err)
	}
}

func bindClusterRole(t *testing.T, cluster *fleettest.Cluster, namespace string, role rbacv1.ClusterRole, subject rbacv1.Subject) {
	t.Helper()
	client, meta := cluster.Client().RbacV1(), metav1.ObjectMeta{Name: role.Name + "-" + namespace} // of this test alone
	if _, err := client.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: role.Rules}, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a ClusterRole: %v", err)
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: []rbacv1.Subject{subject}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name}}
	if _, err := client.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a ClusterRoleBinding: %v", err)
	}
	t.Cleanup(func() {
		ctx := outliving{t}.Context()
		_ = client.ClusterRoleBindings().Delete(ctx, meta.Name, metav1.DeleteOptions{}) // another test may have stopped the cluster
		_ = client.ClusterRoles().Delete(ctx, meta.Name, metav1.DeleteOptions{})
	})
}

// Config authenticates as the account. Each call returns a new one.
func (a *Account) Config() *rest.Config { return rest.CopyConfig(a.config) }

// checkRole fails where the role allows more than was asked for.
func (a *Account) checkRole(t *testing.T) {
	for _, what := range a.unused() {
		t.Errorf("the role allows to %s, which the inventory did not do: leave it out of role.yaml", what)
	}
}

// unused is what the role allows and nobody has asked for.
func (a *Account) unused() []string {
	used := map[string]bool{}
	for _, r := range a.proxy.Requests() {
		used[asked(r)] = true
	}
	var unused []string
	for _, rule := range a.rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if what := verb + " " + strings.TrimPrefix(group+"/"+resource, "/"); !used[what] {
						unused = append(unused, what)
					}
				}
			}
		}
		unused = append(unused, rule.NonResourceURLs...) // no inventory needs these
	}
	return unused
}

// asked names what a request asks for as a rule does: "list apps/deployments".
func asked(r fleettest.Request) string {
	parts := strings.Split(strings.Trim(r.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1]+"/", parts[3:]
	default:
		return fmt.Sprint(r.Method, " ", r.Path)
	}
	if len(parts) > 2 && parts[0] == "namespaces" && !slices.Contains([]string{"status", "finalize"}, parts[2]) {
		parts = parts[2:]
	}
	resource, named := group+parts[0], len(parts) > 1
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return verb(r, named) + " " + resource
}

func verb(r fleettest.Request, named bool) string {
	switch {
	case r.Method == http.MethodGet && slices.Contains([]string{"true", "1"}, r.Query.Get("watch")):
		return "watch"
	case r.Method == http.MethodGet && !named:
		return "list"
	case r.Method == http.MethodGet:
		return "get"
	case r.Method == http.MethodPost:
		return "create"
	case r.Method == http.MethodPut:
		return "update"
	case r.Method == http.MethodPatch:
		return "patch"
	case r.Method == http.MethodDelete && !named:
		return "deletecollection"
	}
	return strings.ToLower(r.Method)
}
