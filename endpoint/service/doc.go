// Package service makes of the services of several clusters what one cluster needs to use them: EndpointSlices
// of a local Service that selects services by label (Calico's federated services), and of those that are exported
// (the multi-cluster services API, KEP-1645). [Follower] keeps a [View] of one cluster's services, endpoints and
// exports; everything else decides, and does no I/O: which services back which ([View.Backing]), what endpoints
// come of them ([Collect]), which slice holds which of them ([Assign]), and how exports that differ become one
// import ([Fold]). It writes nothing: a controller does.
//
// A slice holds endpoints of one cluster, and is written by whoever owns the connection to that. What the exports
// of a cluster say stands on its slices, so that an import is made of the slices alone.
package service
