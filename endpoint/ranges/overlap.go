package ranges

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// overlaps finds ranges of two clusters that have the same addresses.
func overlaps(clusters []Cluster) (found []Finding) {
	for i, a := range clusters {
		for _, b := range clusters[i+1:] {
			for _, x := range []string{pods, services, nodes} {
				for _, y := range []string{pods, services, nodes} {
					if shared := intersect(a.ranges(x), b.ranges(y)); len(shared) > 0 {
						found = append(found, collision(a, x, b, y, shared))
					}
				}
			}
		}
	}
	if len(found) == 0 {
		found = append(found, Finding{Check: CheckOverlap, Severity: OK, Clusters: names(clusters), Message: "no ranges of pods, Services or nodes overlap"})
	}
	return found
}

func collision(a Cluster, x string, b Cluster, y string, shared []netip.Prefix) Finding {
	f := Finding{Check: CheckOverlap, Severity: Error, Clusters: []string{a.Name, b.Name},
		Message: fmt.Sprintf("%s of %s and %s of %s have the same addresses: %s", a.title(x), a.Name, b.title(y), b.Name, some(shared))}
	switch {
	case x == services && y == services:
		f.Severity = Warning
		f.Message += ". That does no harm as long as no cluster reaches the cluster IPs of another"
		f.Repair = "give one of the clusters another range of Services, or leave it"
	case x == services || y == services:
		f.Repair = "give one of the clusters another range: what one sends to a pod or node of the other, it takes for a Service of its own"
	default:
		f.Repair = "give one of the clusters other addresses: nobody can tell whose an address is, and policies let in both"
	}
	return f
}

// title is a kind of ranges, with how certain they are.
func (c Cluster) title(kind string) string {
	if kind == services && c.ServicesSeen {
		return "Services (in the least range that holds those that there are)"
	}
	return kind
}

// bounds finds what endpointCIDRs leave out, and what they let in.
func bounds(clusters []Cluster) []Finding {
	var found []Finding
	for _, c := range clusters {
		found = append(found, leftOut(c)...)
	}
	for i, a := range clusters {
		for j, b := range clusters {
			if i == j || a.Local {
				continue
			}
			found = append(found, letIn(a, b)...)
			if shared := intersect(a.ranges(within), b.ranges(within)); i < j && !b.Local && len(shared) > 0 {
				found = append(found, Finding{Check: CheckBounds, Severity: Warning, Clusters: []string{a.Name, b.Name},
					Message: fmt.Sprintf("endpointCIDRs of %s and %s overlap: each may contribute addresses of the other: %s", a.Name, b.Name, some(shared)),
					Repair:  "narrow one of them: kubectl edit remotecluster " + a.Name + " (spec.endpointCIDRs)"})
			}
		}
	}
	if len(found) == 0 {
		found = append(found, Finding{Check: CheckBounds, Severity: OK, Clusters: names(clusters), Message: "endpointCIDRs hold all pods and nodes of their clusters, and nothing of others"})
	}
	return found
}

// leftOut is what a cluster has outside of its own endpointCIDRs.
func leftOut(c Cluster) (found []Finding) {
	if c.Local && len(c.Within) == 0 {
		return nil // it is not bounded
	}
	if out := outside(c.ranges(pods), c.ranges(within)); len(out) > 0 {
		severity := Error
		if len(intersect(out, c.ranges(within))) > 0 {
			severity = Warning // the rest of the range may never be used
		}
		found = append(found, Finding{Check: CheckBounds, Severity: severity, Clusters: []string{c.Name}, Repair: widen(c, out),
			Message: fmt.Sprintf("ranges of pods of %s are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: %s", c.Name, some(out))})
	}
	if out := outside(c.ranges(nodes), c.ranges(within)); len(out) > 0 {
		found = append(found, Finding{Check: CheckBounds, Severity: Warning, Clusters: []string{c.Name}, Repair: widen(c, out),
			Message: fmt.Sprintf("nodes of %s are outside of its endpointCIDRs, and are no endpoints: %s", c.Name, some(out))})
	}
	return found
}

// letIn is what the endpointCIDRs of one cluster let it contribute of another.
func letIn(a, b Cluster) (found []Finding) {
	for _, kind := range []string{pods, services, nodes} {
		shared := intersect(a.ranges(within), b.ranges(kind))
		if len(shared) == 0 {
			continue
		}
		severity := Warning
		if b.Local {
			severity = Error
		}
		found = append(found, Finding{Check: CheckBounds, Severity: severity, Clusters: []string{a.Name, b.Name},
			Message: fmt.Sprintf("endpointCIDRs of %s let it contribute addresses of the %s of %s: %s", a.Name, kind, b.Name, some(shared)),
			Repair:  "take them out: kubectl edit remotecluster " + a.Name + " (spec.endpointCIDRs)"})
	}
	return found
}

// widen is the command that adds ranges to the endpointCIDRs of a cluster.
func widen(c Cluster, more []netip.Prefix) string {
	var all []string
	for _, p := range append(slices.Clone(c.Within), more...) {
		all = append(all, fmt.Sprintf("%q", p))
	}
	return fmt.Sprintf(`kubectl patch remotecluster %s --type merge -p '{"spec":{"endpointCIDRs":[%s]}}'`, c.Name, strings.Join(all, ","))
}

// intersect are the addresses that both have.
func intersect(a, b []netip.Prefix) (both []netip.Prefix) {
	for _, x := range a {
		for _, y := range b {
			if x.Overlaps(y) {
				if x.Bits() < y.Bits() {
					both = append(both, y)
				} else {
					both = append(both, x)
				}
			}
		}
	}
	return both
}

// outside are the ranges that are not whole within others, which are put together.
func outside(all, bounds []netip.Prefix) (out []netip.Prefix) {
	for _, p := range all {
		if !slices.ContainsFunc(bounds, func(b netip.Prefix) bool { return b.Bits() <= p.Bits() && b.Contains(p.Addr()) }) {
			out = append(out, p)
		}
	}
	return out
}

// shown is how many ranges a message tells of.
const shown = 5

func some(all []netip.Prefix) string {
	var texts []string
	for i, p := range all {
		if i == shown {
			return strings.Join(texts, ", ") + fmt.Sprintf(" and %d more", len(all)-i)
		}
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

func names(clusters []Cluster) []string {
	all := []string{}
	for _, c := range clusters {
		all = append(all, c.Name)
	}
	return all
}
