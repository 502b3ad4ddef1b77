package fleet

import (
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Request names an object of a cluster. It is what controllers over a fleet reconcile.
type Request struct {
	// Cluster is the cluster's name in the fleet. Empty means the local cluster, which is reached through
	// Fleet.Manager.
	Cluster string
	// Request names the object in the cluster.
	reconcile.Request
}

// NewRequest names an object of a cluster.
func NewRequest(cluster, namespace, name string) Request {
	return Request{Cluster: cluster, Request: reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// String returns cluster//namespace/name.
func (r Request) String() string { return r.Cluster + "//" + r.Request.String() }
