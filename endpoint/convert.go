package endpoint

import (
	"net/netip"
	"strings"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// taken is what becomes of an object: an endpoint, and the addresses of it that were refused.
type taken struct {
	endpoint index.Endpoint
	refused  []refusal
}

type refusal struct{ address, reason string }

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
	t.take(b, podAddresses(o))
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
		text = strings.TrimSpace(text)
		p, err := read(text)
		reason := ReasonUnreadable
		if err == nil {
			if reason = b.refuses(p); reason == "" && !contains(t.endpoint.Addresses, p) {
				t.endpoint.Addresses = append(t.endpoint.Addresses, p)
			}
		}
		if reason != "" {
			t.refused = append(t.refused, refusal{text, reason})
		}
	}
}

func contains(all []netip.Prefix, p netip.Prefix) bool {
	for _, other := range all {
		if other == p {
			return true
		}
	}
	return false
}
