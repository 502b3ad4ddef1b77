// Package policytest draws fleets and FederatedNetworkPolicies at random, and says by brute force what such a policy
// means for each flow; its selectors are terms of internal/fedtest. What is rendered of it is held to that by evaluators
// of the targets: those of endpoint/policy's own tests, and a public one in conformance/netpol, which is a module of its
// own and can import no test. It is for tests only.
package policytest
