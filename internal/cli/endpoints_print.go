package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hawser-io/hawser/endpoint/query"
)

// printEndpoints prints endpoints as calicoq does, one on each line, or with more about each.
func (d *deps) printEndpoints(all []query.Endpoint, wide bool) {
	if !wide {
		for _, e := range all {
			fmt.Fprintln(d.out, "  "+e.Title(brief(e.ID)))
		}
		return
	}
	if len(all) == 0 {
		return
	}
	rows := [][]cell{cells("  ENDPOINT", "CLUSTER", "ADDRESSES", "NODE", "SERVICE-ACCOUNT", "AGE")}
	for _, e := range all {
		rows = append(rows, d.wideRow("  ", e))
	}
	t := table{d: d}
	t.print(rows)
}

func (d *deps) wideRow(indent string, e query.Endpoint) []cell {
	row := cells(indent+e.Title(brief(e.ID)), e.Cluster, orDash(someAddresses(e, ",")), orDash(brief(e.Node)), orDash(brief(e.ServiceAccount)), d.howOld(e))
	if e.StaleSince != nil {
		row[len(row)-1].tone = warn
	}
	return row
}

// mostAddresses is how many addresses of an endpoint are printed. Pods have no more, and network sets very many.
const mostAddresses = 16

// someAddresses are the addresses of an endpoint, the first of many.
func someAddresses(e query.Endpoint, separator string) string {
	if n := len(e.Addresses); n > mostAddresses {
		return strings.Join(e.Addresses[:mostAddresses], separator) + fmt.Sprintf(" and %d more", n-mostAddresses)
	}
	return strings.Join(e.Addresses, separator)
}

// Bounds of what is printed of a text of another cluster: more than a name of a pod has with all that is before it, and
// than a message has that holds a selector.
const (
	longestName    = 1000
	longestMessage = 4000
)

// brief is a name that a cluster says, on one line, and no more of it than there can be in one that does not lie: a table
// is as wide as the widest of its rows.
func brief(name string) string { return upTo(longestName, shown(name)) }

func upTo(most int, text string) string {
	if n := utf8.RuneCountInString(text); n > most {
		return string([]rune(text)[:most]) + fmt.Sprintf("… (%d characters)", n)
	}
	return text
}

// howOld is the age of what is known of an endpoint.
func (d *deps) howOld(e query.Endpoint) string {
	if e.StaleSince == nil {
		return "live"
	}
	return age(d.clock.Now(), e.StaleSince.Time)
}

// printEndpoint prints what calicoq endpoint does.
func (d *deps) printEndpoint(x query.Explanation, wide bool) {
	fmt.Fprintln(d.out, x.Endpoint.Title(brief(x.Endpoint.Short())))
	if wide {
		fmt.Fprintf(d.out, "  Cluster %s, node %s, addresses %s, %s\n", x.Endpoint.Cluster, orDash(brief(x.Endpoint.Node)), someAddresses(x.Endpoint, ","), d.howOld(x.Endpoint))
	}
	d.heading("Policies", len(x.Policies))
	for _, p := range x.Policies {
		fmt.Fprintf(d.out, "    Policy %q (selector %s)%s\n", p.Namespace+"/"+p.Name, quoted(p.Selector), since(p.Because, wide))
	}
	d.heading("Profiles", len(x.Profiles))
	for _, name := range x.Profiles {
		fmt.Fprintf(d.out, "    Profile %q\n", brief(name))
	}
	d.heading("Endpoint sets", len(x.EndpointSets))
	for _, s := range x.EndpointSets {
		fmt.Fprintf(d.out, "    EndpointSet %q (selector %s)%s\n", s.Name, quoted(s.Selector), since(s.Because, wide))
	}
	d.heading("Rule matches", len(x.RuleMatches))
	for _, m := range x.RuleMatches {
		fmt.Fprintf(d.out, "    Policy %q %s\n", m.Policy, ruleMatch(m, wide))
	}
}

func (d *deps) heading(name string, n int) {
	if n > 0 {
		fmt.Fprintf(d.out, "  %s:\n", name)
	}
}

// quoted is a selector in quotes. It may have quotes in it: calicoq escapes none, and nor do we.
func quoted(selector string) string { return `"` + shown(selector) + `"` }

// ruleMatch says which part of a rule matches, as calicoq does.
func ruleMatch(m query.Match, wide bool) string {
	not := ""
	if m.Not {
		not = "!"
	}
	text := fmt.Sprintf("%s rule %d %s%s match", bound(m.Direction), m.Rule, not, m.Side)
	if m.Selector != "" {
		text += "; selector " + quoted(m.Selector)
	}
	if len(m.Nets) > 0 {
		text += "; nets " + strings.Join(m.Nets, ", ")
	}
	if len(m.NotNets) > 0 {
		text += "; not nets " + strings.Join(m.NotNets, ", ")
	}
	if m.Selector == "" && len(m.Nets)+len(m.NotNets) == 0 {
		text += "; any address"
	}
	if m.Refused {
		text += "; refused, and allows nothing"
	}
	return text + since(m.Because, wide)
}

// since are the labels that decided.
func since(because []query.Label, wide bool) string {
	if !wide || len(because) == 0 {
		return ""
	}
	var parts []string
	for _, l := range because {
		if l.Missing {
			parts = append(parts, "no "+shown(l.Name))
		} else {
			parts = append(parts, fmt.Sprintf("%s=%s", shown(l.Name), brief(l.Value)))
		}
	}
	return "; because " + strings.Join(parts, ", ")
}

// warn tells of what can be read, and is hardly meant so.
func (d *deps) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(d.err, "%s %s\n", d.paint(warn, "Warning:"), shown(w))
	}
}
