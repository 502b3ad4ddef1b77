package oidc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/oidc"
)

// cluster is a RemoteCluster of an age.
func cluster(name string, born int, change func(*v1alpha1.RemoteClusterSpec)) v1alpha1.RemoteCluster {
	rc := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(born), 0))}}
	rc.Spec.ClusterID = "id-of-" + name
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}}
	if change != nil {
		change(&rc.Spec)
	}
	return rc
}

func from(f v1alpha1.TokenFrom) func(*v1alpha1.RemoteClusterSpec) {
	return func(s *v1alpha1.RemoteClusterSpec) { s.Auth.OIDC.TokenFrom = f }
}

func audience(a string) func(*v1alpha1.RemoteClusterSpec) {
	return func(s *v1alpha1.RemoteClusterSpec) { s.Auth.OIDC.Audience = a }
}

func both(all ...func(*v1alpha1.RemoteClusterSpec)) func(*v1alpha1.RemoteClusterSpec) {
	return func(s *v1alpha1.RemoteClusterSpec) {
		for _, f := range all {
			f(s)
		}
	}
}

func azure(scope string, gate bool) func(*v1alpha1.RemoteClusterSpec) {
	return both(from(v1alpha1.TokenFromAzure), func(s *v1alpha1.RemoteClusterSpec) {
		s.Auth.OIDC.Azure = &v1alpha1.OIDCAzure{Scope: scope}
		if gate {
			s.Auth.OIDC.Exchange = &v1alpha1.OIDCExchange{URL: "https://gate"}
		}
	})
}

func google(s *v1alpha1.RemoteClusterSpec) {
	s.Auth.OIDC.TokenFrom, s.Auth.OIDC.Google = v1alpha1.TokenFromGoogle, &v1alpha1.OIDCGoogle{Provider: "//iam.googleapis.com/p"}
}

func at(server string) func(*v1alpha1.RemoteClusterSpec) {
	return func(s *v1alpha1.RemoteClusterSpec) { s.Server = "https://" + server }
}

func gated(s *v1alpha1.RemoteClusterSpec) {
	s.Auth.OIDC.Exchange = &v1alpha1.OIDCExchange{URL: "https://gate"}
}

// byToken is a cluster that is not connected to by oidc at all.
func byToken(server, id string) func(*v1alpha1.RemoteClusterSpec) {
	return both(at(server), func(s *v1alpha1.RemoteClusterSpec) {
		s.ClusterID, s.Auth = id, v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
	})
}

func unpinned(s *v1alpha1.RemoteClusterSpec) { s.ClusterID = "" }

