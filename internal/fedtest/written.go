package fedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The labels and annotations of what is written, as docs/endpoints.md has them.
const (
	ManagedBy   = "app.kubernetes.io/managed-by"
	OfSet       = "hawser.io/endpoint-set"
	OfPolicy    = "hawser.io/federated-policy"
	OfNamespace = "hawser.io/federated-policy-namespace"
	OfCluster   = "hawser.io/cluster"
	Expired     = "hawser.io/expired"
)

// largest is how many prefixes one object may have.
const largest = 2000

// Written is an object that was found in the local cluster.
type Written struct {
	Kind string
	metav1.ObjectMeta

	policy *networkingv1.NetworkPolicy // nil: it is of another kind
	texts  []string                    // its ranges
	judged bool                        // somebody has asked for it
}

// NewWritten is an object of another kind than NetworkPolicy, with its ranges.
func NewWritten(kind string, meta metav1.ObjectMeta, ranges []string) *Written {
	return &Written{Kind: kind, ObjectMeta: meta, texts: ranges}
}

// String names it for people.
func (o *Written) String() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// Found lists what is written, or some of it by a selector of labels: all NetworkPolicies, as nobody else is to write any;
// and the ConfigMaps that say what they are of, and those of some namespaces in which nobody else is to make any.
func Found(ctx context.Context, local kubernetes.Interface, selector string, spaces ...string) (all []*Written, err error) {
	nps, err := local.NetworkingV1().NetworkPolicies("").List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing NetworkPolicies: %w", err)
	}
	for i := range nps.Items {
		np := &nps.Items[i]
		all = append(all, &Written{Kind: "NetworkPolicy", ObjectMeta: np.ObjectMeta, policy: np, texts: blocks(np)})
	}
	cms, err := local.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("listing ConfigMaps: %w", err)
	}
	for i := range cms.Items {
		if cm := &cms.Items[i]; cm.Labels[OfSet]+cm.Labels[OfPolicy] != "" || slices.Contains(spaces, cm.Namespace) && cm.Name != "kube-root-ca.crt" {
			all = append(all, NewWritten("ConfigMap", cm.ObjectMeta, strings.Fields(cm.Data["addresses"])))
		}
	}
	return all, nil
}

// blocks are the ranges of all rules, each once.
func blocks(np *networkingv1.NetworkPolicy) (all []string) {
	add := func(peers []networkingv1.NetworkPolicyPeer) {
		for _, p := range peers {
			if p.IPBlock != nil {
				all = append(all, p.IPBlock.CIDR)
			}
		}
	}
	for _, r := range np.Spec.Ingress {
		add(r.From)
	}
	for _, r := range np.Spec.Egress {
		add(r.To)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Base is the name without the number of the piece.
func (o *Written) Base() string {
	at := strings.LastIndexByte(o.Name, '.')
	if at < 0 || strings.Trim(o.Name[at+1:], "0123456789") != "" {
		return o.Name
	}
	return o.Name[:at]
}

// Content is what it says, the same text where it says the same.
func (o *Written) Content() string {
	if o.policy == nil {
		return strings.Join(o.texts, "\n")
	}
	text, err := json.Marshal(o.policy.Spec)
	if err != nil { // which what was decoded from JSON has none of
		return err.Error()
	}
	return string(text)
}

// Prefixes are those of all its rules, or lines.
func (o *Written) Prefixes() (all []netip.Prefix, err error) {
	for _, text := range o.texts {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s has %q, which is no range: %w", o, text, err)
		case p != p.Masked():
			return nil, fmt.Errorf("%s has %q, which is the range %s with an address of it", o, text, p.Masked())
		}
		all = append(all, p)
	}
	return all, nil
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
