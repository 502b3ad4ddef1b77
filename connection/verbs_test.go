package connection_test

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

// through connects as an account with some rules, by a proxy that writes down what is asked.
func through(t *testing.T, everywhere, inOne []rbacv1.PolicyRule, checks func(namespace string) []authorizationv1.ResourceAttributes, o connection.Options) (*connection.Connection, *fleettest.HTTPProxy) {
	t.Helper()
	c := fleettest.Use(t, "pods")
	namespace := c.Namespace(t)
	c.ServiceAccount(t, namespace, "reader")
	who := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "reader"}}
	rbac := c.Client().RbacV1()
	role, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "verbs-"}, Rules: everywhere}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binding, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "verbs-"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name}, Subjects: who,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoles().Delete(context.WithoutCancel(t.Context()), role.Name, metav1.DeleteOptions{})
	})
	if _, err := rbac.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "verbs"}, Rules: inOne}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "verbs"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "verbs"}, Subjects: who,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy := c.HTTPProxy(t)
	spec := connection.Spec{Name: "pods", Endpoint: credential.Endpoint{Server: proxy.URL, CAData: c.CA()}, Checks: checks(namespace)}
	conn := connection.New(spec, &reader{t, c, namespace}, o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); conn.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return conn, proxy
}

// firstFull counts, by the end of their path, the requests of the first full probe and of what went before it.
func firstFull(proxy *fleettest.HTTPProxy) map[string]int {
	n := map[string]int{}
	for _, r := range proxy.Requests() {
		if n[path.Base(r.Path)]++; n["readyz"] > 1 {
			break
		}
	}
	return n
}

// What is allowed is learned from the rules; what is not is asked for by name, and so the condition names no more and no
// less than what requests would meet.
func TestVerbsAreAskedForTogether(t *testing.T) {
	rule := func(group, resource, name string, verbs ...string) rbacv1.PolicyRule {
		r := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
		if name != "" {
			r.ResourceNames = []string{name}
		}
		return r
	}
	everywhere := []rbacv1.PolicyRule{rule("", "pods", "", "list", "watch"), rule("apps", "*", "", "get"), rule("", "*/log", "", "get"), rule("", "namespaces", "kube-system", "get")}
	inOne := []rbacv1.PolicyRule{rule("", "secrets", "one", "get"), rule("", "configmaps", "", "list")}
	conn, proxy := through(t, everywhere, inOne, func(ns string) []authorizationv1.ResourceAttributes {
		return []authorizationv1.ResourceAttributes{
			{Verb: "list", Resource: "pods"}, {Verb: "watch", Resource: "pods"},
			{Verb: "get", Group: "apps", Resource: "deployments"}, {Verb: "get", Resource: "pods", Subresource: "log"},
			{Namespace: ns, Verb: "get", Resource: "secrets", Name: "one"}, {Namespace: ns, Verb: "list", Resource: "configmaps"},
			{Namespace: ns, Verb: "list", Resource: "pods"},

			{Verb: "get", Resource: "pods"}, {Verb: "list", Resource: "configmaps"}, // there is a Role for it, in one namespace
			{Namespace: ns, Verb: "get", Resource: "secrets"}, {Verb: "list", Group: "apps", Resource: "pods"},
		}
	}, connection.Options{ProbeInterval: time.Hour})
	fleettest.Eventually(t, patience, func() error {
		got := conn.State().Condition(v1alpha1.Authorized)
		if got.Status != metav1.ConditionFalse {
			return fmt.Errorf("Authorized is %s (%s)", got.Status, got.Message)
		}
		for _, missing := range []string{"get pods", "list configmaps", "get secrets in namespace", "list pods.apps"} {
			if !strings.Contains(got.Message, missing) {
				t.Errorf("%q is not said to be missing: %s", missing, got.Message)
			}
		}
		for _, there := range []string{"watch pods", "deployments", "log", `"one"`} {
			if strings.Contains(got.Message, there) {
				t.Errorf("%q is said to be missing: %s", there, got.Message)
			}
		}
		return nil
	})
	n := firstFull(proxy)
	if rules, verbs := n["selfsubjectrulesreviews"], n["selfsubjectaccessreviews"]; rules != 2 || verbs != 4 {
		t.Errorf("a full probe asked for rules %d times and for verbs %d times, want 2 and 4", rules, verbs)
	}
}

// A connection that somebody else had before is Ready as soon as it is proved; everything else is looked at in its turn.
func TestWhatWasKnownIsLookedAtLater(t *testing.T) {
	interval := 300 * time.Millisecond
	conn, proxy := through(t, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}}}, nil,
		func(string) []authorizationv1.ResourceAttributes {
			return []authorizationv1.ResourceAttributes{{Verb: "list", Resource: "pods"}} // which it may not
		}, connection.Options{ProbeInterval: interval, Last: &connection.Last{KubernetesVersion: "v1.0.0", ClusterProperty: "sun"}})
	fleettest.Eventually(t, patience, func() error {
		if s := conn.State(); s.ProbedAt.IsZero() {
			if got := s.Condition(v1alpha1.Authorized); got.Status != metav1.ConditionUnknown {
				t.Errorf("before the first probe, Authorized is %s", got.Status)
			}
			return fmt.Errorf("not probed yet: %+v", s.Conditions)
		}
		return nil
	})
	fleettest.Eventually(t, patience, func() error {
		if got := conn.State().Condition(v1alpha1.Authorized); got.Status != metav1.ConditionFalse {
			return fmt.Errorf("Authorized is %s (%s)", got.Status, got.Message)
		}
		return nil
	})
	light, full, asked := -1, -1, 0
	for i, r := range proxy.Requests() {
		if full < 0 && r.Method == http.MethodGet && path.Base(r.Path) == "kube-system" {
			asked++
			if light < 0 {
				light = i
			}
		}
		if full < 0 && path.Base(r.Path) == "readyz" {
			full = i
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times who the cluster is, want once for the proof and the first probe, and once for the full one", asked)
	}
	requests := proxy.Requests()
	if light < 0 || full < 0 || requests[full].Time.Sub(requests[light].Time) < interval/2 {
		t.Errorf("the first probe was no light one: %+v", requests)
	}
}
