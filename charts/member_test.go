package charts_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/charttest"
	"github.com/hawser-io/hawser/member"
)

// Whoever installs by the chart and whoever applies what `hawser member manifests` prints have the same.
func TestMemberIsWhatTheCommandPrints(t *testing.T) {
	helm := charttest.New(t, nil)
	deployments := v1alpha1.Rule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "patch"}}
	tests := []struct {
		name, values string
		want         []member.Options
	}{
		{"a service account", "member: {enabled: true, localClusters: [hub]}", []member.Options{{Local: "hub"}}},
		{"a certificate", "member: {enabled: true, localClusters: [hub], identity: certificate}", []member.Options{{Local: "hub", Identity: member.Certificate}}},
		{"a certificate that is renewed, and the controllers for it", "member: {enabled: true, localClusters: [hub], identity: renewedCertificate, controllers: {enabled: true}}", []member.Options{
			{Local: "hub", Identity: member.RenewedCertificate, Controllers: true},
		}},
		{"a group of eks", "member: {enabled: true, localClusters: [hub], iamGroup: hawser-members}", []member.Options{
			{Local: "hub", Identity: member.Foreign, Groups: member.GroupsOf(v1alpha1.Auth{Type: v1alpha1.AuthEKS})},
		}},
		{"a group of eks beside a service account", "member: {enabled: true, localClusters: [hub], identity: serviceAccount, iamGroup: hawser-members}", []member.Options{
			{Local: "hub", Groups: []string{"hawser-members"}},
		}},
		{"users and groups", "member: {enabled: true, localClusters: [hub], identity: foreign, users: [a@example.com, b], groups: [c]}", []member.Options{
			{Local: "hub", Identity: member.Foreign, Users: []string{"a@example.com", "b"}, Groups: []string{"c"}},
		}},
		{"endpoints, rules of one's own and short tokens", "member: {enabled: true, localClusters: [hub], users: [a], capabilities: [connect, endpoints], maxTokenLifetime: 90m, requires: [{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}]}", []member.Options{
			{Local: "hub", Users: []string{"a"}, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, MaxTokenLifetime: 90 * time.Minute, Requires: []v1alpha1.Rule{deployments}},
		}},
		{"several local clusters", "member: {enabled: true, localClusters: [hub, other], capabilities: [endpoints]}", []member.Options{
			{Local: "hub", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}}, {Local: "other", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}},
		}},
		{"controllers and gate for one that comes in", "member: {enabled: true, localClusters: [hub], controllers: {enabled: true, grantableRoles: [view, edit]}}\ngate: {enabled: true, tls: {secretName: x}}", []member.Options{
			{Local: "hub", Controllers: true, Gate: true, GrantableRoles: []string{"view", "edit"}},
		}},
		{"controllers alone", "member: {controllers: {enabled: true}}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			objs, err := helm.Render(t, tt.values)
			if err != nil {
				t.Fatal(err)
			}
			want := member.ControllerObjects(member.ControllerOptions{})
			for i, o := range tt.want {
				if i == 0 {
					want = nil
				}
				o.Version = version(t)
				if err := o.Validate(); err != nil {
					t.Fatal(err)
				}
				want = append(want, member.Objects(o)...)
			}
			if strings.Contains(tt.values, "controllers: {enabled: true") {
				want = append(want, rolesThatGrantsName(want)...)
			}
			if diff := cmp.Diff(byName(t, printed(t, want)), byName(t, objs)); diff != "" {
				t.Errorf("objects (-hawser member manifests +chart):\n%s", diff)
			}
		})
	}
}

// rolesThatGrantsName are the ClusterRoles of connections that are not among objs: whoever comes in by the gate gets them
// from a grant, and has no member install to bring them along.
func rolesThatGrantsName(objs []client.Object) []client.Object {
	all := member.Objects(member.Options{Local: "x", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	return slices.DeleteFunc(all, func(o client.Object) bool {
		_, role := o.(*rbacv1.ClusterRole)
		there := slices.ContainsFunc(objs, func(other client.Object) bool {
			return other.GetName() == o.GetName() && other.GetObjectKind().GroupVersionKind() == o.GetObjectKind().GroupVersionKind()
		})
		return !role || there || o.GetLabels()[v1alpha1.LocalClusterLabel] != ""
	})
}

// version is the chart's, which the install records.
func version(t *testing.T) string {
	t.Helper()
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	readYAML(t, "hawser/Chart.yaml", &chart)
	return chart.AppVersion
}

func printed(t *testing.T, objs []client.Object) charttest.Objects {
	t.Helper()
	text, err := member.YAML(objs)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := charttest.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// people are roles that are bound to nobody, and no part of what the command prints.
var people = []string{"hawser-viewer", "hawser-admin", "hawser-requester", "hawser-grants-author", "hawser-policy-author", "hawser-endpoints-viewer"}

// upgrades is the right to bring the kinds up to date: who applies what the command prints brings them, too.
const upgrades = "hawser-member-upgrade"

// byName drops what is no part of the member side: what runs, and the namespace that Helm makes. It says of all
// objects that Hawser manages them, where the chart says that Helm does.
func byName(t *testing.T, objs charttest.Objects) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, obj := range objs {
		runs := slices.Contains([]string{"Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"}, obj.GetKind()) || slices.Contains(people, obj.GetName()) || obj.GetName() == upgrades
		if runs || (obj.GetKind() == "Namespace" && obj.GetName() == v1alpha1.Namespace) {
			continue
		}
		labels := obj.GetLabels()
		if labels[v1alpha1.ManagedByLabel] == "Helm" {
			labels[v1alpha1.ManagedByLabel] = v1alpha1.ManagedBy
		}
		obj.SetLabels(labels)
		text, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		all[obj.GetKind()+" "+obj.GetNamespace()+"/"+obj.GetName()] = string(text)
	}
	return all
}
