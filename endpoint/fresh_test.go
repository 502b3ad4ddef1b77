package endpoint_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// fresh is what a cluster's endpoints are, computed from lists by the words of the documentation: the labels that
// selectors see, by what an endpoint is.
func fresh(ctx context.Context, client kubernetes.Interface, cluster, id string, within ...netip.Prefix) (map[string]map[string]string, error) {
	var o metav1.ListOptions
	namespaces, err := client.CoreV1().Namespaces().List(ctx, o)
	if err != nil {
		return nil, err
	}
	accounts, err := client.CoreV1().ServiceAccounts("").List(ctx, o)
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods("").List(ctx, o)
	if err != nil {
		return nil, err
	}
	inherited := map[string]map[string]string{}
	for _, ns := range namespaces.Items {
		all := map[string]string{"projectcalico.org/namespace": ns.Name}
		for k, v := range ns.Labels {
			all["pcns."+k] = v
		}
		all["pcns.projectcalico.org/name"] = ns.Name
		inherited[ns.Name] = all
	}
	for _, sa := range accounts.Items {
		all := map[string]string{"projectcalico.org/serviceaccount": sa.Name}
		for k, v := range sa.Labels {
			all["pcsa."+k] = v
		}
		all["pcsa.projectcalico.org/name"] = sa.Name
		inherited[sa.Namespace+"/"+sa.Name] = all
	}
	found := map[string]map[string]string{}
	for _, p := range pods.Items {
		if p.Spec.HostNetwork || p.Spec.NodeName == "" || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		var addresses []string
		for _, ip := range p.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil && slices.ContainsFunc(within, func(w netip.Prefix) bool { return w.Contains(a) }) {
				addresses = append(addresses, ip.IP)
			}
		}
		if len(addresses) == 0 {
			continue
		}
		labels := map[string]string{"hawser.io/cluster": cluster, "hawser.io/cluster-id": id, "projectcalico.org/orchestrator": "k8s"}
		for k, v := range p.Labels {
			if !strings.HasPrefix(k, "pcns.") && !strings.HasPrefix(k, "pcsa.") {
				labels[k] = v
			}
		}
		maps.Copy(labels, inherited[p.Namespace])
		maps.Copy(labels, inherited[p.Namespace+"/"+p.Spec.ServiceAccountName])
		found[saidOf(p.Namespace, p.Name, p.Spec.NodeName, addresses)] = labels
	}
	return found, nil
}

// compare says where what is known of a cluster differs from a fresh computation.
func compare(x *index.Index, cluster string, live []*index.Query, now map[string]map[string]string) string {
	var diff strings.Builder
	for _, q := range live {
		s := q.Selector()
		var want []string
		for name, labels := range now {
			if s.MatchMap(labels) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		for how, got := range map[string][]string{"live": names(q.Members(cluster)), "asked": names(x.Eval(s, cluster))} {
			if d := cmp.Diff(want, got); d != "" {
				fmt.Fprintf(&diff, "%s, %s (-fresh +known):\n%s", s, how, d)
			}
		}
	}
	return diff.String()
}

func names(found func(func(index.Endpoint) bool)) (all []string) {
	for e := range found {
		if e.Kind != index.Pod {
			continue
		}
		var addresses []string
		for _, a := range e.Addresses {
			addresses = append(addresses, a.Addr().String())
		}
		all = append(all, saidOf(e.Namespace, e.Name, e.Node, addresses))
	}
	slices.Sort(all)
	return all
}

func saidOf(namespace, name, node string, addresses []string) string {
	slices.Sort(addresses)
	return fmt.Sprintf("pod %s/%s on %s %v", namespace, name, node, addresses)
}

// mixed are selectors of every shape that churn tells apart.
func mixed() (all []*selector.Selector) {
	for _, text := range []string{
		`all()`, `app == "web"`, `app != "web"`, `app in {"web", "db"} && has(tier)`, `!has(tier)`, `app starts with "w"`,
		`pcns.team == "a"`, `pcns.team != "a" && app == "db"`, `has(pcsa.role)`, `hawser.io/cluster == "alpha" && app == "web"`,
		`hawser.io/cluster in {"beta", "gamma"} && !has(pcsa.role)`,
	} {
		all = append(all, selector.MustParse(text))
	}
	return all
}
