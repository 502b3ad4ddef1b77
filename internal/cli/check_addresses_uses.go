package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/endpoint/ranges"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
	"github.com/hawser-io/hawser/selector"
)

// in are the clusters that something looks in.
func (f contributors) in(scope v1alpha1.ClusterScope) (names []string) {
	for i := range f.clusters {
		if rc := &f.clusters[i]; endpoints.Contributes(rc) && publish.Selects(scope, rc.Name, rc.Labels, rc.IsLocal()) {
			names = append(names, rc.Name)
		}
	}
	return names
}

// usesOf are the live selectors, and where they look: those of EndpointSets, FederatedNetworkPolicies and Services. What
// may not be read, or is malformed, is a gap.
func (d *deps) usesOf(ctx context.Context, here *cluster, fleet contributors) ([]ranges.Use, []query.Gap, error) {
	world, unread, err := d.world(ctx, here, fleet)
	if err != nil {
		return nil, nil, err
	}
	var uses []ranges.Use
	for _, s := range world.Sets {
		uses = append(uses, ranges.Use{By: fmt.Sprintf("EndpointSet %q", s.Name), Selector: s.Selector, Clusters: fleet.in(s.Clusters)})
	}
	for _, p := range world.Policies {
		uses = append(uses, usesOfPolicy(p.Plan, fleet)...)
	}
	services, more, err := usesOfServices(ctx, here, fleet)
	return append(uses, services...), append(unread, more...), err
}

// usesOfPolicy are its own selector and those of its rules, each once.
func usesOfPolicy(p *policy.Plan, fleet contributors) (uses []ranges.Use) {
	by := fmt.Sprintf("FederatedNetworkPolicy %q", p.Namespace+"/"+p.Name)
	local, peers := fleet.in(v1alpha1.ClusterScope{Local: true}), fleet.in(p.Clusters)
	seen := map[string]bool{}
	add := func(s *selector.Selector, not bool, where string, clusters []string) {
		if s == nil || seen[fmt.Sprint(where, not, s)] {
			return
		}
		seen[fmt.Sprint(where, not, s)] = true
		uses = append(uses, ranges.Use{By: by, Selector: s, Not: not, Clusters: clusters})
	}
	add(p.Pods.Endpoints, false, "local", local)
	for i := range p.Rules {
		add(p.Rules[i].Pods.Endpoints, false, "local", local)
		add(p.Rules[i].Pods.Not, true, "local", local)
		add(p.Rules[i].Peer.Endpoints, false, "peers", peers)
		add(p.Rules[i].Peer.Not, true, "peers", peers)
	}
	return uses
}

// usesOfServices are those of the Services of the local cluster that select Services of all clusters.
func usesOfServices(ctx context.Context, here *cluster, fleet contributors) (uses []ranges.Use, gaps []query.Gap, err error) {
	all := fleet.in(v1alpha1.ClusterScope{All: true, Local: true})
	err = pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return here.Kube.CoreV1().Services("").List(ctx, o)
	}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		s, ok := o.(*corev1.Service)
		if !ok || !selects(s.Annotations) || !s.DeletionTimestamp.IsZero() {
			return nil
		}
		name := s.Namespace + "/" + s.Name
		federated, problem := service.ReadFederated(s, "")
		switch {
		case problem.Reason == service.ReasonHasSelector, problem.Reason == service.ReasonExternalName: // it selects nothing
			return nil
		case federated == nil:
			gaps = append(gaps, query.Gap{Object: "Service(" + name + ")", Reason: problem.Reason, Message: oneLine(problem.Message)})
			return nil
		}
		uses = append(uses, ranges.Use{By: fmt.Sprintf("Service %q", name), Selector: federated.Selector, Clusters: all, ServicesOf: s.Namespace})
		return nil
	})
	switch {
	case apierrors.IsForbidden(err):
		return nil, []query.Gap{{Object: "Services", Reason: reasonForbidden, Message: "you may not list them: " + oneLine(err.Error())}}, nil
	case err != nil:
		return nil, nil, fmt.Errorf("listing Services: %w", err)
	}
	slices.SortFunc(uses, func(a, b ranges.Use) int { return strings.Compare(a.By, b.By) })
	return uses, gaps, nil
}

// selects says whether a Service has its endpoints from Services of other clusters.
func selects(annotations map[string]string) bool {
	_, ours := annotations[service.SelectorAnnotation]
	_, calicos := annotations[service.CalicoSelectorAnnotation]
	return ours || calicos
}
