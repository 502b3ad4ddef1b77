package fedtest

import (
	"fmt"
	"slices"
	"strings"
)

// shown is how many differences are told one by one.
const shown = 60

// Verdict is in what the written objects differ from what they are to be.
type Verdict struct {
	// Count is how many differences there are, Texts the first of them, and Objects how many objects were judged.
	Count   int
	Texts   []string
	Objects int

	world   *World
	objects []*Written
	told    map[told]bool
}

func (v *Verdict) differs(format string, args ...any) {
	v.Count++
	if len(v.Texts) < shown {
		v.Texts = append(v.Texts, fmt.Sprintf(format, args...))
	}
}

// String names the differences, one on each line.
func (v *Verdict) String() string {
	text := strings.Join(v.Texts, "\n")
	if more := v.Count - len(v.Texts); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// Judge compares the union of what is written with what there is. Every object has to be of one of the sets or policies.
func Judge(w *World, objects []*Written, sets []Set, policies []Policy) *Verdict {
	v := &Verdict{world: w, objects: objects, Objects: len(objects), told: map[told]bool{}}
	for _, o := range objects {
		v.whole(o)
		o.judged = false
	}
	for i := range sets {
		v.set(&sets[i])
	}
	for i := range policies {
		v.policy(&policies[i])
	}
	for _, o := range objects {
		if !o.judged {
			v.differs("%s: nobody asks for it (labels %v)", o, o.Labels)
		}
	}
	return v
}

// whole judges an object by itself: it is of one set or policy and of one cluster at most, has no more than it may, and
// what it has belongs to that cluster alone.
func (v *Verdict) whole(o *Written) {
	if o.Labels[ManagedBy] != "hawser" || (o.Labels[OfSet] == "") == (o.Labels[OfPolicy] == "") {
		v.differs("%s: its labels do not say whose it is: %v", o, o.Labels)
	}
	all, err := o.Prefixes()
	if err != nil {
		v.differs("%s", err)
	}
	if len(all) > largest {
		v.differs("%s: it has %d ranges", o, len(all))
	}
	i := slices.IndexFunc(v.world.clusters, func(c *Cluster) bool { return c.Name == o.Labels[OfCluster] })
	if i < 0 {
		return
	}
	for _, p := range all {
		if !v.world.clusters[i].may(p.Addr()) {
			v.differs("%s: %s is not of cluster %s", o, p, o.Labels[OfCluster])
		}
	}
}
