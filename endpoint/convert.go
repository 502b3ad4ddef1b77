package endpoint

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// taken is what becomes of an object: an endpoint, and the addresses of it that were refused.
type taken struct {
	endpoint index.Endpoint
	refused  []refusal
}

// refusal is of the addresses of an endpoint that were refused for one reason: the first of them, and how many there are.
type refusal struct {
	address, reason string
	count           int
}

// mostAddresses is how many a pod may have: Kubernetes gives it one of each family, and what stands in an annotation may
// be written by anybody who makes pods.
const mostAddresses = 16

// mostText is how many bytes of what should be an address are told.
const mostText = 64

// pod makes an endpoint of a pod, by the rules of Calico: a pod counts if it has a network of its own, runs
// on a node, has not ended, and has an address. ok is false where it does not.
func pod(o *wire.Object, b Bounds) (t taken, ok bool) {
	if o.HostNetwork || o.Node == "" || o.Phase == "Succeeded" || o.Phase == "Failed" || released(o) {
		return taken{}, false
	}
	t.endpoint = index.Endpoint{
		ID:     index.ID{Kind: index.Pod, Namespace: o.Namespace, Name: o.Name},
		Labels: o.Own, ServiceAccount: o.ServiceAccount, Node: o.Node, Ports: o.Ports,
	}
	addresses := podAddresses(o)
	t.take(b, addresses[:min(len(addresses), mostAddresses)])
	for _, text := range addresses[min(len(addresses), mostAddresses):] {
		t.refuse(quoted(text), ReasonTooMany)
	}
	return t, len(t.endpoint.Addresses) > 0
}

// released says that a pod that is being deleted has given its address back: the CNI plugin writes so.
func released(o *wire.Object) bool {
	if o.DeletionTimestamp == nil {
		return false
	}
	for _, name := range []string{wire.CNIPodIPs, wire.CNIPodIP} {
		if value, there := o.Annotations[name]; there && value == "" {
			return true
		}
	}
	return false
}

// podAddresses are those of the first place that has any.
func podAddresses(o *wire.Object) []string {
	if len(o.IPs) > 0 {
		return o.IPs
	}
	if o.IP != "" {
		return []string{o.IP}
	}
	for _, name := range []string{wire.CNIPodIPs, wire.CNIPodIP, wire.AWSPodIPs} {
		if value := o.Annotations[name]; value != "" {
			return strings.Split(value, ",")
		}
	}
	return nil
}

// node makes an endpoint of a node.
func node(o *wire.Object, b Bounds) (t taken, ok bool) {
	t.endpoint = index.Endpoint{ID: index.ID{Kind: index.Node, Name: o.Name}, Labels: o.Own, Node: o.Name}
	var addresses []string
	for _, a := range o.Addresses {
		if a.Type == "InternalIP" || a.Type == "ExternalIP" {
			addresses = append(addresses, a.Address)
		}
	}
	t.take(b, addresses)
	return t, len(t.endpoint.Addresses) > 0
}

// take takes the addresses that the bounds allow, each once.
func (t *taken) take(b Bounds, addresses []string) {
	for _, text := range addresses {
		p, err := read(strings.TrimSpace(text))
		if err != nil {
			t.refuse(quoted(text), ReasonUnreadable)
			continue
		}
		switch reason := b.refuses(p); {
		case reason != "":
			t.refuse(said(p), reason)
		case !slices.Contains(t.endpoint.Addresses, p):
			t.endpoint.Addresses = append(t.endpoint.Addresses, p)
		}
	}
}

// refuse notes that an address is refused.
func (t *taken) refuse(address, reason string) { t.refused = refuse(t.refused, address, reason) }

func refuse(all []refusal, address, reason string) []refusal {
	for i := range all {
		if all[i].reason == reason {
			all[i].count++
			return all
		}
	}
	return append(all, refusal{address, reason, 1})
}

// said writes a range of one address as the address.
func said(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// quoted is what somebody wrote, as far as it is told. It keeps nothing of the text, which may be long.
func quoted(text string) string {
	if len(text) > mostText {
		return strconv.Quote(text[:mostText]) + "…"
	}
	return strconv.Quote(text)
}
