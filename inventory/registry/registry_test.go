package registry_test

import (
	"strings"
	"testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/registry"
)

func TestNamesOfRemoteClusters(t *testing.T) {
	long := strings.Repeat("a-long-name-", 9)
	cases := []struct {
		name, wish string
		taken      []string
		want       string
	}{
		{"a name that is free is kept", "prod", nil, "prod"},
		{"what a label cannot hold becomes a dash", "Team_A.Prod", nil, "team-a-prod"},
		{"a label does not end with a dash", "prod_", nil, "prod"},
		{"a taken name gets a hash", "prod", []string{"prod"}, "prod-c7ceec"},
		{"a name taken with its hash gets more of it", "prod", []string{"prod", "prod-c7ceec"}, "prod-c7ceecd6"},
		{"a name of fifty characters fits", strings.Repeat("a", 50), nil, strings.Repeat("a", 50)},
		{"a longer name is cut and gets a hash", long, nil, "a-long-name-a-long-name-a-long-name-a-long-c7ceec"},
		{"a name of which nothing is left is the hash", "___", nil, "c7ceec"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := registry.Name(tc.wish, "arn:aws:eks:eu-north-1:111122223333:cluster/prod", func(name string) bool {
				for _, taken := range tc.taken {
					if name == taken {
						return true
					}
				}
				return false
			})
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if len(got) > registry.MaxName {
				t.Errorf("%q has %d characters", got, len(got))
			}
		})
	}
}

func FuzzNamesAreLabels(f *testing.F) {
	f.Add("prod", "id", true)
	f.Add("---", "", false)
	f.Add(strings.Repeat("x-", 40), "id", true)
	f.Fuzz(func(t *testing.T, wish, id string, taken bool) {
		name := registry.Name(wish, id, func(string) bool { defer func() { taken = false }(); return taken })
		if len(name) == 0 || len(name) > registry.MaxName || strings.Trim(name, "-") != name ||
			strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is no name", name)
		}
	})
}

func TestRemoteClustersThatNameAnEKSCluster(t *testing.T) {
	cluster := registry.EKSCluster{Name: "prod", AccountID: "111122223333", Region: "eu-north-1", Server: "https://ABC.gr7.eu-north-1.eks.amazonaws.com"}
	eks := func(name, region, account string) v1alpha1.RemoteCluster {
		var rc v1alpha1.RemoteCluster
		rc.Name = "prod"
		rc.Spec.Server = "https://tunnel.example.com"
		rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: name, Region: region, AccountID: account}}
		return rc
	}
	at := func(server string) v1alpha1.RemoteCluster {
		var rc v1alpha1.RemoteCluster
		rc.Spec.Server = server
		rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
		return rc
	}
	cases := []struct {
		name string
		rc   v1alpha1.RemoteCluster
		want bool
	}{
		{"the same name, region and account, by a tunnel", eks("prod", "eu-north-1", "111122223333"), true},
		{"the name of the object, where it names none", eks("", "eu-north-1", "111122223333"), true},
		{"another account", eks("prod", "eu-north-1", "444455556666"), false},
		{"another region", eks("prod", "us-east-1", "111122223333"), false},
		{"no account: it may be another one's", eks("prod", "eu-north-1", ""), false},
		{"the same server by a token", at("https://abc.gr7.eu-north-1.eks.amazonaws.com:443/"), true},
		{"another server", at("https://def.gr7.eu-north-1.eks.amazonaws.com"), false},
		{"another port", at("https://abc.gr7.eu-north-1.eks.amazonaws.com:8443"), false},
		{"no server", at(""), false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := cluster.IsNamedBy(&tc.rc); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

func TestClustersThatCannotBeConnectedTo(t *testing.T) {
	up := aws.Cluster{Status: "ACTIVE", Server: "https://abc", CAData: []byte("PEM")}
	with := func(change func(*aws.Cluster)) aws.Cluster { c := up; change(&c); return c }
	cases := []struct {
		name    string
		cluster aws.Cluster
		want    string
	}{
		{"an active one can", up, ""},
		{"one that is being updated can", with(func(c *aws.Cluster) { c.Status = "UPDATING" }), ""},
		{"one that is being created", with(func(c *aws.Cluster) { c.Status = "CREATING" }), "it is CREATING"},
		{"one that is being deleted", with(func(c *aws.Cluster) { c.Status = "DELETING" }), "it is DELETING"},
		{"one without an endpoint", with(func(c *aws.Cluster) { c.Server = "" }), "it has no endpoint yet"},
		{"one without a CA", with(func(c *aws.Cluster) { c.CAData = nil }), "it has no certificate authority yet"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := registry.Unusable(tc.cluster); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
