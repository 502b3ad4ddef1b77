package cli

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
)

// halfBlind is what somebody reads who may see little, in a cluster where not every kind is installed.
type halfBlind struct{ client.Reader }

func (r halfBlind) Get(ctx context.Context, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if _, ok := into.(*appsv1.Deployment); ok {
		return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, key.Name, nil)
	}
	return r.Reader.Get(ctx, key, into, opts...)
}

func (r halfBlind) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	switch into.(type) {
	case *v1alpha1.AccessRequestList:
		return apierrors.NewForbidden(schema.GroupResource{Group: "hawser.io", Resource: "accessrequests"}, "", nil)
	case *v1alpha1.TrustedIssuerList:
		return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "hawser.io", Kind: "TrustedIssuer"}}
	case *v1alpha1.EndpointSetList:
		return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "hawser.io", Kind: "EndpointSet"}}
	case *v1alpha1.FederatedNetworkPolicyList:
		return apierrors.NewNotFound(schema.GroupResource{Group: "hawser.io", Resource: "federatednetworkpolicies"}, "")
	}
	return r.Reader.List(ctx, into, opts...)
}

func TestStatusShowsWhatMayBeRead(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(fleetObjects()[0], managerConfigMap()).Build()
	d := &deps{namespace: v1alpha1.Namespace, clock: clocktesting.NewFakeClock(now)}
	s, err := d.gatherStatus(t.Context(), halfBlind{c})
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	for _, g := range s.Gaps {
		missing = append(missing, g.Kind+" "+g.Reason)
	}
	want := []string{"AccessRequest Forbidden", "Deployment Forbidden"}
	if diff := cmp.Diff(want, missing); diff != "" {
		t.Errorf("gaps (-want +got)\n%s", diff)
	}
	if len(s.Clusters) != 1 || s.AccessRequests != nil || s.AccessGrants == nil || s.TrustedIssuers != nil || s.EndpointSets != nil || s.FederatedNetworkPolicies != nil {
		t.Errorf("want the cluster, no grants, and nothing said of requests, issuers, sets and policies, got %+v", s)
	}
	if gate := s.Processes[2]; gate.State != stateUnknown {
		t.Errorf("the gate is %s, which nobody can tell", gate.State)
	}
}
