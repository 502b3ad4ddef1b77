package accessrequest

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
)

func TestWithoutTheKindClusterProfileNothingIsWritten(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "access", UID: "u"}}
	ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = "alpha", "deploy", v1alpha1.OutputClusterProfile
	missing := &meta.NoKindMatchError{GroupKind: clusterprofile.Kind.GroupKind(), SearchedVersions: []string{clusterprofile.Kind.Version}}
	c := fakeclient.NewClientBuilder().WithScheme(scheme).WithObjects(ar).WithStatusSubresource(ar).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, ok := obj.(*unstructured.Unstructured); ok {
				return missing
			}
			return c.Get(ctx, key, obj, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*unstructured.Unstructured); ok {
				return missing
			}
			return c.Create(ctx, obj, opts...)
		},
	}).Build()
	r := &Reconciler{Client: c, Clock: testingclock.NewFakePassiveClock(start), Local: "hub", Namespace: v1alpha1.Namespace}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	v, err := r.write(t.Context(), ar, rc, nil, credential.Endpoint{Server: "https://alpha.example.com"}, known{held: lasting("id", time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if v.status != metav1.ConditionFalse || v.reason != v1alpha1.ReasonOutputUnsupported || !strings.Contains(v.message, "sigs.k8s.io/cluster-inventory-api") || v.target != "" {
		t.Errorf("it is said: %+v", v)
	}
	var secrets corev1.SecretList
	if err := c.List(t.Context(), &secrets); err != nil || len(secrets.Items) != 0 || ar.Status.SecretName != "" {
		t.Errorf("there are %d Secrets (%v), and the status names %q", len(secrets.Items), err, ar.Status.SecretName)
	}
}
