package manager

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
)

// Helm takes over no object that somebody else has made first, and a manager starts before Helm has made the last one.
func TestWhoKeepsTheRemoteClusterOfTheLocalOne(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	self := func(auth v1alpha1.AuthType, owner string) *v1alpha1.RemoteCluster {
		return &v1alpha1.RemoteCluster{
			ObjectMeta: metav1.ObjectMeta{Name: "hub", Labels: map[string]string{v1alpha1.ManagedByLabel: owner}},
			Spec:       v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: auth}},
		}
	}
	tests := []struct {
		name    string
		options Options
		there   *v1alpha1.RemoteCluster
		want    string // who keeps it in the end
		wantErr string
	}{
		{"there is none", Options{}, nil, v1alpha1.ManagedBy, ""},
		{"there is none, and somebody else declares it", Options{SelfDeclared: true}, nil, "", ""},
		{"there is none, and it is for management only", Options{ManagementOnly: true}, nil, "", ""},
		{"it is ours", Options{}, self(v1alpha1.AuthInCluster, v1alpha1.ManagedBy), v1alpha1.ManagedBy, ""},
		{"it is ours, and it is for management only", Options{ManagementOnly: true}, self(v1alpha1.AuthInCluster, v1alpha1.ManagedBy), "", ""},
		{"it is Helm's", Options{SelfDeclared: true}, self(v1alpha1.AuthInCluster, "Helm"), "Helm", ""},
		{"it is Helm's, and it is for management only", Options{ManagementOnly: true}, self(v1alpha1.AuthInCluster, "Helm"), "Helm", ""},
		{"it is ours, and Helm will take it over", Options{SelfDeclared: true, ManagementOnly: true}, self(v1alpha1.AuthInCluster, v1alpha1.ManagedBy), v1alpha1.ManagedBy, ""},
		{"it is Helm's, and another cluster", Options{SelfDeclared: true}, self(v1alpha1.AuthBearerToken, "Helm"), "Helm", "is another one (auth.type bearerToken)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			objs := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Namespace}}}
			if tt.there != nil {
				objs = append(objs, tt.there)
			}
			tt.options.ClusterName, tt.options.Namespace = "hub", v1alpha1.Namespace
			p := &presence{client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).Build(), options: tt.options}
			err := p.joinSelf(t.Context())
			if (err != nil) != (tt.wantErr != "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			var all v1alpha1.RemoteClusterList
			if err := p.client.List(t.Context(), &all); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, rc := range all.Items {
				got = rc.Labels[v1alpha1.ManagedByLabel]
			}
			if got != tt.want {
				t.Errorf("it is kept by %q, want %q", got, tt.want)
			}
		})
	}
}