func TestAnAudienceBelongsToOneCluster(t *testing.T) {
	tests := map[string]struct {
		rc           v1alpha1.RemoteCluster
		others       []v1alpha1.RemoteCluster
		want, reason string
		words        string
	}{
		"the default is the cluster's id":             {rc: cluster("a", 1, nil), want: "hawser:id-of-a"},
		"the object may name another":                 {rc: cluster("a", 1, audience("of-a")), want: "of-a"},
		"what a server said of itself counts nothing": {rc: func() v1alpha1.RemoteCluster { c := cluster("a", 1, unpinned); c.Status.ClusterID = "b"; return c }(), reason: v1alpha1.ReasonInputInvalid, words: "set spec.clusterID"},
		"no id is no audience":                        {rc: cluster("a", 1, unpinned), reason: v1alpha1.ReasonInputInvalid, words: "auth.oidc.audience"},
		"others have their own":                       {rc: cluster("a", 2, nil), others: []v1alpha1.RemoteCluster{cluster("b", 1, nil), cluster("c", 1, unpinned)}, want: "hawser:id-of-a"},
		"the younger of two is refused":               {rc: cluster("a", 2, audience("x")), others: []v1alpha1.RemoteCluster{cluster("b", 1, audience("x"))}, reason: v1alpha1.ReasonAudienceShared, words: `RemoteCluster "b"`},
		"the older is not":                            {rc: cluster("a", 1, audience("x")), others: []v1alpha1.RemoteCluster{cluster("b", 2, audience("x"))}, want: "x"},
		"of two of one age the first by name stays":   {rc: cluster("a", 1, audience("x")), others: []v1alpha1.RemoteCluster{cluster("b", 1, audience("x"))}, want: "x"},
		"and the second does not":                     {rc: cluster("b", 1, audience("x")), others: []v1alpha1.RemoteCluster{cluster("a", 1, audience("x"))}, reason: v1alpha1.ReasonAudienceShared, words: `"a"`},
		"of several the oldest is named":              {rc: cluster("a", 9, audience("x")), others: []v1alpha1.RemoteCluster{cluster("b", 5, audience("x")), cluster("c", 3, audience("x"))}, reason: v1alpha1.ReasonAudienceShared, words: `"c"`},
		"a default that somebody else spelled out":    {rc: cluster("a", 2, nil), others: []v1alpha1.RemoteCluster{cluster("b", 1, audience("hawser:id-of-a"))}, reason: v1alpha1.ReasonAudienceShared},
		"one id under two names": {rc: cluster("a", 2, nil), others: []v1alpha1.RemoteCluster{cluster("b", 1, func(s *v1alpha1.RemoteClusterSpec) { s.ClusterID = "id-of-a" })},
			reason: v1alpha1.ReasonAudienceShared},
		"two issuers with one audience": {rc: cluster("a", 2, both(audience("x"), from(v1alpha1.TokenFromSPIFFE))), others: []v1alpha1.RemoteCluster{cluster("b", 1, audience("x"))},
			reason: v1alpha1.ReasonAudienceShared},
		"a cluster that is connected to in another way": {rc: cluster("a", 2, at("evil")), others: []v1alpha1.RemoteCluster{cluster("b", 1, byToken("good", "id-of-a"))},
			reason: v1alpha1.ReasonAudienceShared, words: `"b"`},
		"and that told its id itself": {rc: cluster("a", 2, at("evil")), others: []v1alpha1.RemoteCluster{func() v1alpha1.RemoteCluster {
			c := cluster("b", 1, byToken("good", ""))
			c.Status.ClusterID = "id-of-a"
			return c
		}()}, reason: v1alpha1.ReasonAudienceShared, words: `"b"`},
		"a pin counts for more than a status": {rc: cluster("a", 2, at("evil")), others: []v1alpha1.RemoteCluster{func() v1alpha1.RemoteCluster {
			c := cluster("b", 1, byToken("good", "id-of-b"))
			c.Status.ClusterID = "id-of-a"
			return c
		}()}, want: "hawser:id-of-a"},
		"and through a gate that may be anybody's": {rc: cluster("a", 2, both(at("good"), gated)), others: []v1alpha1.RemoteCluster{cluster("b", 1, byToken("good", "id-of-a"))},
			reason: v1alpha1.ReasonAudienceShared, words: `"b"`},
		"one cluster under two names":                     {rc: cluster("a", 2, at("good")), others: []v1alpha1.RemoteCluster{cluster("b", 1, byToken("good", "id-of-a"))}, want: "hawser:id-of-a"},
		"one that has another audience still has its own": {rc: cluster("a", 2, at("evil")), others: []v1alpha1.RemoteCluster{cluster("b", 1, both(audience("x"), at("good"), func(s *v1alpha1.RemoteClusterSpec) { s.ClusterID = "id-of-a" }))}, reason: v1alpha1.ReasonAudienceShared, words: `"b"`},
		"AWS's own":                               {rc: cluster("a", 1, audience("sts.amazonaws.com")), reason: v1alpha1.ReasonAudienceShared, words: "belongs to AWS"},
		"Entra's own":                             {rc: cluster("a", 1, audience("api://AzureADTokenExchange")), reason: v1alpha1.ReasonAudienceShared, words: "belongs to Microsoft Entra ID"},
		"Google's own":                            {rc: cluster("a", 1, audience("https://iam.googleapis.com/projects/1")), reason: v1alpha1.ReasonAudienceShared, words: "belongs to Google Cloud"},
		"a workload pool of Google":               {rc: cluster("a", 1, both(audience("shop.svc.id.goog"), from(v1alpha1.TokenFromSPIFFE))), reason: v1alpha1.ReasonAudienceShared, words: "Google"},
		"Google is shown its provider":            {rc: cluster("a", 2, google), others: []v1alpha1.RemoteCluster{cluster("b", 1, google)}, want: "//iam.googleapis.com/p"},
		"or what it allows besides":               {rc: cluster("a", 2, both(google, audience("allowed"))), want: "allowed"},
		"Azure's is the scope, which all share":   {rc: cluster("a", 2, azure("s", false)), others: []v1alpha1.RemoteCluster{cluster("b", 1, azure("s", false))}, want: "hawser:id-of-a"},
		"unless gates are shown it":               {rc: cluster("a", 2, azure("s", true)), others: []v1alpha1.RemoteCluster{cluster("b", 1, azure("s", true))}, reason: v1alpha1.ReasonAudienceShared, words: `"b"`},
		"two gates with a scope each":             {rc: cluster("a", 2, azure("s", true)), others: []v1alpha1.RemoteCluster{cluster("b", 1, azure("r", true))}, want: "hawser:id-of-a"},
		"a way that is not known":                 {rc: cluster("a", 1, from("pigeon")), reason: v1alpha1.ReasonInputInvalid, words: "pigeon"},
		"Azure needs no id of the cluster at all": {rc: cluster("a", 1, both(azure("s", false), unpinned)), want: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := oidc.Audience(&test.rc, append(test.others, test.rc))
			if test.reason == "" {
				if err != nil || got != test.want {
					t.Errorf("the audience is %q (%v), want %q", got, err, test.want)
				}
				return
			}
			var in *credential.InputError
			if !errors.As(err, &in) || in.Reason != test.reason || !strings.Contains(err.Error(), test.words) || got != "" {
				t.Errorf("the audience is %q, the error %v, want %s with %q", got, err, test.reason, test.words)
			}
		})
	}
}
