package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
	"github.com/hawser-io/hawser/member"
)

// askSelf lists the endpoints of the clusters over connections of its own, and answers when all were listed once. What
// was not by the end of ctx is a gap.
func (d *deps) askSelf(ctx context.Context, here *cluster, fleet contributors, expected []v1alpha1.RemoteCluster, q query.Question) (query.Answer, error) {
	catalog := endpoint.NewCatalog(endpoint.CatalogOptions{Clock: d.clock})
	defer catalog.Close()
	changed := make(chan struct{}, 1)
	stop := catalog.Notify(func(string) {
		select {
		case changed <- struct{}{}:
		default: // it is looked at anyway
		}
	})
	defer stop()
	following, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer func() {
		cancel()
		group.Wait()
	}()
	own, missing, err := d.ownAddresses(ctx, here)
	if err != nil {
		return query.Answer{}, err
	}
	for i := range expected {
		group.Go(func() { d.followSelf(following, here, fleet, &expected[i], own, catalog) })
	}
	d.awaitListed(ctx, catalog, expected, changed)
	group.Wait() // whom there was no time to connect to is a gap, too
	catalog.Review()
	a, err := query.Ask(catalog, q)
	if err != nil {
		return a, err
	}
	a.AddGaps(missing...)
	return a, nil
}

// followSelf lets a catalog follow one cluster over a connection that ends with ctx, or be told why it cannot.
func (d *deps) followSelf(ctx context.Context, here *cluster, fleet contributors, rc *v1alpha1.RemoteCluster, own *endpoints.Hosts, catalog *endpoint.Catalog) {
	// Which cluster it is shows when it is reached, which is tried only where it is to be followed.
	_ = endpoints.Tell(catalog, rc, "unknown", own, func(told endpoint.Cluster) error {
		config, id, err := d.reachSelf(ctx, here, fleet, rc)
		if err == nil {
			told.Config, told.ID = config, id
			err = catalog.Follow(ctx, told)
		}
		if err != nil {
			told.ID = clusterID(rc)
			catalog.Suspend(told, endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "connection to remote cluster failed: " + oneLine(err.Error())})
		}
		return nil
	})
}

// reachSelf connects to a cluster: a remote one by the credential at rest, and the local one by one's own.
func (d *deps) reachSelf(ctx context.Context, here *cluster, fleet contributors, rc *v1alpha1.RemoteCluster) (*rest.Config, string, error) {
	if rc.IsLocal() {
		id, err := localID(ctx, here, clusterID(rc))
		return rest.CopyConfig(here.Config), id, err
	}
	conn, err := d.open(ctx, here, rc, fleet.name)
	if err != nil {
		return nil, "", err
	}
	id := conn.State().ClusterID
	if id == "" {
		id = clusterID(rc)
	}
	if id == "" {
		return nil, "", errors.New("the cluster does not say which one it is: the credential may not read namespace kube-system")
	}
	return conn.Config(), id, nil
}

// localID is the id of the local cluster, as the person at the keyboard may read it, or else as it is known.
func localID(ctx context.Context, here *cluster, known string) (string, error) {
	ns, err := here.Kube.CoreV1().Namespaces().Get(ctx, member.SystemNamespace, metav1.GetOptions{})
	switch {
	case err == nil:
		return string(ns.UID), nil
	case known != "" && apierrors.IsForbidden(err):
		return known, nil
	}
	return "", fmt.Errorf("reading which cluster the local one is: %w", err)
}

// ownAddresses are those of the local cluster's nodes and API servers, which no other cluster may claim.
func (d *deps) ownAddresses(ctx context.Context, here *cluster) (*endpoints.Hosts, []query.Gap, error) {
	var own []netip.Addr
	var missing []query.Gap
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil {
			own = append(own, a)
		}
	}
	if u, err := url.Parse(here.Config.Host); err == nil {
		add(u.Hostname())
	}
	for what, read := range map[string]func() error{
		"nodes": func() error {
			nodes, err := here.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, node := range nodes.Items {
				for _, a := range node.Status.Addresses {
					add(a.Address)
				}
			}
			return nil
		},
		"API servers": func() error {
			found, err := here.Kube.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=kubernetes"})
			if err != nil {
				return err
			}
			for _, s := range found.Items {
				for _, e := range s.Endpoints {
					for _, text := range e.Addresses {
						add(text)
					}
				}
			}
			service, err := here.Kube.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
			if err != nil {
				return client.IgnoreNotFound(err)
			}
			for _, text := range service.Spec.ClusterIPs {
				add(text)
			}
			return nil
		},
	} {
		err := read()
		switch {
		case apierrors.IsForbidden(err):
			missing = append(missing, query.Gap{Object: "the local cluster's " + what, Reason: reasonForbidden, Message: "you may not read their addresses, so that nobody sees whether another cluster claims them: " + oneLine(err.Error())})
		case err != nil:
			return nil, nil, fmt.Errorf("reading the addresses of the local cluster's %s: %w", what, err)
		}
	}
	return endpoints.Fixed(own...), missing, nil
}

const (
	// progressEvery is how often is said what is waited for.
	progressEvery = 3 * time.Second
	// lastChance is how long a cluster that refuses something may take for the rest.
	lastChance = 2 * time.Second
)

// awaitListed waits until the catalog has all of every cluster, or knows why it never will, or ctx ends.
func (d *deps) awaitListed(ctx context.Context, catalog *endpoint.Catalog, expected []v1alpha1.RemoteCluster, changed <-chan struct{}) {
	begun := d.clock.Now()
	progress := d.clock.NewTicker(progressEvery)
	defer progress.Stop()
	enough := d.clock.NewTimer(lastChance)
	defer enough.Stop()
	var waiting []string // for; what is settled stays so
	for i := range expected {
		waiting = append(waiting, expected[i].Name)
	}
	for {
		late := d.clock.Since(begun) >= lastChance
		waiting = slices.DeleteFunc(waiting, func(name string) bool {
			state, known := catalog.State(name)
			return known && !unsettled(state, late)
		})
		if len(waiting) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-enough.C():
		case <-progress.C():
			some := waiting[:min(len(waiting), mostNoted)]
			more := ""
			if len(some) < len(waiting) {
				more = fmt.Sprintf(" and %d more", len(waiting)-len(some))
			}
			fmt.Fprintf(d.err, "listing the endpoints of %s%s …\n", strings.Join(some, ", "), more)
		}
	}
}

// unsettled says that more is to be learned of a cluster. late says that it had its last chance.
func unsettled(s endpoint.ClusterState, late bool) bool {
	if s.Synced {
		return false
	}
	for _, g := range s.Gaps {
		switch g.Reason {
		case endpoint.ReasonNotConnected, endpoint.ReasonOtherCluster, endpoint.ReasonDisabled:
			return false
		case endpoint.ReasonForbidden, endpoint.ReasonUnauthorized:
			return !late
		}
	}
	return true
}
