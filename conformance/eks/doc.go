// Package eks lets aws-iam-authenticator, which EKS runs, judge the tokens that we make: its verifier has
// to take those of every partition and refuse the mutated ones, and our verifying server, which other
// tests trust, has to judge as it does. It is a module of its own, so that the authenticator and what it
// needs do not get into ours. There is nothing here but tests: go test ./...
package eks
