package ranges

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// mostManifests is how many IPPools a finding has with it.
const mostManifests = 100

// pools finds, in clusters with Calico, addresses of other clusters that it would translate on the way to, or assign.
func pools(sites []site) []Finding {
	var found []Finding
	all, examined := rangesOf(sites), known(sites, Unread.OfAddresses)
	for i := range sites {
		s := &sites[i]
		if s.Pools == nil {
			continue
		}
		before := len(found)
		found = append(found, assigning(sites, i)...)
		found = append(found, translating(sites, all, i, mostManifests)...)
		others := slices.DeleteFunc(slices.Clone(examined), func(name string) bool { return name == s.Name })
		if len(found) == before && (len(others) > 0 || len(sites) == 1) {
			found = append(found, Finding{Check: CheckPools, Severity: OK, Clusters: []string{s.Name},
				Message: "Calico in " + s.Name + " neither translates what goes to other clusters, nor assigns addresses of theirs" + knownOf(others, len(sites)-1)})
		}
	}
	return found
}

// Missing returns all IPPools that a cluster lacks. Findings have the first of many.
func Missing(clusters []Cluster, name string) (all []Manifest) {
	sites := sitesOf(clusters)
	at := slices.IndexFunc(sites, func(s site) bool { return s.Name == name })
	if at < 0 || sites[at].Pools == nil {
		return nil
	}
	for _, f := range translating(sites, rangesOf(sites), at, math.MaxInt) {
		all = append(all, f.Manifests...)
	}
	return all
}

// assigning are the pools that pods of one cluster would have addresses of others from.
func assigning(sites []site, at int) (found []Finding) {
	s := &sites[at]
	for _, p := range s.Pools {
		of, both := assigned(sites, at, p)
		if len(of) == 0 {
			continue
		}
		found = append(found, Finding{Check: CheckPools, Severity: Error, Clusters: append([]string{s.Name}, pick(sites, of)...), Repair: unassign(sites, at, p),
			Message: fmt.Sprintf("IPPool %s of %s is not disabled, and assigns addresses of %s: %s", p.Name, s.Name, named(sites, of), some(publish.Aggregate(both)))})
	}
	return found
}

// assigned are the clusters that have addresses which a pool assigns to pods of this one, and which those are.
func assigned(sites []site, at int, p Pool) (of []int, both []netip.Prefix) {
	if !p.assigns() {
		return nil, nil
	}
	for i := range sites {
		if i == at {
			continue
		}
		if theirs := publish.Within(publish.Within(nil, p.CIDR, sites[i].podRanges), p.CIDR, sites[i].of[nodes]); len(theirs) > 0 {
			of, both = append(of, i), append(both, theirs...)
		}
	}
	return of, both
}

// unassign is how to have a pool assign no addresses of others. It is disabled only where new pods get theirs from
// another one, also after all that is told to be disabled is.
func unassign(sites []site, at int, p Pool) string {
	s := &sites[at]
	if !slices.ContainsFunc(s.Pools, func(o Pool) bool {
		of, _ := assigned(sites, at, o)
		return len(of) == 0 && o.standsInFor(p)
	}) {
		return fmt.Sprintf("do not disable it, as no other pool is left that new pods of %s get addresses of its family from: give one of the clusters another range, or correct spec.endpointCIDRs where these say what is not so", s.Name)
	}
	if s.Calicoctl {
		return fmt.Sprintf(`calicoctl patch ippool %s --patch '{"spec":{"disabled":true}}'`, word(p.Name))
	}
	return fmt.Sprintf(`%s patch ippools.projectcalico.org %s --type merge -p '{"spec":{"disabled":true}}'`, kubectl(s), word(p.Name))
}

// assigns says that pods get addresses from the pool.
func (p *Pool) assigns() bool {
	return !p.Disabled && (len(p.AllowedUses) == 0 || slices.Contains(p.AllowedUses, "Workload"))
}

// standsInFor says that all pods that get addresses from another pool can have them from this one.
func (p *Pool) standsInFor(other Pool) bool {
	return p.assigns() && p.AssignmentMode != "Manual" && p.CIDR.Addr().Is4() == other.CIDR.Addr().Is4() &&
		(p.NodeSelector == "" || p.NodeSelector == "all()" || p.NodeSelector == other.NodeSelector)
}

// kubectl is how a person reaches a cluster, as far as that is known here.
func kubectl(s *site) string {
	if s.Local {
		return "kubectl"
	}
	return "kubectl --context CONTEXT"
}

// word is a name of a remote cluster as a word for a shell: an API server that lies may say anything.
func word(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && name != "" && name[0] != '-' {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// Blocks that Calico divides a pool into where nobody says, which are no larger than the pool.
const (
	blockV4 = 26
	blockV6 = 122
)

// inName makes a part of a name of a range.
var inName = strings.NewReplacer(".", "-", ":", "-", "/", "-")

// manifest is a pool that assigns nothing, and only says that addresses are not to be translated.
func manifest(other Cluster, p netip.Prefix) Manifest {
	m := Manifest{
		TypeMeta:   metav1.TypeMeta{APIVersion: calico.V3.String(), Kind: "IPPool"},
		ObjectMeta: metav1.ObjectMeta{Name: "remote-" + other.Name + "-" + inName.Replace(p.Addr().StringExpanded()+"/"+fmt.Sprint(p.Bits()))},
		Spec:       calico.IPPoolSpec{CIDR: p.String(), Disabled: true},
	}
	block := blockV4
	if p.Addr().Is6() {
		block = blockV6
	}
	if p.Bits() > block {
		m.Spec.BlockSize = p.Bits()
	}
	return m
}
