package publish

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a-", 120)
	cases := map[string]struct {
		base, cluster string
		piece         int
		longest       int
		want          string
	}{
		"the first piece of a cluster":             {"shop-web", "prod", 1, MaxName, "shop-web-prod"},
		"a further piece":                          {"shop-web", "prod", 2, MaxName, "shop-web-prod.2"},
		"a cluster that ends in a number":          {"shop-web", "prod-2", 1, MaxName, "shop-web-prod-2"},
		"what is of no cluster":                    {"shop-web", "", 1, MaxName, "shop-web"},
		"a long one is cut, and ends in a hash":    {long, "prod", 1, 63, ""},
		"a piece of a long one, with the same cut": {long, "prod", 4096, 63, ""},
	}
	seen := map[string]string{}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Name(c.longest, c.base, c.cluster, c.piece)
			if c.want != "" && got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
			if problems := validation.IsDNS1123Subdomain(got); len(problems) > 0 || len(got) > c.longest {
				t.Errorf("%s is no name: %v", got, problems)
			}
			if other := seen[got]; other != "" {
				t.Errorf("%s is also the name of %s", got, other)
			}
			seen[got] = name
			if first := Name(c.longest, c.base, c.cluster, 1); whole(got) != first {
				t.Errorf("%s is a piece of %s, want %s", got, whole(got), first)
			}
		})
	}
}
