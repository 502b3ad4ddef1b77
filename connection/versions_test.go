package connection

import (
	"strings"
	"testing"

	"github.com/hawser-io/hawser/internal/advice"
)

func TestVersionsThatAreTooFarApart(t *testing.T) {
	cases := map[string]struct {
		kubernetes, member, own string
		want                    string // a part of the message; empty: they go together
	}{
		"the same":                              {"v1.36.3", "v0.4.0", "v0.4.0", ""},
		"another patch":                         {"v1.36.3", "v0.4.9", "v0.4.0", ""},
		"the next minor release":                {"v1.36.3", "v0.5.0", "v0.4.0", ""},
		"the one before":                        {"v1.36.3", "v0.3.7", "v0.4.0", ""},
		"a member of two minor releases ago":    {"v1.36.3", "v0.2.0", "v0.4.0", "hawser join a --remote-context"},
		"a manager of two minor releases ago":   {"v1.36.3", "v0.6.0", "v0.4.0", "upgrade the manager"},
		"another major release":                 {"v1.36.3", "v1.0.0", "v2.0.0", "hawser join a"},
		"a build from a work tree":              {"v1.36.3", "v0.2.0", "devel", ""},
		"a member install from a work tree":     {"v1.36.3", "devel", "v0.4.0", ""},
		"a pre-release":                         {"v1.36.3", "v0.4.0-rc.1", "v0.4.0", ""},
		"no member install":                     {"v1.36.3", "", "v0.4.0", ""},
		"Kubernetes without SelfSubjectReview":  {"v1.27.16", "v0.4.0", "v0.4.0", "older than 1.28"},
		"the oldest Kubernetes":                 {"v1.28.0", "v0.4.0", "v0.4.0", ""},
		"Kubernetes with a distribution's mark": {"v1.33.1-eks-abcdef", "v0.4.0", "v0.4.0", ""},
		"Kubernetes that tells nothing":         {"", "v0.4.0", "v0.4.0", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := versionSkew(advice.Cluster{Name: "a"}, c.kubernetes, c.member, c.own)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want one with %q", got, c.want)
			}
		})
	}
}

func TestVersionsThatNobodyHasTried(t *testing.T) {
	cases := map[string]string{ // a part of the message; empty: they have been
		"v1.29.14":         "nothing there caps the lifetime",
		"v1.30.0":          "",
		"v1.36.3":          "",
		"v1.38.1-gke.1000": "",
		"v1.39.0":          "upgrade Hawser",
		"v2.0.0":           "upgrade Hawser",
		"":                 "",
		"of long ago":      "",
	}
	for kubernetes, want := range cases {
		if got := untested(kubernetes); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want one with %q", kubernetes, got, want)
		}
	}
}
