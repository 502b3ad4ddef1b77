package endpoints

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/endpoint"
)

func remote(change func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha", Labels: map[string]string{"zone": "a"}}}
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	rc.Spec.EndpointCIDRs = []string{"10.4.0.0/16"}
	if change != nil {
		change(rc)
	}
	return rc
}

func TestDecidesWhoIsFollowed(t *testing.T) {
	ours := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name    string
		rc      *v1alpha1.RemoteCluster
		id      string
		unknown bool // the local cluster's addresses
		reason  string
		barred  bool
	}{
		{name: "a remote cluster with the capability and ranges", rc: remote(nil), id: "1"},
		{name: "one without the capability", rc: remote(func(rc *v1alpha1.RemoteCluster) { rc.Spec.Capabilities = nil }), id: "1", reason: endpoint.ReasonNoCapability, barred: true},
		{name: "one without ranges", rc: remote(func(rc *v1alpha1.RemoteCluster) { rc.Spec.EndpointCIDRs = nil }), id: "1", reason: endpoint.ReasonUnbounded, barred: true},
		{name: "one with a range that is none", rc: remote(func(rc *v1alpha1.RemoteCluster) { rc.Spec.EndpointCIDRs = []string{"10.4.0.0"} }), id: "1", reason: endpoint.ReasonUnbounded, barred: true},
		{name: "one that is disabled", rc: remote(func(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true }), id: "1", reason: endpoint.ReasonDisabled},
		{name: "one whose connection has not found which it is", rc: remote(nil), reason: endpoint.ReasonNotConnected},
		{name: "one that might claim our addresses, which are not known yet", rc: remote(nil), id: "1", unknown: true, reason: endpoint.ReasonNotConnected},
		{name: "the local one, without any of it", rc: remote(func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.Auth.Type, rc.Spec.Capabilities, rc.Spec.EndpointCIDRs = v1alpha1.AuthInCluster, nil, nil
		}), id: "1", unknown: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hosts := Fixed(ours)
			hosts.known = !tt.unknown
			p := decide(tt.rc, tt.id, hosts)
			if p.why.Reason != tt.reason || p.barred != tt.barred {
				t.Errorf("decided %+v, want reason %q, barred %v", p, tt.reason, tt.barred)
			}
			local := tt.rc.IsLocal()
			if p.cluster.Name != "alpha" || p.cluster.ID != tt.id || p.cluster.Local != local || p.cluster.Bounds.Local != local || cmp.Diff(tt.rc.Labels, p.cluster.Labels) != "" {
				t.Errorf("the cluster is %+v", p.cluster)
			}
			if never := p.cluster.Bounds.Never; len(never) != 1 || never[0].Addr() != ours {
				t.Errorf("what it may not claim is %v", never)
			}
		})
	}
}

func TestProbesSayTheSameForAsLongAsItIsTheSame(t *testing.T) {
	for _, tt := range []struct {
		err    error
		reason string
	}{
		{nil, ""},
		{fmt.Errorf("probing: %w", connection.ErrWrongCluster), endpoint.ReasonOtherCluster},
		{fmt.Errorf("probing: %w", credential.ErrRefused), endpoint.ReasonUnauthorized},
		{connection.ErrNoCredential, endpoint.ReasonUnauthorized},
		{errors.New("dial tcp 127.0.0.1:43411: connection refused"), endpoint.ReasonUnreachable},
		{context.DeadlineExceeded, endpoint.ReasonUnreachable},
	} {
		if got := doubt(connection.Probe{Err: tt.err}); got.Reason != tt.reason {
			t.Errorf("%v: %+v, want %q", tt.err, got, tt.reason)
		}
	}
}
