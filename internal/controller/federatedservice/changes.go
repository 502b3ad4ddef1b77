package federatedservice

import (
	"github.com/hawser-io/hawser/endpoint/service"
)

// Own asks for a look at what concerns a cluster, which is this replica's from now on; with the empty name at
// everything. It does not wait.
func (c *Controller) Own(cluster string) {
	if cluster == "" {
		c.everything()
		return
	}
	c.clusterChanged(cluster, "", "")
}

// Orphaned asks for a look at what a cluster that there is no more has left; with the empty name at everything. It does
// not wait.
func (c *Controller) Orphaned(cluster string) { c.Own(cluster) }

func (c *Controller) queueSlices(key service.Key) { c.slices.AddAfter(key, c.options.Window) }

func (c *Controller) queueFold(key service.Key) {
	if c.leads() {
		c.folds.AddAfter(key, c.options.Window)
	}
}

// clusterChanged is told of what is another now in a cluster.
func (c *Controller) clusterChanged(cluster, namespace, name string) {
	if c.local == nil {
		return // being made
	}
	if namespace == "" {
		c.wholeCluster(cluster)
		return
	}
	for _, key := range c.local.Selecting(namespace) {
		c.queueSlices(key.Of(cluster))
	}
	c.queueSlices(service.Key{Import: true, Namespace: namespace, Name: name, Cluster: cluster})
}

// wholeCluster asks for a look at all that concerns a cluster: what it exports, what selects, what is written.
func (c *Controller) wholeCluster(cluster string) {
	for _, key := range c.local.Selecting("") {
		c.queueSlices(key.Of(cluster))
	}
	c.queueExports(cluster, "")
	of, _ := c.local.Known()
	for _, key := range of {
		if key.Cluster == cluster {
			c.queueSlices(key)
		}
	}
}

func (c *Controller) queueExports(cluster, namespace string) {
	s, ok := c.clusters.State(cluster)
	if !ok || s.View == nil {
		return
	}
	for _, name := range s.View.Exports(namespace) {
		c.queueSlices(service.Key{Import: true, Namespace: name.Namespace, Name: name.Name, Cluster: cluster})
	}
}

// localChanged is told of what is another now in the local cluster.
func (c *Controller) localChanged(key service.Key) {
	switch {
	case key == (service.Key{}):
		c.everything()
	case key.Name == "": // a namespace
		for _, cluster := range c.clusters.Names() {
			c.queueExports(cluster, key.Namespace)
		}
	case key.Cluster != "":
		c.queueSlices(key)
		c.queueFold(key.Whole())
	default:
		for _, cluster := range append(c.clusters.Names(), c.local.Clusters(key)...) {
			c.queueSlices(key.Of(cluster))
		}
		c.queueFold(key)
	}
}

func (c *Controller) everything() {
	if !c.local.Synced(false) {
		return // when it is, we are told
	}
	of, whole := c.local.Known()
	for _, key := range of {
		c.queueSlices(key)
	}
	for _, key := range whole {
		c.queueFold(key)
	}
	for _, cluster := range c.clusters.Names() {
		c.wholeCluster(cluster)
	}
}
