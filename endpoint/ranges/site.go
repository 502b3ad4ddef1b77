package ranges

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// site is a cluster with the prefixes of each kind put together: the fewest, in order, none within another.
type site struct {
	Cluster
	of [kinds][]netip.Prefix
	// podRanges are where its pods are, as far as that is known.
	podRanges []netip.Prefix
}

// sitesOf makes them, the local cluster first. What can be no endpoint, as the loopback addresses of nodes, is left out.
func sitesOf(clusters []Cluster) []site {
	sites := make([]site, len(clusters))
	for i, c := range clusters {
		for _, all := range []*[]netip.Prefix{&c.Pods, &c.Nodes, &c.Within} {
			*all = slices.DeleteFunc(slices.Clone(*all), endpoint.NoEndpointIn)
		}
		sites[i].Cluster = c
		for k, all := range [kinds][]netip.Prefix{pods: c.Pods, services: c.Services, nodes: c.Nodes, within: c.Within} {
			sites[i].of[k] = publish.Aggregate(slices.Clone(all))
		}
		if sites[i].podRanges = sites[i].of[pods]; len(sites[i].podRanges) == 0 && !c.Local {
			sites[i].podRanges = slices.DeleteFunc(slices.Clone(sites[i].of[within]), func(p netip.Prefix) bool {
				return len(publish.Outside(nil, p, sites[i].of[nodes])) == 0 // they are nodes
			})
		}
		if c.NoEndpoints {
			sites[i].of[within] = nil // it may contribute nothing
		}
	}
	slices.SortFunc(sites, func(a, b site) int { return before(a.Cluster, b.Cluster) })
	return sites
}

// kind of ranges.
type kind uint8

const (
	pods kind = iota
	services
	nodes
	within
	kinds
)

func (k kind) String() string {
	return [kinds]string{pods: "pods", services: "Services", nodes: "nodes", within: "endpointCIDRs"}[k]
}

// fine says that nothing was found, of the clusters of which everything is known that it stands on; nothing of none.
func fine(check string, sites []site, needed func(Unread) bool, message string) []Finding {
	examined := known(sites, needed)
	if len(examined) == 0 {
		return nil
	}
	return []Finding{{Check: check, Severity: OK, Clusters: examined, Message: message + knownOf(examined, len(sites))}}
}

// knownOf names the clusters that something is known of, unless that is all.
func knownOf(names []string, all int) string {
	if len(names) == all {
		return ""
	}
	return " (known of " + list(names) + " alone)"
}

// known are the names of the clusters of which everything is known that is needed.
func known(sites []site, needed func(Unread) bool) (all []string) {
	for _, s := range sites {
		if !s.Unasked && !slices.ContainsFunc(s.Unread, needed) {
			all = append(all, s.Name)
		}
	}
	return all
}

// names are those of all.
func names(sites []site) []string {
	all := []string{}
	for _, s := range sites {
		all = append(all, s.Name)
	}
	return all
}

// shown is how many names, or ranges, a message tells of.
const shown = 5

// list names some of many.
func list(names []string) string {
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// some tells of some of many ranges.
func some(all []netip.Prefix) string {
	texts := make([]string, 0, len(all))
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return list(texts)
}

// outside are the ranges that are not whole within others, which are put together.
func outside(all, bounds []netip.Prefix) (out []netip.Prefix) {
	for _, p := range all {
		if !slices.ContainsFunc(bounds, func(b netip.Prefix) bool { return publish.Holds(b, p) }) {
			out = append(out, p)
		}
	}
	return out
}
