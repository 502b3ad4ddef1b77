// Package netpol lets a public evaluator of NetworkPolicy, the matcher of Cyclonus, judge what FederatedNetworkPolicies
// become, so that our reading of Kubernetes' documentation is not the only one. It is a module of its own, so that
// Cyclonus and what it needs do not get into ours. There is nothing here but tests: go test ./...
package netpol
