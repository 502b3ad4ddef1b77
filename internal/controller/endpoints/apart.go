package endpoints

import (
	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// Tell tells a catalog of a cluster what the controller would, for those who follow clusters apart from a manager: a
// command that asks by itself. id is which cluster its connection found, empty where there is none; follow makes what
// is followed of what is known, with its Config, and is called only where the cluster is to be followed.
func Tell(c Catalog, rc *v1alpha1.RemoteCluster, id string, own *Hosts, follow func(endpoint.Cluster) error) error {
	p := decide(rc, id, own)
	switch {
	case p.barred:
		c.Bar(p.cluster, p.why)
	case p.why.Reason != "":
		c.Suspend(p.cluster, p.why)
	default:
		return follow(p.cluster)
	}
	return nil
}
