package registry_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/registry"
)

func wanted(change ...func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Name: "prod", Labels: map[string]string{v1alpha1.InventoryLabel: "eks.all"}, Annotations: map[string]string{"arn": "x"},
	}}
	rc.Spec.Server, rc.Spec.CAData = "https://prod.example.com", "UEVN"
	rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		ClusterName: "prod", Region: "eu-north-1", AccountID: "111111111111",
		IdentityRef: &v1alpha1.AWSIdentityRef{Name: "token"}, APIIdentityRef: &v1alpha1.AWSIdentityRef{Name: "api"},
	}}
	for _, f := range change {
		f(rc)
	}
	return rc
}

func TestOnlyWhatIsToBeChangedIsWritten(t *testing.T) {
	type change = func(*v1alpha1.RemoteCluster)
	cases := []struct {
		name       string
		have, want change
		written    bool
	}{
		{"nothing changed", nil, nil, false},
		{"the kind of an identity is filled in by default", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.IdentityRef.Kind = v1alpha1.KindAWSIdentity }, nil, false},
		{"people added to it", func(rc *v1alpha1.RemoteCluster) {
			rc.Labels["team"], rc.Annotations["team"], rc.Spec.ProxyURL, rc.Spec.Disabled = "x", "x", "http://proxy", true
			rc.Spec.Capabilities = append(rc.Spec.Capabilities, v1alpha1.CapabilityConnect)
		}, nil, false},
		{"the inventory wants another server", nil, func(rc *v1alpha1.RemoteCluster) { rc.Spec.Server = "https://other.example.com" }, true},
		{"the inventory wants an identity no more", nil, func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.IdentityRef = nil }, true},
		{"the inventory wants it disabled", nil, func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true }, true},
		{"somebody changed the server", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Server = "https://other.example.com" }, nil, true},
		{"somebody changed the CA", func(rc *v1alpha1.RemoteCluster) { rc.Spec.CAData = "QUJD" }, nil, true},
		{"somebody changed the account", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.AccountID = "222222222222" }, nil, true},
		{"somebody changed an identity", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.APIIdentityRef.Name = "other" }, nil, true},
		{"somebody took an identity away", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth.EKS.IdentityRef = nil }, nil, true},
		{"somebody changed the type", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthMTLS} }, nil, true},
		{"somebody took a label away", func(rc *v1alpha1.RemoteCluster) { delete(rc.Labels, v1alpha1.InventoryLabel) }, nil, true},
		{"somebody took an annotation away", func(rc *v1alpha1.RemoteCluster) { rc.Annotations = nil }, nil, true},
		{"somebody took a capability away", func(rc *v1alpha1.RemoteCluster) { rc.Spec.Capabilities = nil }, nil, true},
		{"it is another object of the same name", func(rc *v1alpha1.RemoteCluster) { rc.UID = "other" }, nil, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			writes := 0
			w := registry.Writer{Client: applies(t, func(client.ApplyOptions) { writes++ })}
			have := wanted(func(rc *v1alpha1.RemoteCluster) { rc.UID = "u" })
			if err := w.Apply(t.Context(), wanted(), have); err != nil || writes != 1 {
				t.Fatalf("after a restart: %d writes (%v), want one", writes, err)
			}
			want := wanted()
			for f, rc := range map[*change]*v1alpha1.RemoteCluster{&tc.have: have, &tc.want: want} {
				if *f != nil {
					(*f)(rc)
				}
			}
			if err := w.Apply(t.Context(), want, have); err != nil {
				t.Fatal(err)
			}
			if (writes == 2) != tc.written {
				t.Errorf("%d writes", writes-1)
			}
		})
	}
}

func TestANewObjectIsNotForced(t *testing.T) {
	var forced []bool
	w := registry.Writer{Client: applies(t, func(o client.ApplyOptions) { forced = append(forced, o.Force != nil && *o.Force) })}
	if err := w.Apply(t.Context(), wanted(), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), wanted(), wanted(func(rc *v1alpha1.RemoteCluster) { rc.UID = "u" })); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{false, true}, forced); diff != "" {
		t.Errorf("forced (-want +got):\n%s", diff)
	}
}

// applies is a client that only takes note of what is applied.
func applies(t *testing.T, note func(client.ApplyOptions)) client.Client {
	t.Helper()
	return fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, _ runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			var o client.ApplyOptions
			o.ApplyOptions(options)
			if o.FieldManager != registry.FieldManager {
				t.Errorf("the field manager is %q", o.FieldManager)
			}
			note(o)
			return nil
		},
	}).Build()
}
