package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// expiringSoon is when the last half of the last renewal is near for any credential that lives for an hour.
const expiringSoon = 10 * time.Minute

func (d *deps) printCredentials(s *Status, all bool) {
	var rows [][]cell
	for _, c := range s.Credentials {
		expires := cell{text: "never"}
		if c.ExpiresAt != nil {
			expires.text = inTime(s.At.Time, c.ExpiresAt.Time)
			switch left := c.ExpiresAt.Sub(s.At.Time); {
			case left <= 0:
				expires.tone = bad
			case left < expiringSoon:
				expires.tone = warn
			}
		}
		renewed := "-"
		if c.RenewedAt != nil {
			renewed = age(s.At.Time, c.RenewedAt.Time) + " ago"
		}
		name := c.Name
		if c.Namespace != "" {
			name = c.Namespace + "/" + c.Name
		}
		rows = append(rows, []cell{expires, {text: c.Kind}, {text: name}, {text: renewed}, {text: shown(c.Reason), tone: readyTone(c.Fresh)}, {text: orDash(shown(c.Subject))}})
	}
	if len(rows) > 0 {
		d.section(count(len(rows), "credential"), all, cells("EXPIRES", "OF", "NAME", "RENEWED", "STATE", "SUBJECT"), rows)
	}
}

func (d *deps) printRequests(s *Status, all bool) {
	list := slices.Clone(s.AccessRequests)
	slices.SortStableFunc(list, func(a, b RequestStatus) int { return careFirst(a.Ready, b.Ready) })
	var rows [][]cell
	for _, o := range list {
		row := cells(o.Namespace+"/"+o.Name, o.Ready, o.Cluster, o.Grant, o.Format, shown(o.Reason))
		row[1].tone = readyTone(o.Ready)
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		d.section(count(len(rows), "access request"), all, cells("NAME", "READY", "CLUSTER", "GRANT", "FORMAT", "REASON"), rows)
	}
}

func (d *deps) printGrants(s *Status, all bool) {
	list := slices.Clone(s.AccessGrants)
	slices.SortStableFunc(list, func(a, b GrantStatus) int { return careFirst(a.Ready, b.Ready) })
	var rows [][]cell
	for _, o := range list {
		ends := "-"
		if o.EndsAt != nil {
			ends = inTime(s.At.Time, o.EndsAt.Time)
		}
		row := cells(o.Name, o.Ready, fmt.Sprint(o.Subjects), shown(strings.Join(o.Roles, ",")), orDash(strings.Join(o.Namespaces, ",")), ends, shown(o.Reason))
		row[1].tone = readyTone(o.Ready)
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		d.section(count(len(rows), "access grant")+" of this cluster", all, cells("NAME", "READY", "SUBJECTS", "ROLES", "NAMESPACES", "ENDS", "REASON"), rows)
	}
}

func (d *deps) printIssuers(s *Status, all bool) {
	list := slices.Clone(s.TrustedIssuers)
	slices.SortStableFunc(list, func(a, b IssuerStatus) int { return careFirst(a.Ready, b.Ready) })
	ago := func(t *metav1.Time) string {
		if t == nil {
			return "-"
		}
		return age(s.At.Time, t.Time) + " ago"
	}
	var rows [][]cell
	for _, o := range list {
		refused := "-"
		if o.LastFailure != nil {
			refused = shown(o.LastFailure.Reason) + " " + ago(&o.LastFailure.Time)
		}
		row := cells(o.Name, o.Ready, o.Prefix, fmt.Sprint(o.Keys), ago(o.FetchedAt), ago(o.LastUse), refused, shown(o.Reason))
		row[1].tone = readyTone(o.Ready)
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		d.section(count(len(rows), "trusted issuer")+" of this cluster", all, cells("NAME", "READY", "PREFIX", "KEYS", "FETCHED", "USED", "REFUSED", "REASON"), rows)
	}
}

// line is the gap on one line.
func (g Gap) line(now time.Time) string {
	what := g.Kind
	name := g.Name
	if g.Namespace != "" && g.Kind != "Process" {
		name = g.Namespace + "/" + g.Name
	}
	if name != "" {
		what += fmt.Sprintf(" %q", name)
	}
	since := ""
	if g.Since != nil {
		since = " for " + age(now, g.Since.Time)
	}
	return fmt.Sprintf("gap: %s: %s%s: %s", what, shown(g.Reason), since, shown(g.Message))
}
