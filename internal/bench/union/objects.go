package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The labels of what is written, as docs/endpoints.md has them.
const (
	managedBy   = "app.kubernetes.io/managed-by"
	ofSet       = "hawser.io/endpoint-set"
	ofPolicy    = "hawser.io/federated-policy"
	ofNamespace = "hawser.io/federated-policy-namespace"
	ofCluster   = "hawser.io/cluster"
	expired     = "hawser.io/expired"
)

// largest is how many prefixes one object may have.
const largest = 2000

// written is an object that was found in the local cluster.
type written struct {
	kind string
	metav1.ObjectMeta
	policy *networkingv1.NetworkPolicy
	list   *corev1.ConfigMap
	judged bool // somebody has asked for it
}

// String names it for people.
func (o *written) String() string { return o.kind + " " + o.Namespace + "/" + o.Name }

// found lists what the replicas have written, or some of it by a selector: all NetworkPolicies, as nobody else writes
// any, and the ConfigMaps that say what they are of.
func (r *run) found(selector string) (all []*written, err error) {
	local := r.clusters[0].kube
	nps, err := local.NetworkingV1().NetworkPolicies("").List(r.Ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing NetworkPolicies: %w", err)
	}
	for i := range nps.Items {
		all = append(all, &written{kind: "NetworkPolicy", ObjectMeta: nps.Items[i].ObjectMeta, policy: &nps.Items[i]})
	}
	cms, err := local.CoreV1().ConfigMaps("").List(r.Ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing ConfigMaps: %w", err)
	}
	for i := range cms.Items {
		if cm := &cms.Items[i]; cm.Labels[ofSet]+cm.Labels[ofPolicy] != "" || cm.Namespace == space && cm.Name != "kube-root-ca.crt" {
			all = append(all, &written{kind: "ConfigMap", ObjectMeta: cm.ObjectMeta, list: cm})
		}
	}
	return all, nil
}

// base is the name without the number of the piece.
func (o *written) base() string {
	at := strings.LastIndexByte(o.Name, '.')
	if at < 0 || strings.Trim(o.Name[at+1:], "0123456789") != "" {
		return o.Name
	}
	return o.Name[:at]
}

// prefixes are those of all its rules, or lines, each once.
func (o *written) prefixes() (all []netip.Prefix, err error) {
	var texts []string
	if o.list != nil {
		texts = strings.Fields(o.list.Data["addresses"])
	} else {
		for _, peers := range peersOf(o.policy) {
			for _, p := range peers {
				if p.IPBlock != nil {
					texts = append(texts, p.IPBlock.CIDR)
				}
			}
		}
		slices.Sort(texts)
		texts = slices.Compact(texts)
	}
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("%s has %q, which is no range: %w", o, text, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func peersOf(np *networkingv1.NetworkPolicy) (all [][]networkingv1.NetworkPolicyPeer) {
	for _, rule := range np.Spec.Ingress {
		all = append(all, rule.From)
	}
	for _, rule := range np.Spec.Egress {
		all = append(all, rule.To)
	}
	return all
}

// widest is how wide a range may be that is looked at address by address.
const widest = 16

// each calls do with every address of a range; ok is false where it is too wide for that.
func each(p netip.Prefix, do func(netip.Addr)) (ok bool) {
	if p.Addr().BitLen()-p.Bits() > widest {
		return false
	}
	for a := p.Addr(); a.IsValid() && p.Contains(a); a = a.Next() {
		do(a)
	}
	return true
}
