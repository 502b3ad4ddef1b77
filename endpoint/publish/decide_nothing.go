package publish

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Sought is a selector that is meant to match something, and the field that says so.
type Sought struct {
	Field    string
	Selector *selector.Selector
	// Local is the name of the local cluster, where it is meant for pods of that one; "" where it is for what all clusters
	// have that are selected.
	Local string
	// Port is one that something is meant to have of what it matches, by name and protocol; the zero value where none is.
	Port index.Port
}

// found says whether it matches something in one of some clusters. Of a port it is not said that nobody has it where
// nobody is there: that is said of the selector.
func (s *Sought) found(by Followed, clusters []string) bool {
	some := false
	for _, name := range clusters {
		for e := range by.Index().Eval(s.Selector, name) {
			switch {
			case s.Local != "" && e.Kind != index.Pod:
			case s.Port.Name == "" || slices.ContainsFunc(e.Ports, func(p index.Port) bool { return s.Asks(p.Name, p.Protocol) }):
				return true
			default:
				some = true
			}
		}
	}
	return s.Port.Name != "" && !some
}

// Asks says whether a port is the one that something is meant to have.
func (s *Sought) Asks(name, protocol string) bool {
	return name == s.Port.Name && protocol == s.Port.Protocol
}

// Missing says that it was not found, with its selector as it is to be shown, and where it was looked for.
func (s *Sought) Missing(shown, where string) string {
	if s.Port.Name == "" {
		return fmt.Sprintf("%s matches nothing that there is in %s now: is it meant so?", shown, where)
	}
	return fmt.Sprintf("nothing that %s matches in %s has a %s port called %q now: is it meant so?", shown, where, s.Port.Protocol, s.Port.Name)
}

// Unmatched says which selectors match nothing now. It remembers which did before: pods come and go, and one that misses
// them for a moment is not told of. The zero value is ready. It may be used from several goroutines.
type Unmatched struct {
	mu    sync.Mutex
	items map[Key]map[string]spell
}

// spell is what was seen of a selector last.
type spell struct {
	matched bool      // something, once
	since   time.Time // it matches nothing; zero: it does
}

// unmatchedFor is how long a selector that matched something has to match nothing before that is told.
const unmatchedFor = time.Minute

// shownUnmatched is how many selectors are told of, and shownSelector how many bytes of each.
const shownUnmatched, shownSelector = 8, 200

// Nothing is what there is to say of selectors that match nothing.
type Nothing struct {
	Warned []Statement
	// Whole says that all clusters that are selected were looked at.
	Whole bool
	// Again says that it is to be looked before long: nothing tells of what does not match.
	Again bool
}

// Look looks what matches nothing. It knows nothing of clusters that somebody else follows, and says nothing of what is
// asked of all where there are such; by may be nil.
func (u *Unmatched) Look(a *Asked, by Followed, now time.Time, all ...Sought) (n Nothing) {
	clusters, _ := a.followed(by) // none, where somebody else follows some
	n.Whole = len(clusters) > 0
	u.mu.Lock()
	defer u.mu.Unlock()
	before, seen := u.items[a.Key], map[string]spell{}
	var lines []string
	for _, s := range all {
		in, where, known := clusters, fmt.Sprintf("any of %d clusters", len(clusters)), n.Whole
		switch {
		case s.Local != "":
			in, where, known = []string{s.Local}, "the local cluster, where the policy's pods are,", knows(by, s.Local)
		case len(clusters) == 1:
			where = "the one cluster"
		}
		id := strings.Join([]string{s.Field, s.Selector.String(), s.Port.Name}, " ")
		last, was := before[id]
		if known {
			last = last.after(s.found(by, in), now)
			n.Again = n.Again || !last.since.IsZero()
			if last.told(now) {
				lines = append(lines, s.Field+": "+s.Missing(short(s.Selector), where))
			}
		} else {
			n.Again = n.Again || a.beginning(by, s.Local)
		}
		if known || was {
			seen[id] = last
		}
	}
	if u.items == nil {
		u.items = map[Key]map[string]spell{}
	}
	u.items[a.Key] = seen
	if len(lines) > 0 {
		n.Warned = []Statement{{v1alpha1.ReasonSelectsNothing, strings.Join(firstOf(lines), "\n")}}
	}
	return n
}

// after is a spell with what is seen now.
func (s spell) after(found bool, now time.Time) spell {
	switch {
	case found:
		return spell{matched: true}
	case s.since.IsZero():
		s.since = now
	}
	return s
}

// told says whether it is to be told that nothing matches.
func (s spell) told(now time.Time) bool {
	return !s.since.IsZero() && (!s.matched || now.Sub(s.since) >= unmatchedFor)
}

func firstOf(lines []string) []string {
	if more := len(lines) - shownUnmatched; more > 0 {
		return append(lines[:shownUnmatched], fmt.Sprintf("and %d more", more))
	}
	return lines
}

// Forget forgets an item that is gone.
func (u *Unmatched) Forget(k Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.items, k)
}

// beginning says whether a cluster is followed here, or one that is selected, that was not listed yet.
func (a *Asked) beginning(by Followed, cluster string) bool {
	if by == nil {
		return false
	}
	clusters := []string{cluster}
	if cluster == "" {
		clusters = slices.Collect(maps.Keys(a.selected()))
	}
	return slices.ContainsFunc(clusters, func(name string) bool {
		state, followed := by.State(name)
		return followed && !state.Synced
	})
}

// knows says whether a cluster was listed here.
func knows(by Followed, cluster string) bool {
	if by == nil {
		return false
	}
	state, known := by.State(cluster)
	return known && state.Synced
}

func short(s *selector.Selector) string {
	text := s.String()
	if len(text) <= shownSelector {
		return text
	}
	return strings.ToValidUTF8(text[:shownSelector], "") + "…"
}
