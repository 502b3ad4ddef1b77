package awsidentity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestIdentitiesThatAreDeletedAndOnlyNameEachOtherNeedNobody(t *testing.T) {
	identity := func(name, source string, deleted bool) v1alpha1.AWSIdentity {
		id := v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if source != "" {
			id.Spec.SourceIdentityRef = &v1alpha1.AWSIdentityRef{Name: source}
		}
		if deleted {
			id.DeletionTimestamp = &metav1.Time{}
			*id.DeletionTimestamp = metav1.Now()
		}
		return id
	}
	using := func(name string) []v1alpha1.RemoteCluster {
		return []v1alpha1.RemoteCluster{{Spec: v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{EKS: &v1alpha1.EKSAuth{IdentityRef: &v1alpha1.AWSIdentityRef{Name: name}}}}}}
	}
	cases := map[string]struct {
		identities []v1alpha1.AWSIdentity
		clusters   []v1alpha1.RemoteCluster
		want       map[string]bool
	}{
		"a circle that is deleted":           {[]v1alpha1.AWSIdentity{identity("a", "b", true), identity("b", "c", true), identity("c", "a", true)}, nil, map[string]bool{}},
		"one of a circle stays":              {[]v1alpha1.AWSIdentity{identity("a", "b", true), identity("b", "a", false)}, nil, map[string]bool{"a": true, "b": true}},
		"a chain that is deleted and in use": {[]v1alpha1.AWSIdentity{identity("hub", "", true), identity("end", "hub", true)}, using("end"), map[string]bool{"hub": true, "end": true}},
		"a chain that is deleted":            {[]v1alpha1.AWSIdentity{identity("hub", "", true), identity("end", "hub", true)}, nil, map[string]bool{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, neededIdentities(c.identities, c.clusters, nil)); diff != "" {
				t.Errorf("needed (-want +got)\n%s", diff)
			}
		})
	}
}
