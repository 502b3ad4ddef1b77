package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/query"
)

// tellGaps names what is missing from an answer, in calicoq's words, and makes of it the exit code. That a cluster is
// disabled, or is not to contribute endpoints, somebody has decided: it is told, too, and is no gap, unless the cluster was
// asked for by name.
func (d *deps) tellGaps(missing []query.Gap, named ...string) error {
	missing = d.tellDecided(missing, named)
	if len(missing) == 0 {
		return nil
	}
	heading := "The following problems were encountered"
	if slices.ContainsFunc(missing, func(g query.Gap) bool { return g.Object == "" }) {
		heading += " connecting to the remote clusters"
	}
	fmt.Fprintln(d.err, heading)
	fmt.Fprintln(d.err, "which may have resulted in incomplete data:")
	lines := make([]string, 0, len(missing))
	for _, g := range missing {
		line := "-  " + upTo(longestMessage, shown(whose(g)+g.Message))
		if g.Count > 1 {
			line += fmt.Sprintf(" (%d)", g.Count)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(d.err, line)
	}
	return gaps()
}

// tellDecided tells of the clusters that somebody has decided not to ask, and returns the other gaps.
func (d *deps) tellDecided(missing []query.Gap, named []string) (others []query.Gap) {
	off, until, mute := map[string]bool{}, map[string]string{}, map[string]bool{}
	for _, g := range missing {
		if slices.Contains(named, g.Cluster) {
			continue
		}
		switch g.Reason {
		case endpoint.ReasonDisabled:
			off[g.Cluster] = true
		case endpoint.ReasonNoCapability:
			mute[g.Cluster] = true
		}
	}
	for _, g := range missing {
		switch {
		case g.Cluster == "":
		case mute[g.Cluster] && g.Reason == endpoint.ReasonNoCapability, off[g.Cluster] && g.Reason == endpoint.ReasonDisabled:
			continue
		case off[g.Cluster] && g.Reason == query.ReasonStale: // which follows from it
			if g.Since != nil {
				until[g.Cluster] = " (known until " + g.Since.UTC().Format(time.RFC3339) + ")"
			}
			continue
		}
		others = append(others, g)
	}
	d.note("disabled, and so not asked", off, until)
	d.note("without the capability endpoints, and so not asked", mute, nil)
	return others
}

// note names clusters, with more about some.
func (d *deps) note(text string, of map[string]bool, more map[string]string) {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, shown(name)+more[name])
	}
	slices.Sort(names)
	if over := len(names) - mostNoted; over > 0 {
		names = append(names[:mostNoted], fmt.Sprintf("and %d more", over))
	}
	if len(names) > 0 {
		fmt.Fprintf(d.err, "Note: %s: %s\n", text, strings.Join(names, ", "))
	}
}

// mostNoted is how many clusters a note names.
const mostNoted = 20

// whose is what a gap is of.
func whose(g query.Gap) string {
	switch {
	case g.Cluster != "":
		return "RemoteCluster(" + g.Cluster + "): "
	case g.Replica != "":
		return "Manager(" + g.Replica + "): "
	case g.Object != "":
		return g.Object + ": "
	}
	return ""
}
