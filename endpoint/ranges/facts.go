package ranges

import (
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// Cluster is what is known of one.
type Cluster struct {
	Name  string
	Local bool
	// Pods, Services and Nodes are where its pods, Services and nodes have addresses.
	Pods, Services, Nodes []netip.Prefix
	// ServicesSeen says that Services is the least range that the Services there are would fit in: nobody said which it is.
	ServicesSeen bool
	// Within are its endpointCIDRs.
	Within []netip.Prefix
	// Pools are Calico's; nil where it has no Calico, or that is not known.
	Pools []Pool
	// Words that selectors can use there.
	Words Words
	// Unread is what could not be read of it, and why.
	Unread []Unread
}

// Pool is an IPPool.
type Pool struct {
	Name string
	CIDR netip.Prefix
	calico.IPPoolSpec
}

// Unread is something that could not be read of a cluster.
type Unread struct{ What, Why string }

// Words are what endpoints of a cluster can be selected by. A nil map is not known.
type Words struct {
	Namespaces, NamespaceKeys map[string]bool
	Accounts, AccountKeys     map[string]bool
	Keys                      map[string]bool // of endpoints' own labels
}

// ranges are the prefixes of a kind, put together.
func (c Cluster) ranges(kind string) []netip.Prefix {
	var all []netip.Prefix
	switch kind {
	case pods:
		all = c.Pods
	case services:
		all = c.Services
	case nodes:
		all = c.Nodes
	case within:
		all = c.Within
	}
	return publish.Aggregate(slices.Clone(all))
}

// Kinds of ranges.
const (
	pods     = "pods"
	services = "Services"
	nodes    = "nodes"
	within   = "endpointCIDRs"
)

// Severity of a finding, in the words of hawser check. Only an error makes a check fail.
type Severity string

// Severities.
const (
	OK      Severity = "ok"
	Skipped Severity = "skipped"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Checks that findings are of.
const (
	CheckOverlap  = "overlap"
	CheckBounds   = "endpointCIDRs"
	CheckPools    = "ippools"
	CheckSelector = "selectors"
	CheckRead     = "reading"
)

// Finding is what one check found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Clusters that it is about.
	Clusters []string `json:"clusters"`
	Message  string   `json:"message"`
	// Repair is the command that mends it, or what to do where no command can.
	Repair string `json:"repair,omitempty"`
	// Manifests are objects to apply in the first of the clusters.
	Manifests []Manifest `json:"manifests,omitempty"`
}

// Manifest is an IPPool.
type Manifest = calico.IPPool

// Examine returns all findings, in a stable order: by check, and within one by cluster.
func Examine(clusters []Cluster, uses []Use) []Finding {
	clusters = slices.Clone(clusters)
	slices.SortFunc(clusters, before)
	var all []Finding
	all = append(all, unread(clusters)...)
	all = append(all, overlaps(clusters)...)
	all = append(all, bounds(clusters)...)
	all = append(all, pools(clusters)...)
	return append(all, words(clusters, uses)...)
}

// before puts the local cluster first.
func before(a, b Cluster) int {
	switch {
	case a.Local && !b.Local:
		return -1
	case b.Local && !a.Local:
		return 1
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

func unread(clusters []Cluster) (found []Finding) {
	for _, c := range clusters {
		for _, u := range c.Unread {
			found = append(found, Finding{Check: CheckRead, Severity: Skipped, Clusters: []string{c.Name},
				Message: u.What + " of cluster " + c.Name + " could not be read, and nothing is said of them: " + u.Why})
		}
	}
	return found
}

// Least returns, for each family, the least prefix that holds some addresses.
func Least(addresses []netip.Addr) (all []netip.Prefix) {
	for _, v4 := range []bool{true, false} {
		var least netip.Prefix
		for _, a := range addresses {
			if a = a.Unmap(); a.Is4() != v4 {
				continue
			}
			if !least.IsValid() {
				least = netip.PrefixFrom(a, a.BitLen())
			}
			for !least.Contains(a) {
				least = netip.PrefixFrom(least.Addr(), least.Bits()-1).Masked()
			}
		}
		if least.IsValid() {
			all = append(all, least)
		}
	}
	return all
}
