package ranges

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/calico"
)

// pools finds, in clusters with Calico, addresses of other clusters that it would translate on the way to, or assign.
func pools(clusters []Cluster) []Finding {
	var found []Finding
	for _, c := range clusters {
		if c.Pools == nil {
			continue
		}
		before := len(found)
		for _, other := range clusters {
			if other.Name == c.Name {
				continue
			}
			theirs := other.ranges(pods)
			if len(theirs) == 0 && !other.Local {
				theirs = other.ranges(within)
			}
			found = append(found, assigning(c, other, theirs)...)
			found = append(found, translating(c, other, theirs)...)
		}
		if len(found) == before {
			found = append(found, Finding{Check: CheckPools, Severity: OK, Clusters: []string{c.Name},
				Message: "Calico in " + c.Name + " neither translates what goes to other clusters, nor assigns addresses of theirs"})
		}
	}
	return found
}

// assigning are the pools that pods of one cluster would have addresses of another from.
func assigning(c, other Cluster, theirs []netip.Prefix) (found []Finding) {
	for _, p := range c.Pools {
		shared := intersect([]netip.Prefix{p.CIDR}, theirs)
		if len(shared) == 0 || p.Disabled || len(p.AllowedUses) > 0 && !slices.Contains(p.AllowedUses, "Workload") {
			continue
		}
		found = append(found, Finding{Check: CheckPools, Severity: Error, Clusters: []string{c.Name, other.Name},
			Message: fmt.Sprintf("IPPool %s of %s is not disabled, and assigns addresses of %s: %s", p.Name, c.Name, other.Name, some(shared)),
			Repair:  fmt.Sprintf(`%s patch ippools.projectcalico.org %s --type merge -p '{"spec":{"disabled":true}}'`, kubectl(c), p.Name)})
	}
	return found
}

// translating says that what pods send to another cluster loses its address: from pools with natOutgoing, whatever goes
// to an address outside of every pool is translated, and so the other side's addresses have to be in one.
func translating(c, other Cluster, theirs []netip.Prefix) []Finding {
	if !slices.ContainsFunc(c.Pools, func(p Pool) bool { return p.NATOutgoing && !p.Disabled }) {
		return nil
	}
	var inPools []netip.Prefix
	for _, p := range c.Pools {
		inPools = append(inPools, p.CIDR)
	}
	var missing []netip.Prefix
	for _, family := range [][]netip.Prefix{only(theirs, true), only(theirs, false)} {
		if len(family) == 0 || !slices.ContainsFunc(c.Pools, func(p Pool) bool {
			return p.NATOutgoing && !p.Disabled && p.CIDR.Addr().Is4() == family[0].Addr().Is4()
		}) {
			continue
		}
		missing = append(missing, outside(family, inPools)...)
	}
	if len(missing) == 0 {
		return nil
	}
	f := Finding{Check: CheckPools, Severity: Error, Clusters: []string{c.Name, other.Name},
		Message: fmt.Sprintf("Calico in %s translates what its pods send to %s, whose policies then do not see who it is: no IPPool holds %s", c.Name, other.Name, some(missing)),
		Repair:  fmt.Sprintf("hawser check addresses --manifests %s | %s apply -f -", c.Name, kubectl(c))}
	for _, p := range missing {
		f.Manifests = append(f.Manifests, manifest(other, p))
	}
	return []Finding{f}
}

// kubectl is how a person reaches a cluster, as far as that is known here.
func kubectl(c Cluster) string {
	if c.Local {
		return "kubectl"
	}
	return "kubectl --context CONTEXT"
}

func only(all []netip.Prefix, v4 bool) (some []netip.Prefix) {
	for _, p := range all {
		if p.Addr().Is4() == v4 {
			some = append(some, p)
		}
	}
	return some
}

// Blocks that Calico divides a pool into where nobody says, which are no larger than the pool.
const (
	blockV4 = 26
	blockV6 = 122
)

// manifest is a pool that assigns nothing, and only says that addresses are not to be translated.
func manifest(other Cluster, p netip.Prefix) Manifest {
	m := Manifest{
		TypeMeta:   metav1.TypeMeta{APIVersion: calico.V3.String(), Kind: "IPPool"},
		ObjectMeta: metav1.ObjectMeta{Name: "remote-" + other.Name + "-" + strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(p.Addr().StringExpanded()+"/"+fmt.Sprint(p.Bits()))},
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
