package remotecluster

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestTokensOfTwoClustersAreTheSame(t *testing.T) {
	cluster := func(name string, eks *v1alpha1.EKSAuth) *v1alpha1.RemoteCluster {
		return &v1alpha1.RemoteCluster{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: eks}},
		}
	}
	ref := func(name string) *v1alpha1.AWSIdentityRef {
		return &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: name}
	}
	live := &v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-north-1", AccountID: "111122223333", IdentityRef: ref("live")}
	cases := map[string]struct {
		other *v1alpha1.EKSAuth
		want  bool
	}{
		"the same name in another account":             {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-north-1", AccountID: "444455556666", IdentityRef: ref("live")}, true},
		"the same name in another region":              {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-west-1", AccountID: "111122223333", IdentityRef: ref("live")}, true},
		"the same name, entered by another identity":   {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-west-1", IdentityRef: ref("staging")}, false},
		"the same name, entered by the manager itself": {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-west-1"}, false},
		"another name":                               {&v1alpha1.EKSAuth{ClusterName: "test", Region: "eu-west-1", IdentityRef: ref("live")}, false},
		"a second name for the same cluster":         {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-north-1", AccountID: "111122223333", IdentityRef: ref("live")}, false},
		"perhaps the same: one account is not known": {&v1alpha1.EKSAuth{ClusterName: "prod", Region: "eu-north-1", IdentityRef: ref("live")}, false},
		"no EKS cluster":                             {nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := sharesAudience(cluster("a", live), cluster("b", c.other)); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
