package ranges

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/endpoint/publish"
)

// overlaps finds ranges of several clusters that have the same addresses.
func overlaps(sites []site) (found []Finding) {
	for _, m := range meetings(sites, func(x, y class) bool { return x.kind != within && y.kind != within }) {
		found = append(found, collision(sites, m))
	}
	if len(found) == 0 {
		return fine(CheckOverlap, sites, Unread.OfAddresses, "no ranges of pods, Services or nodes overlap")
	}
	return found
}

func collision(sites []site, m meeting) Finding {
	f := Finding{Check: CheckOverlap, Severity: Error, Clusters: both(sites, m),
		Message: fmt.Sprintf("%s of %s and %s of %s have the same addresses: %s", title(sites, m.x, m.as), named(sites, m.as), title(sites, m.y, m.bs), named(sites, m.bs), some(m.shared))}
	switch {
	case m.x == services && m.y == services:
		f.Severity = Warning
		f.Message += ". That does no harm as long as no cluster reaches the cluster IPs of another"
		f.Repair = "give one of the clusters another range of Services, or leave it"
	case m.x == services || m.y == services:
		f.Repair = "give one of the clusters another range: what one sends to a pod or node of the other, it takes for a Service of its own"
	default:
		f.Repair = "give one of the clusters other addresses: nobody can tell whose an address is, and policies let in both"
	}
	return f
}

// named names clusters, the first few of many.
func named(sites []site, at []int) string { return list(pick(sites, at)) }

// both are the clusters that a meeting is about, each once.
func both(sites []site, m meeting) []string {
	all := pick(sites, m.as)
	seen := map[int]bool{}
	for _, i := range m.as {
		seen[i] = true
	}
	return append(all, pick(sites, slices.DeleteFunc(slices.Clone(m.bs), func(i int) bool { return seen[i] }))...)
}

func pick(sites []site, at []int) []string {
	all := make([]string, 0, len(at))
	for _, i := range at {
		all = append(all, sites[i].Name)
	}
	return all
}

// title is a kind of ranges, with how certain they are.
func title(sites []site, k kind, of []int) string {
	if k == services && slices.ContainsFunc(of, func(i int) bool { return sites[i].ServicesSeen }) {
		return "Services (in the least range that holds those that there are)"
	}
	return k.String()
}

// bounds finds what endpointCIDRs leave out, and what they let in.
func bounds(sites []site) []Finding {
	var found []Finding
	for _, s := range sites {
		found = append(found, s.leftOut()...)
	}
	theirs := class{within, false}
	for _, m := range meetings(sites, func(x, y class) bool {
		return x == theirs && y.kind != within || y == theirs && x.kind != within || x == theirs && y == theirs
	}) {
		found = append(found, letIn(sites, m))
	}
	if len(found) == 0 {
		return fine(CheckBounds, sites, Unread.OfAddresses, "endpointCIDRs hold all pods and nodes of their clusters, and nothing of others")
	}
	return found
}

// leftOut is what a cluster has outside of its own endpointCIDRs.
func (s site) leftOut() (found []Finding) {
	if s.NoEndpoints || s.Local && len(s.Within) == 0 { // it is not bounded
		return nil
	}
	podsOut, nodesOut := outside(s.of[pods], s.of[within]), outside(s.of[nodes], s.of[within])
	repair := widen(s, slices.Concat(podsOut, nodesOut)) // of both findings: it writes the list as a whole
	if len(podsOut) > 0 {
		severity := Warning // the rest of a range may never be used
		if slices.ContainsFunc(podsOut, func(p netip.Prefix) bool { return len(publish.Overlapping(s.of[within], p)) == 0 }) {
			severity = Error
		}
		found = append(found, Finding{Check: CheckBounds, Severity: severity, Clusters: []string{s.Name}, Repair: repair,
			Message: fmt.Sprintf("ranges of pods of %s are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: %s", s.Name, some(podsOut))})
	}
	if len(nodesOut) > 0 {
		found = append(found, Finding{Check: CheckBounds, Severity: Warning, Clusters: []string{s.Name}, Repair: repair,
			Message: fmt.Sprintf("nodes of %s are outside of its endpointCIDRs, and are no endpoints: %s", s.Name, some(nodesOut))})
	}
	return found
}

// letIn is what the endpointCIDRs of some clusters let them contribute of others.
func letIn(sites []site, m meeting) Finding {
	f := Finding{Check: CheckBounds, Severity: Warning, Clusters: both(sites, m)}
	as, bs := named(sites, m.as), named(sites, m.bs)
	edit := "kubectl edit remotecluster " + sites[m.as[0]].Name + " (spec.endpointCIDRs)"
	if m.y == within {
		f.Message = fmt.Sprintf("endpointCIDRs of %s and %s overlap: each may contribute addresses of the other: %s", as, bs, some(m.shared))
		f.Repair = "narrow one of them: " + edit
		return f
	}
	if sites[m.bs[0]].Local { // which is alone
		f.Severity = Error
	}
	let := "let it"
	switch {
	case slices.Equal(m.as, m.bs):
		let, bs = "let each", "the others"
	case len(m.as) > 1:
		let = "let them"
	}
	f.Message = fmt.Sprintf("endpointCIDRs of %s %s contribute addresses of the %s of %s: %s", as, let, m.y, bs, some(m.shared))
	f.Repair = "take them out: " + edit
	return f
}

// mostWords is how many ranges a command is printed with.
const mostWords = 32

// widen is the command that adds ranges to the endpointCIDRs of a cluster.
func widen(s site, more []netip.Prefix) string {
	all := append(slices.Clone(s.Within), more...)
	if len(all) > mostWords {
		return "put ranges that hold these into spec.endpointCIDRs: kubectl edit remotecluster " + s.Name
	}
	var texts []string
	for _, p := range all {
		texts = append(texts, fmt.Sprintf("%q", p))
	}
	return fmt.Sprintf(`kubectl patch remotecluster %s --type merge -p '{"spec":{"endpointCIDRs":[%s]}}'`, s.Name, strings.Join(texts, ","))
}
