package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// screenRows is how many rows of one table fit on a screen beside the other tables.
const screenRows = 12

// printStatus prints the status for people. Lists are cut, those that need care first, unless all is set.
func (d *deps) printStatus(s *Status, all bool) {
	d.printLocal(s)
	d.printReplicas(s)
	d.printClusters(s, all)
	d.printCredentials(s, all)
	d.printFederated(s.EndpointSets, setsTitle, all)
	d.printFederated(s.FederatedNetworkPolicies, policiesTitle, all)
	d.printRequests(s, all)
	d.printGrants(s, all)
	d.printIssuers(s, all)
}

// section is a titled table of rows, of which the first ones are the most important.
func (d *deps) section(title string, all bool, head []cell, rows [][]cell) {
	fmt.Fprintf(d.out, "\n%s\n", title)
	left := 0
	if !all && len(rows) > screenRows+1 {
		left = len(rows) - screenRows
		rows = rows[:screenRows]
	}
	if len(rows) > 0 {
		t := table{d: d}
		t.print(append([][]cell{head}, rows...))
	}
	if left > 0 {
		fmt.Fprintf(d.out, "and %d more (--all)\n", left)
	}
}

func (d *deps) printLocal(s *Status) {
	now := s.At.Time
	name := orDash(s.Local.Name)
	if s.Local.DefaultCluster != "" {
		name += ", default cluster " + s.Local.DefaultCluster
	}
	rows := [][]cell{cells("Local cluster", name), cells("Versions", versions(s))}
	titles := map[string]string{processManager: "Manager", processControllers: "Member controllers", processGate: "Gate"}
	for _, p := range s.Processes {
		if p.State == stateAbsent && p.Kind != processManager {
			continue
		}
		state := cell{p.State, stateTone(p.State)}
		var about []string
		if p.Ready != nil {
			about = append(about, fmt.Sprintf("%d of %d ready", *p.Ready, *p.Wanted))
		}
		if p.Holder != "" {
			about = append(about, "leader "+p.Holder)
		}
		if p.SeenAt != nil {
			about = append(about, "seen "+age(now, p.SeenAt.Time)+" ago")
		}
		rows = append(rows, []cell{{text: titles[p.Kind]}, state, {text: strings.Join(about, ", ")}})
	}
	for i, row := range rows[:2] { // plain text beside the states' column would widen it
		fmt.Fprintf(d.out, "%-21s%s\n", row[0].text, rows[i][1].text)
	}
	t := table{d: d, widths: []int{18}}
	t.print(rows[2:])
}

// versions counts what runs where.
func versions(s *Status) string {
	members, servers := map[string]int{}, map[string]int{}
	for _, c := range s.Clusters {
		if c.MemberVersion != "" {
			members[c.MemberVersion]++
		}
		if c.KubernetesVersion != "" {
			servers[c.KubernetesVersion]++
		}
	}
	return "Hawser " + orDash(s.Local.Version) + ", member installs " + counted(members) + ", Kubernetes " + counted(servers)
}

func counted(n map[string]int) string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", v, n[v]))
	}
	return orDash(strings.Join(parts, " "))
}

func (d *deps) printReplicas(s *Status) {
	for _, p := range s.Processes {
		if len(p.Replicas) == 0 {
			continue
		}
		var rows [][]cell
		for _, r := range p.Replicas {
			seen := "-"
			if r.SeenAt != nil {
				seen = age(s.At.Time, r.SeenAt.Time)
			}
			row := cells(r.Name, r.State, seen, fmt.Sprint(len(r.Clusters)), fmt.Sprint(len(r.Leaving)))
			row[1].tone = stateTone(r.State)
			rows = append(rows, row)
		}
		d.section(count(len(rows), "replica"), true, cells("REPLICA", "STATE", "SEEN", "CLUSTERS", "LEAVING"), rows)
	}
}

func (d *deps) printClusters(s *Status, all bool) {
	if s.Clusters == nil {
		return
	}
	ready, owners := 0, false
	list := slices.Clone(s.Clusters)
	for _, c := range list {
		if c.Ready == string(metav1.ConditionTrue) {
			ready++
		}
		owners = owners || c.Owner != ""
	}
	slices.SortStableFunc(list, func(a, b ClusterStatus) int { return careFirst(a.Ready, b.Ready) })
	head := cells("NAME", "READY", "SINCE", "AUTH", "VERSION", "REASON")
	if owners {
		head = append(head, cell{text: "OWNER"})
	}
	var rows [][]cell
	for _, c := range list {
		since := "-"
		for _, condition := range c.Conditions {
			if condition.Type == "Ready" {
				since = age(s.At.Time, condition.LastTransitionTime.Time)
			}
		}
		row := cells(c.marked(), c.Ready, since, c.AuthType, orDash(c.KubernetesVersion), shown(c.Reason))
		row[1].tone = readyTone(c.Ready)
		if owners {
			row = append(row, cell{text: orDash(c.Owner)})
		}
		rows = append(rows, row)
	}
	d.section(fmt.Sprintf("%d of %s Ready", ready, count(len(list), "cluster")), all, head, rows)
}

// careFirst puts what is not Ready before what is.
func careFirst(a, b string) int {
	order := map[string]int{string(metav1.ConditionFalse): 0, string(metav1.ConditionUnknown): 1, string(metav1.ConditionTrue): 2}
	return cmp.Compare(order[a], order[b])
}

func stateTone(state string) tone {
	switch state {
	case stateRunning:
		return good
	case stateStale, stateStopped:
		return bad
	}
	return warn
}
