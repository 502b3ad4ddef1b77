package ranges

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/calico"
)

// Cluster is what is known of one.
type Cluster struct {
	Name  string
	Local bool
	// Unasked says that nothing is known but what its RemoteCluster says: Name and Within.
	Unasked bool
	// NoEndpoints says that it is to contribute none, and so needs no endpointCIDRs.
	NoEndpoints bool
	// Pods, Services and Nodes are where its pods, Services and nodes have addresses.
	Pods, Services, Nodes []netip.Prefix
	// ServicesSeen says that Services is the least range that the Services there are would fit in: nobody said which it is.
	ServicesSeen bool
	// Within are its endpointCIDRs.
	Within []netip.Prefix
	// Pools are Calico's; nil where it has no Calico, or that is not known. Calicoctl says that only Calico's own command
	// may write them.
	Pools     []Pool
	Calicoctl bool
	// Words that selectors can use there.
	Words Words
	// Unread is what could not be read of it, and why.
	Unread []Unread
}

// Pool is an IPPool.
type Pool struct {
	Name string
	CIDR netip.Prefix // masked
	calico.IPPoolSpec
}

// Unread is something that could not be read of a cluster.
type Unread struct{ What, Why string }

// Concerns says that IPPools that another cluster lacks for this one, or its own, may be missing because of what could
// not be read of it: where it was not asked, its endpointCIDRs say as much as its pods and nodes.
func (c *Cluster) Concerns(name string) bool {
	if c.Name == name || c.Unasked && len(c.Within) == 0 {
		return true
	}
	return slices.ContainsFunc(c.Unread, func(u Unread) bool {
		return u.What == NodesOf || u.What == IPPoolsOf || u.What == PodRangesOf && len(c.Within) == 0
	})
}

// What can be unread: what is known of addresses, and of words.
const (
	NodesOf           = "nodes"
	ServicesOf        = "Services"
	IPPoolsOf         = "IPPools"
	PodRangesOf       = "ranges of pods"
	LabelsOf          = "labels of endpoints"
	LabelsOfServices  = "labels of Services"
	NamespacesOf      = "namespaces"
	ServiceAccountsOf = "service accounts"
)

// OfAddresses says that addresses of its cluster are not known because of it; else words are not.
func (u Unread) OfAddresses() bool {
	return slices.Contains([]string{NodesOf, ServicesOf, IPPoolsOf, PodRangesOf}, u.What)
}

func (u Unread) ofWords() bool { return !u.OfAddresses() }

// Words are what endpoints of a cluster can be selected by. A nil map is not known.
type Words struct {
	Namespaces, NamespaceKeys map[string]bool
	Accounts, AccountKeys     map[string]bool
	Keys                      map[string]bool // of endpoints' own labels
	// ServiceKeys are those of the Services of each namespace.
	ServiceKeys map[string]map[string]bool
}

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
	CheckNetwork  = "network"
)

// Finding is what one check found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Clusters that it is about, all of them; Message names the first few.
	Clusters []string `json:"clusters"`
	Message  string   `json:"message"`
	// Repair is the command that mends it, or what to do where no command can.
	Repair string `json:"repair,omitempty"`
	// Manifests are objects to apply in the first of the clusters: at most 100, for all of them see Missing.
	Manifests []Manifest `json:"manifests,omitempty"`
}

// Manifest is an IPPool.
type Manifest = calico.IPPool

// Examine returns all findings, in a stable order: by check, and within one by cluster. What is wrong with many
// clusters in the same way is one finding: there are not as many as pairs of clusters.
func Examine(clusters []Cluster, uses []Use) []Finding {
	sites := sitesOf(clusters)
	return slices.Concat(unread(sites), overlaps(sites), bounds(sites), pools(sites), words(sites, uses), network(sites))
}

// network says what cannot be found out here, and all else stands on.
func network(sites []site) []Finding {
	if !slices.ContainsFunc(sites, func(s site) bool { return !s.Local }) {
		return nil
	}
	return []Finding{{Check: CheckNetwork, Severity: Skipped, Clusters: names(sites),
		Message: "policies by address work only where the network carries the addresses of pods between the clusters unchanged (routable, no SNAT): Hawser carries no traffic, and cannot see whether it does",
		Repair:  "connect from a pod of one cluster to a pod of another, and see there from which address that comes"}}
}

// before puts the local cluster first.
func before(a, b Cluster) int {
	return cmp.Or(btoi(b.Local)-btoi(a.Local), cmp.Compare(a.Name, b.Name))
}

func unread(sites []site) (found []Finding) {
	for _, c := range sites {
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
