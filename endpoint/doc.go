// Package endpoint collects the endpoints of a cluster: pods and hosts with their labels and addresses. It
// follows the cluster's objects through interruptions into its part of an index (endpoint/index), takes from a
// remote cluster only the addresses that it may contribute, and says what is missing and how old what it has
// may be. What endpoints are turned into is for endpoint/policy and endpoint/service.
package endpoint
