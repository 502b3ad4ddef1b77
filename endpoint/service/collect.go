package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
)

// Cluster is whose endpoints they are.
type Cluster struct {
	Name, ID string
	// Local says that it is the one that the slices are for.
	Local  bool
	Bounds endpoint.Bounds
}

// Group is what endpoints have in common that are in one slice.
type Group struct {
	Family discoveryv1.AddressType
	// Ports are sorted, and have each name once.
	Ports []Port
}

func (g Group) key() string {
	var b strings.Builder
	b.WriteString(string(g.Family))
	for _, p := range g.Ports {
		fmt.Fprintf(&b, "/%q %s %d %q", p.Name, p.Protocol, p.Number, p.Application)
	}
	return b.String()
}

func compareGroups(a, b Group) int { return strings.Compare(a.key(), b.key()) }

// Grouped are the endpoints of a group, sorted and each once.
type Grouped struct {
	Group
	Endpoints []Endpoint
}

// noPort stands for having no ports, among those of an endpoint: it is before any other.
var noPort = Port{}

// Collected is what there is to write for one cluster, and what was left out.
type Collected struct {
	Groups []Grouped
	// Gaps say which addresses were left out, and why.
	Gaps []string
}

// collector joins what several slices say of one endpoint.
type collector struct {
	cluster Cluster
	as      func(Port) (Port, bool)
	// portless says that an endpoint without any ports is one.
	portless bool
	found    map[identity]*entry
	refused  map[string]map[string]Target // by reason and address
}

// entry is an endpoint with what is said of each of its ports. Where slices differ in anything else, the first counts.
type entry struct {
	Endpoint
	ports map[Port]Conditions
}

// Collect makes of the slices of services the endpoints to write. Of their ports only those that keep accepts are
// taken, with the numbers that they have; an endpoint without any is none. Where slices differ about an endpoint, it is
// as ready as the least of them says.
func Collect(c Cluster, backing []*Slice, keep func(Port) bool) Collected {
	return collect(backing, collector{cluster: c, as: func(p Port) (Port, bool) { return p, keep(p) }})
}

// CollectExported makes of the slices of a service that the cluster exports the endpoints of the import: with the ports that
// the import has, under the names that these have there. A slice that has no ports at all, as those of headless services, is
// one without.
func CollectExported(c Cluster, backing []*Slice, export *Export, exposed []mcs.ServicePort) Collected {
	return collect(backing, collector{cluster: c, as: export.exposedAs(exposed), portless: true})
}

func collect(backing []*Slice, all collector) Collected {
	all.found, all.refused = map[identity]*entry{}, map[string]map[string]Target{}
	for _, s := range backing {
		all.add(s)
	}
	return Collected{Groups: all.groups(), Gaps: all.gaps()}
}

func (c *collector) add(s *Slice) {
	var ports []Port
	for _, p := range s.Ports {
		if as, ok := c.as(p); ok {
			ports = append(ports, as)
		}
	}
	if c.portless && s.Portless {
		ports = []Port{noPort}
	}
	if len(ports) == 0 {
		return
	}
	for _, e := range s.Endpoints {
		if !c.refuses(e) {
			c.put(c.cluster.told(e), ports)
		}
	}
}

// refuses says that the cluster may not contribute an endpoint, and keeps why.
func (c *collector) refuses(e Endpoint) bool {
	reason := c.cluster.Bounds.Refuses(e.Addr)
	if reason == "" {
		return false
	}
	if c.refused[reason] == nil {
		c.refused[reason] = map[string]Target{}
	}
	c.refused[reason][e.Addr.String()] = e.Target
	return true
}

func (c *collector) put(e Endpoint, ports []Port) {
	of := c.found[e.identity()]
	if of == nil {
		of = &entry{e, make(map[Port]Conditions, len(ports))}
		c.found[e.identity()] = of
	}
	for _, p := range ports {
		conditions := e.Conditions
		if before, twice := of.ports[p]; twice {
			conditions = before.and(conditions)
		}
		of.ports[p] = conditions
	}
}

// told is how an endpoint is told of. What is of a remote cluster must not be taken for an object of this one: its
// pods get the name of the cluster before their own, as Calico has it, and its nodes, which may well have the names
// of our own, are left out.
func (c Cluster) told(e Endpoint) Endpoint {
	if c.Local {
		return e
	}
	e.Node = ""
	if e.Target.Name != "" {
		e.Target.Name = c.Name + "/" + e.Target.Name
	}
	return e
}

// groups sorts what was found into groups.
func (c *collector) groups() []Grouped {
	byKey := map[string]*Grouped{}
	put := func(g Group, e Endpoint) {
		key := g.key()
		if byKey[key] == nil {
			byKey[key] = &Grouped{Group: g}
		}
		byKey[key].Endpoints = append(byKey[key].Endpoints, e)
	}
	for _, found := range c.found {
		e := found.Endpoint
		family := discoveryv1.AddressTypeIPv4
		if e.Addr.Is6() {
			family = discoveryv1.AddressTypeIPv6
		}
		for conditions, of := range byConditions(found.ports) {
			e.Conditions = conditions
			if of[0] == noPort {
				put(Group{Family: family}, e)
				of = of[1:]
			}
			for len(of) > 0 {
				var set []Port
				set, of = distinct(of)
				put(Group{family, set}, e)
			}
		}
	}
	all := make([]Grouped, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		g := byKey[key]
		slices.SortFunc(g.Endpoints, func(a, b Endpoint) int { return a.compare(&b) })
		all = append(all, *g)
	}
	return all
}

func byConditions(ports map[Port]Conditions) map[Conditions][]Port {
	of := map[Conditions][]Port{}
	for p, conditions := range ports {
		of[conditions] = append(of[conditions], p)
	}
	for _, all := range of {
		slices.SortFunc(all, Port.compare)
	}
	return of
}

// distinct takes the first port of each name, and leaves the rest: one slice cannot have two of a name.
func distinct(sorted []Port) (set, rest []Port) {
	for _, p := range sorted {
		if len(set) > 0 && set[len(set)-1].Name == p.Name {
			rest = append(rest, p)
		} else {
			set = append(set, p)
		}
	}
	return set, rest
}

// why says in words for what reason addresses are left out.
var why = map[string]string{
	endpoint.ReasonUnbounded:  "the RemoteCluster has no endpointCIDRs",
	endpoint.ReasonOutside:    "outside of the endpointCIDRs of the RemoteCluster",
	endpoint.ReasonOwn:        "an address of a node or API server of the local cluster",
	endpoint.ReasonSpecial:    "loopback, link-local, multicast or unspecified",
	endpoint.ReasonUnreadable: "no address",
}

func (c *collector) gaps() []string {
	var all []string
	for _, reason := range slices.Sorted(maps.Keys(c.refused)) {
		addresses := c.refused[reason]
		first := slices.Sorted(maps.Keys(addresses))[0]
		text := fmt.Sprintf("%d addresses are left out: %s", len(addresses), why[reason])
		if len(addresses) == 1 {
			text = "an address is left out: " + why[reason]
		}
		text += ", as " + first
		if t := addresses[first]; t.Name != "" {
			text += fmt.Sprintf(" of %s %s/%s", strings.ToLower(t.Kind), t.Namespace, t.Name)
		}
		all = append(all, text)
	}
	return all
}
