package crds

import "testing"

func TestWhoMayReplaceADefinition(t *testing.T) {
	cases := map[string]struct {
		there, own string
		want       bool
	}{
		"nobody said who wrote it":               {"", "v0.4.0", true},
		"this very version":                      {"v0.4.0", "v0.4.0", true},
		"an older one":                           {"v0.3.9", "v0.4.0", true},
		"a release candidate of this one":        {"v0.4.0-rc.1", "v0.4.0", true},
		"a newer one":                            {"v0.4.1", "v0.4.0", false},
		"the release of this candidate":          {"v0.4.0", "v0.4.0-rc.1", false},
		"a newer major one":                      {"v1.0.0", "v0.9.0", false},
		"a build from a work tree":               {"devel", "v0.4.0", true},
		"a release, to a build from a work tree": {"v0.4.0", "devel", false},
		"two builds from a work tree":            {"devel", "devel", true},
		"what is no version":                     {"latest", "v0.4.0", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := mayWrite(c.there, c.own); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
