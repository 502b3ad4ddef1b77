package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hawser-io/hawser/endpoint/query"
)

// A table is as wide as its widest row, and a network set, or a cluster that lies, may have any number of anything.
func TestWhatIsPrintedOfEndpointsIsBounded(t *testing.T) {
	set := query.Endpoint{ID: "alpha/partners", Cluster: "alpha", Kind: "NetworkSet", Name: "partners"}
	for i := range 20_000 {
		set.Addresses = append(set.Addresses, fmt.Sprintf("10.%d.%d.0/32", i/250, i%250))
	}
	liar := query.Endpoint{ID: "alpha/" + strings.Repeat("x", 100_000), Cluster: "alpha", Kind: "NetworkSet", Name: "x", Addresses: []string{"10.4.0.1"}}
	odd := query.Endpoint{ID: "alpha/node\x1b[2J/k8s/shop.a\nb/eth0", Cluster: "alpha", Kind: "Pod", Node: "node\u202e", ServiceAccount: "web"}
	var out bytes.Buffer
	d := &deps{out: &out}
	d.printEndpoints([]query.Endpoint{set, liar, odd}, true)
	d.printPolicy(query.PolicyExplanation{Matches: []query.EndpointMatches{{Endpoint: set}, {Endpoint: liar}}}, true)
	d.printEndpoint(query.Explanation{Endpoint: set, Profiles: []string{"kns." + strings.Repeat("y", 100_000)}}, true)
	for line := range strings.Lines(out.String()) {
		if len(line) > 2000 {
			t.Errorf("a line of %d bytes: %.80s …", len(line), line)
		}
	}
	wantText(t, "what is printed", out.String(), "10.0.15.0/32 and 19984 more", "… (100006 characters)", "alpha/node?[2J/k8s/shop.a b/eth0", "node?")
	if strings.ContainsAny(out.String(), "\x1b\u202e") {
		t.Error("what a remote cluster says gets at the terminal")
	}
}
