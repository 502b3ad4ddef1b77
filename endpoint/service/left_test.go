package service

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestWhatStandsInSlicesIsLeftAsFarAsTheClusterMayContributeIt: of one that nothing else is known of.
func TestWhatStandsInSlicesIsLeftAsFarAsTheClusterMayContributeIt(t *testing.T) {
	alpha := Cluster{Name: "alpha", Bounds: bounds(t, "10.1.0.0/16", "fd00::/64")}
	w := &Wanted{Key: Key{Namespace: "shop", Name: "db", Cluster: "alpha"}}
	w.Groups = []Grouped{
		{Group{"IPv4", []Port{http}}, []Endpoint{alpha.told(pod("10.1.0.1")), alpha.told(pod("10.1.128.1", notReady)), alpha.told(pod("10.1.128.2"))}},
		{Group{"IPv4", []Port{metric}}, []Endpoint{alpha.told(pod("10.1.128.1"))}},
		{Group{"IPv6", []Port{http}}, []Endpoint{alpha.told(pod("fd00::1"))}},
	}
	have := stored(t, plan(t, w, nil))
	for name, c := range map[string]struct {
		within []string
		want   string
		gaps   []string
	}{
		"the same":  {[]string{"10.1.0.0/16", "fd00::/64"}, collected(w.Groups), nil},
		"narrower":  {[]string{"10.1.0.0/17", "fd00::/64"}, collected([]Grouped{{w.Groups[0].Group, w.Groups[0].Endpoints[:1]}, w.Groups[2]}), []string{"2 addresses are left out: outside of the endpointCIDRs of the RemoteCluster, as 10.1.128.1 of pod shop/p-10.1.128.1"}},
		"elsewhere": {[]string{"10.2.0.0/16"}, "", []string{"5 addresses"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Left(Cluster{Name: "alpha", Bounds: bounds(t, c.within...)}, have)
			if text := collected(got.Groups); text != c.want {
				t.Errorf("left is %q, want %q", text, c.want)
			}
			if name != "elsewhere" && !slices.Equal(got.Gaps, c.gaps) || len(got.Gaps) != len(c.gaps) {
				t.Errorf("the gaps are %q, want %q", got.Gaps, c.gaps)
			}
		})
	}
	if got := Left(alpha, have).Groups[0].Endpoints[0].Target.Name; got != "alpha/p-10.1.0.1" {
		t.Errorf("it is of pod %s", got)
	}
	if got := collected(GroupsOf(have)); got != collected(w.Groups) {
		t.Errorf("what stands there is now %q", got)
	}
}

// TestAffinityHasATimeout: that of an API server, or what we make of it would be another one for ever.
func TestAffinityHasATimeout(t *testing.T) {
	seconds := int32(60)
	for want, spec := range map[int32]corev1.ServiceSpec{
		0:     {SessionAffinity: corev1.ServiceAffinityNone},
		60:    {SessionAffinity: corev1.ServiceAffinityClientIP, SessionAffinityConfig: &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}},
		10800: {SessionAffinity: corev1.ServiceAffinityClientIP},
	} {
		if got := ReadService(&corev1.Service{Spec: spec}).Shape.AffinitySeconds; got != want {
			t.Errorf("%s has a timeout of %d s, want %d", spec.SessionAffinity, got, want)
		}
	}
}
