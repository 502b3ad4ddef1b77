package policytest

import (
	"fmt"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/index"
)

var (
	podLabels     = []string{"app", "tier", "pcns.env", "projectcalico.org/namespace", "hawser.io/cluster"} // of which the last three do not count
	labelValues   = []string{"", "x", "y", "z"}
	namespaceKeys = []string{"env", "team"}
	accountNames  = []string{"", "default", "robot"}
	portNumbers   = []uint16{53, 80, 81, 8080}
)

func drawLabels(t *rapid.T, keys []string) map[string]string {
	labels := map[string]string{}
	for _, key := range someOf(t, "labels", 0, min(3, len(keys)), keys) {
		labels[key] = oneOf(t, "value", labelValues)
	}
	return labels
}

// DrawWorld draws a fleet of the local cluster and three others, the last of which is never taken.
func DrawWorld(t *rapid.T) *World {
	w := NewWorld()
	for i, name := range []string{Home, "a", "b", "other"} {
		part := w.Cluster(t, name)
		for _, namespace := range []string{"shop", "web"} {
			labels := drawLabels(t, namespaceKeys)
			labels["kubernetes.io/metadata.name"] = namespace
			w.Namespaces[[2]string{name, namespace}] = labels
			part.SetNamespace(namespace, LabelList(labels))
			for _, account := range accountNames[1:] {
				labels := drawLabels(t, namespaceKeys)
				w.accounts[[3]string{name, namespace, account}] = labels
				part.SetServiceAccount(namespace, account, LabelList(labels))
			}
		}
		var given [][]netip.Prefix // to pods
		next := 1
		address := func() (all []netip.Prefix) {
			v4 := netip.AddrFrom4([4]byte{10, byte(i), 0, byte(next)})
			if all = append(all, netip.PrefixFrom(v4, 32)); number(t, 4, "two families") == 0 {
				v6 := netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", i, next))
				all = append(all, netip.PrefixFrom(v6, 128))
			}
			next++
			return all
		}
		for p := range 2 + number(t, 4, "pods") {
			e := index.Endpoint{
				ID:             index.ID{Kind: index.Pod, Namespace: oneOf(t, "namespace", []string{"shop", "shop", "web"}), Name: fmt.Sprint("pod-", p)},
				ServiceAccount: oneOf(t, "account", accountNames), Addresses: address(),
			}
			given = append(given, e.Addresses)
			for _, port := range someOf(t, "ports", 0, 2, PortNames) {
				e.Ports = append(e.Ports, index.Port{
					Name: port, Protocol: oneOf(t, "protocol", []string{"TCP", "TCP", "UDP"}), Number: oneOf(t, "number", portNumbers),
				})
			}
			w.Add(part, name, e, drawLabels(t, podLabels))
		}
		if oneIn(t, 2, "node") {
			w.Add(part, name, index.Endpoint{ID: index.ID{Kind: index.Node, Name: "node"}, Addresses: address()}, drawLabels(t, podLabels[:2]))
		}
		if oneIn(t, 3, "host endpoint") { // with an address of its own, or that of a pod
			of := address()
			if oneIn(t, 2, "of a pod") {
				of = oneOf(t, "whose", given)
			}
			w.Add(part, name, index.Endpoint{ID: index.ID{Kind: index.HostEndpoint, Name: "host"}, Addresses: of}, drawLabels(t, podLabels[:2]))
		}
		for n := range number(t, 3, "network sets") {
			id := index.ID{Kind: index.NetworkSet, Name: fmt.Sprint("nets-", n), Namespace: oneOf(t, "namespace of the set", []string{"", "shop"})}
			var of []netip.Prefix
			switch number(t, 3, "where") {
			case 0:
				of = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 1, 0}), 30)}
			case 1: // some pods are in it
				of = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 29+number(t, 3, "length"))}
			default:
				of = oneOf(t, "whose", given)
			}
			w.Add(part, name, index.Endpoint{ID: id, Addresses: of}, drawLabels(t, podLabels[:2]))
		}
	}
	return w
}
