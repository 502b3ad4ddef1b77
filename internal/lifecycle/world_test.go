package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"github.com/hawser-io/hawser/fleettest"
)

// everything is every object of every resource type that can be listed: type, namespace and name.
type everything map[string]bool

// look lists a whole cluster.
func look(t *testing.T, c *fleettest.Cluster) everything {
	t.Helper()
	found, err := list(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func list(t *testing.T, c *fleettest.Cluster) (everything, error) {
	config := c.AdminConfig()
	config.QPS = -1
	kinds, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking for the types: %w", err)
	}
	client, found := dynamic.NewForConfigOrDie(config), everything{}
	for _, group := range kinds {
		gv, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range group.APIResources {
			if !slices.Contains(kind.Verbs, "list") {
				continue
			}
			all, err := client.Resource(gv.WithResource(kind.Name)).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("listing %s of %s: %w", kind.Name, group.GroupVersion, err)
			}
			for _, obj := range all.Items {
				found[strings.TrimPrefix(fmt.Sprintf("%s %s/%s", schema.GroupResource{Group: gv.Group, Resource: kind.Name}, obj.GetNamespace(), obj.GetName()), " ")] = true
			}
		}
	}
	return found, nil
}

// kubernetesOwn are what Kubernetes makes by itself, and what stays of a release by Helm's convention: the namespace,
// which --create-namespace made, and the kinds.
func kubernetesOwn(object string) bool {
	for _, prefix := range []string{"events ", "events.events.k8s.io ", "nodes ", "leases.coordination.k8s.io kube-", "apiservices.apiregistration.k8s.io /v1alpha1.hawser.io"} {
		if strings.HasPrefix(object, prefix) {
			return true
		}
	}
	switch object {
	case "namespaces /hawser", "serviceaccounts hawser/default", "configmaps hawser/kube-root-ca.crt":
		return true
	}
	return strings.HasPrefix(object, "customresourcedefinitions.apiextensions.k8s.io /") && strings.HasSuffix(object, ".hawser.io")
}

// asBefore waits until a cluster holds nothing that it did not hold before, but for what people wrote.
func asBefore(t *testing.T, c *fleettest.Cluster, before everything, written ...string) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		now, err := list(t, c)
		if err != nil {
			return err
		}
		maps.DeleteFunc(now, func(object string, _ bool) bool {
			return before[object] || kubernetesOwn(object) || slices.Contains(written, object)
		})
		if len(now) > 0 {
			return fmt.Errorf("cluster %s still has %d objects: %s", c.Name, len(now), strings.Join(slices.Sorted(maps.Keys(now)), "; "))
		}
		return nil
	})
}

// patience is how long a test waits for what should take some seconds. The garbage collector looks for new kinds
// every thirty, and collects nothing for owners of a kind that it does not know yet.
const patience = 90 * time.Second
