package cli

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// clusterPrinter prints summaries in one of the formats.
type clusterPrinter struct {
	d      *deps
	format string
	one    bool // one cluster was named
	headed bool // the heading of the table is printed
	owned  bool // with a column that says which replica holds a connection
	table  table
	last   map[string]Summary
}

func (p *clusterPrinter) print(list []Summary) error {
	p.last = map[string]Summary{}
	for _, s := range list {
		p.last[s.Name] = s
	}
	switch p.format {
	case formatJSON, formatYAML:
		if p.one {
			return encode(p.d.out, p.format, list[0])
		}
		return encode(p.d.out, p.format, list)
	case formatName:
		for _, s := range list {
			fmt.Fprintln(p.d.out, "remotecluster.hawser.io/"+s.Name)
		}
		return nil
	}
	if p.one && p.format == formatTable {
		p.describe(list[0])
		return nil
	}
	if len(list) == 0 && !p.headed {
		fmt.Fprintln(p.d.err, "There are no clusters yet. Connect one: hawser join NAME --remote-context CONTEXT")
		return nil
	}
	p.rows(list)
	return nil
}

// printChange prints one cluster again if it says anything new.
func (p *clusterPrinter) printChange(s Summary) error {
	if equality.Semantic.DeepEqual(p.last[s.Name], s) {
		return nil
	}
	if p.last == nil {
		p.last = map[string]Summary{}
	}
	p.last[s.Name] = s
	switch p.format {
	case formatJSON, formatYAML:
		if p.format == formatYAML {
			fmt.Fprintln(p.d.out, "---")
		}
		return encode(p.d.out, p.format, s)
	case formatName:
		fmt.Fprintln(p.d.out, "remotecluster.hawser.io/"+s.Name)
		return nil
	}
	p.rows([]Summary{s})
	return nil
}

func (p *clusterPrinter) rows(list []Summary) {
	p.table.d = p.d
	var rows [][]cell
	if !p.headed {
		p.headed = true
		head := cells("NAME", "READY", "AUTH", "VERSION", "EXPIRES", "AGE", "REASON")
		if p.format == formatWide {
			head = append(head, cells("SERVER", "SUBJECT", "CLUSTER-ID")...)
			if p.owned = slices.ContainsFunc(list, func(s Summary) bool { return s.Owner != "" }); p.owned {
				head = append(head, cells("OWNER")...)
			}
			head = append(head, cells("MESSAGE")...)
		}
		rows = append(rows, head)
	}
	now := p.d.clock.Now()
	for _, s := range list {
		row := cells(s.marked(), s.Ready, s.AuthType, orDash(s.KubernetesVersion), s.expires(now), age(now, s.CreatedAt.Time), s.Reason)
		row[1].tone = readyTone(s.Ready)
		if p.format == formatWide {
			row = append(row, cells(orDash(s.Server), orDash(s.Subject), orDash(s.ClusterID))...)
			if p.owned {
				row = append(row, cells(orDash(s.Owner))...)
			}
			row = append(row, cells(oneLine(s.Message))...)
		}
		rows = append(rows, row)
	}
	p.table.print(rows)
}

// describe prints everything about one cluster.
func (p *clusterPrinter) describe(s Summary) {
	d, now := p.d, p.d.clock.Now()
	fields := [][2]string{
		{"Name", s.marked()},
		{"Auth", s.AuthType},
		{"Server", orDash(s.Server)},
		{"Cluster ID", orDash(s.ClusterID)},
		{"Kubernetes", orDash(s.KubernetesVersion)},
		{"Member install", orDash(s.MemberVersion)},
		{"Subject", orDash(s.Subject)},
		{"Expires", s.expires(now)},
		{"Created", s.CreatedAt.UTC().Format(time.RFC3339) + " (" + age(now, s.CreatedAt.Time) + " ago)"},
	}
	if s.ExpiresAt != nil {
		fields[7][1] = s.ExpiresAt.UTC().Format(time.RFC3339) + " (" + s.expires(now) + ")"
	}
	if s.RenewedAt != nil {
		fields = append(fields, [2]string{"Renewed", s.RenewedAt.UTC().Format(time.RFC3339) + " (" + age(now, s.RenewedAt.Time) + " ago)"})
	}
	if s.Owner != "" {
		fields = append(fields, [2]string{"Owner", s.Owner})
	}
	if s.Disabled {
		fields = append(fields, [2]string{"Disabled", "yes"})
	}
	about := table{d: d}
	var rows [][]cell
	for _, f := range fields {
		rows = append(rows, cells(f[0]+":", f[1]))
	}
	about.print(rows)

	fmt.Fprintln(d.out, "\nConditions:")
	conditions := table{d: d}
	rows = [][]cell{cells("  TYPE", "STATUS", "REASON", "SINCE", "MESSAGE")}
	for _, kind := range conditionOrder {
		for _, c := range s.Conditions {
			if c.Type == kind {
				row := cells("  "+c.Type, string(c.Status), c.Reason, age(now, c.LastTransitionTime.Time), oneLine(c.Message))
				row[1].tone = readyTone(string(c.Status))
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 1 {
		fmt.Fprintln(d.out, "  none: "+s.Message)
		return
	}
	conditions.print(rows)
}

// conditionOrder goes from the sum to its parts, and from the way to what is done over it.
var conditionOrder = []string{
	v1alpha1.Ready, v1alpha1.Reachable, v1alpha1.Authenticated, v1alpha1.Authorized, v1alpha1.CredentialFresh, v1alpha1.Compatible,
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
