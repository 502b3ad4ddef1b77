package rbac_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/internal/rbac"
)

const root = "../.."

func TestWhatIsWrittenIsWhatTheTablesSay(t *testing.T) {
	files, err := rbac.Files()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v: run make generate", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the tables say: run make generate (-table +file)\n%s", path, diff)
		}
	}
	for _, dir := range []string{"config/rbac", "config/endpoints", "charts/hawser/files/rbac"} {
		there, err := filepath.Glob(filepath.Join(root, dir, "*"))
		if err != nil || len(there) == 0 {
			t.Fatalf("nothing is in %s: %v", dir, err)
		}
		for _, path := range there {
			if files[filepath.Join(dir, filepath.Base(path))] == nil {
				t.Errorf("%s is made by no table", path)
			}
		}
	}
}

// TestTheYAMLIsTheTable reads the files with an API server's eyes: they are printed by hand, for the comments.
func TestTheYAMLIsTheTable(t *testing.T) {
	for _, f := range rbac.Features() {
		decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(string(f.ChartYAML())), 4096)
		for _, want := range f.Objects() {
			var err error
			var got any
			switch want.(type) {
			case *rbacv1.ClusterRole:
				o := &rbacv1.ClusterRole{}
				err, got = decoder.Decode(o), o
			case *rbacv1.Role:
				o := &rbacv1.Role{}
				err, got = decoder.Decode(o), o
			case *rbacv1.ClusterRoleBinding:
				o := &rbacv1.ClusterRoleBinding{}
				err, got = decoder.Decode(o), o
			case *rbacv1.RoleBinding:
				o := &rbacv1.RoleBinding{}
				err, got = decoder.Decode(o), o
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-table +file)\n%s", f.Name, err, diff)
			}
		}
	}
}

func TestEveryRuleIsNarrowAndSaysWhy(t *testing.T) {
	for _, f := range rbac.Features() {
		if f.Head == "" || f.Switch == "" {
			t.Errorf("%s: it does not say what it is for, or what switches it on", f.Name)
		}
		for _, r := range f.Roles {
			for _, rule := range r.Rules {
				if rule.Why == "" || strings.HasSuffix(rule.Why, ".") {
					t.Errorf("%s of %s, %v: it says why as %q, want a phrase without a full stop", r.Name, f.Name, rule.PolicyRule, rule.Why)
				}
				for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.ResourceNames) {
					if strings.Contains(word, "*") && word != "default.*" { // a name of Calico's, as it stands
						t.Errorf("%s of %s: a wildcard in %v", r.Name, f.Name, rule.PolicyRule)
					}
				}
				for _, verb := range []string{"bind", "escalate", "impersonate", "deletecollection"} {
					if slices.Contains(rule.Verbs, verb) {
						t.Errorf("%s of %s: %s in %v", r.Name, f.Name, verb, rule.PolicyRule)
					}
				}
				if r.Namespace == "" && r.Bound && slices.Contains(rule.Resources, "secrets") {
					t.Errorf("%s of %s: the manager reads Secrets everywhere", r.Name, f.Name)
				}
			}
		}
	}
}

// TestThePolicyOfTheManagerIsAboutTheAccountThatTheRolesAreBoundTo, or it would be about nobody.
func TestThePolicyOfTheManagerIsAboutTheAccountThatTheRolesAreBoundTo(t *testing.T) {
	if want := "system:serviceaccount:" + v1alpha1.Namespace + ":" + rbac.Account; authors.ManagerUser != want {
		t.Errorf("it is about %q, want %q", authors.ManagerUser, want)
	}
}

// TestNobodyElseSaysWhatWasApplied holds the statuses by which what was made is kept in step, also where the policy of
// package authors is not in force, to the manager's own role.
func TestNobodyElseSaysWhatWasApplied(t *testing.T) {
	var may []string
	for _, f := range rbac.Features() {
		for _, r := range f.Roles {
			for _, rule := range r.Rules {
				if slices.Contains(rule.Resources, "endpointsets/status") || slices.Contains(rule.Resources, "federatednetworkpolicies/status") {
					may = append(may, f.Name+" "+r.Name)
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"endpoints hawser-federation"}, may); diff != "" {
		t.Errorf("roles that write these statuses (-want +got):\n%s", diff)
	}
}
