package endpoints

import (
	"errors"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/endpoint"
)

// plan is what becomes of a cluster: it is followed, or not, because of why; and where it is barred nothing of it stays.
type plan struct {
	cluster endpoint.Cluster
	why     endpoint.Gap
	barred  bool
}

// What a RemoteCluster says of a cluster that is not asked.
var (
	NoCapability = endpoint.Gap{Reason: endpoint.ReasonNoCapability, Message: "spec.capabilities of its RemoteCluster lacks endpoints"}
	Disabled     = endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "spec.disabled of its RemoteCluster is true"}
)

// Contributes says whether a cluster is to contribute endpoints at all: the local one always is.
func Contributes(rc *v1alpha1.RemoteCluster) bool {
	return rc.IsLocal() || slices.Contains(rc.Spec.Capabilities, v1alpha1.CapabilityEndpoints)
}

// decide says what becomes of a cluster that its connection has found to be id. What its RemoteCluster says is definite: without the capability, or without endpointCIDRs, it contributes
// nothing. What may pass leaves what is known as it is.
func decide(rc *v1alpha1.RemoteCluster, id string, hosts *Hosts) plan {
	local := rc.IsLocal()
	p := plan{cluster: endpoint.Cluster{Name: rc.Name, ID: id, Labels: rc.Labels, Local: local}}
	bounds, err := endpoint.ParseBounds(rc.Spec.EndpointCIDRs)
	own, known := hosts.Addresses()
	bounds.Local, bounds.Never = local, own
	p.cluster.Bounds = bounds
	bar := func(why endpoint.Gap) plan {
		p.why, p.barred = why, true
		return p
	}
	unbounded := func(message string) plan {
		return bar(endpoint.Gap{Reason: endpoint.ReasonUnbounded, Message: "spec.endpointCIDRs of its RemoteCluster " + message})
	}
	switch {
	case !Contributes(rc):
		return bar(NoCapability)
	case err != nil:
		return unbounded("cannot be read: " + err.Error())
	case !local && len(rc.Spec.EndpointCIDRs) == 0:
		return unbounded("is empty: no address may be contributed")
	case rc.Spec.Disabled:
		p.why = Disabled
	case !local && !known: // when they are, we are told
		p.why = endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "the addresses of the local cluster's nodes and API servers, which no other may claim, are not known yet"}
	case id == "":
		p.why = endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "there is no connection yet that has found which cluster it is"}
	}
	return p
}

// doubt is what a probe says of the connection, the same for as long as it is the same trouble. What is wrong in detail
// stands in the conditions of the RemoteCluster.
func doubt(p connection.Probe) endpoint.Gap {
	switch {
	case p.Err == nil:
		return endpoint.Gap{}
	case errors.Is(p.Err, connection.ErrWrongCluster):
		return endpoint.Gap{Reason: endpoint.ReasonOtherCluster, Message: "another cluster answers under this name"}
	case errors.Is(p.Err, credential.ErrRefused), errors.Is(p.Err, connection.ErrNoCredential):
		return endpoint.Gap{Reason: endpoint.ReasonUnauthorized, Message: "the cluster does not accept the credential"}
	}
	return endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "the cluster does not answer"}
}
