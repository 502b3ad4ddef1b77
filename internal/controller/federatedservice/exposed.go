package federatedservice

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
)

// exposed are the ports that an import has by what the slices of all clusters say, and this export of the key's cluster: those
// that the leader gives it. An import that is not ours has what it has; no slice is of use for that.
func (c *Controller) exposed(key service.Key, export *service.Export) []mcs.ServicePort {
	exports := c.exports(key.Whole(), key.Cluster)
	export.Cluster = key.Cluster
	return service.Fold(append(exports, *export)).Ports
}

// sighting is when an export was first seen, of the cluster with that id.
type sighting struct {
	id string
	at metav1.Time
}

// seen is when the export of a key was first seen here: as its slices say, unless they are of another cluster, or were deleted.
func (c *Controller) seen(key service.Key, of service.State, was *service.Export) metav1.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, known := c.first[key]
	if !known || first.id != of.Cluster.ID {
		first = sighting{of.Cluster.ID, metav1.NewTime(c.options.Clock.Now().UTC().Truncate(time.Second))}
		if was != nil && !was.Seen.IsZero() && !of.Another {
			first.at = was.Seen
		}
		c.first[key] = first
	}
	return first.at
}

// exports are those that the slices of the clusters tell of, but for one.
func (c *Controller) exports(whole service.Key, but string) (all []service.Export) {
	for _, cluster := range c.local.Clusters(whole) {
		if cluster == but {
			continue
		}
		if source := service.SourceOf(whole.Of(cluster), c.local.Slices(whole.Of(cluster))); source.Export != nil {
			all = append(all, *source.Export)
		}
	}
	return all
}
