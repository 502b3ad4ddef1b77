package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

// What stands for AWS: two accounts, and an EKS cluster in the second, which delta plays.
const (
	managementAccount = "111122223333"
	targetAccount     = "444455556666"
	region            = "eu-north-1"
	eksCluster        = "delta"
	externalID        = "of-the-demo"
)

// cloud is an AWS on this machine, which verifies every signature, and the way through it.
type cloud struct {
	server   *awstest.Server
	cluster  *awstest.Cluster
	operator map[string]string // environment of the person who may make access entries
	hop, end *awstest.Role
}

// newCloud makes the accounts, and puts the manager's own identity into our environment, as Pod Identity
// or IRSA would. The file for the API server's webhook is in dir.
func newCloud(dir string) (*cloud, error) {
	server, err := awstest.New(awstest.Options{Region: region})
	if err != nil {
		return nil, fmt.Errorf("starting what stands for AWS: %w", err)
	}
	management, target := server.Account(managementAccount), server.Account(targetAccount)
	pod := management.Role("pod", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	c := &cloud{server: server}
	c.hop = management.Role("hawser", awstest.Trust{Principals: []string{pod.ARN()}})
	c.end = target.Role("hawser", awstest.Trust{Principals: []string{c.hop.ARN()}, ExternalID: externalID})
	c.hop.Allow("sts:AssumeRole", c.end.ARN())
	c.cluster = target.EKS(region, eksCluster, awstest.EKSOptions{})
	person := target.User("operator")
	person.Allow("eks:*")
	c.operator = server.Env()
	maps.Copy(c.operator, awstest.CredentialEnv(person.Keys()))
	for _, env := range []map[string]string{server.Env(), awstest.CredentialEnv(pod.Session("manager", time.Hour))} {
		for name, value := range env {
			if err := os.Setenv(name, value); err != nil {
				return nil, fmt.Errorf("setting %s: %w", name, err)
			}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the demo's directory: %w", err)
	}
	if err := os.WriteFile(webhookFile(dir), c.cluster.WebhookKubeconfig(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the webhook's kubeconfig: %w", err)
	}
	return c, nil
}

func webhookFile(dir string) string { return filepath.Join(dir, "eks-webhook.kubeconfig") }

// serve lets an API server be what EKS says about the cluster.
func (c *cloud) serve(api *fleettest.Cluster) { c.cluster.SetEndpoint(api.Server, api.CA()) }

// identities are the two hops, as objects of the local cluster.
func (c *cloud) identities() string {
	return fmt.Sprintf(`apiVersion: %[1]s
kind: AWSIdentity
metadata: {name: hub}
spec:
  type: role
  role: {roleARN: %[2]q}
---
apiVersion: %[1]s
kind: AWSIdentity
metadata: {name: target}
spec:
  type: role
  role: {roleARN: %[3]q, externalID: %[4]s}
  sourceIdentityRef: {name: hub}
`, v1alpha1.GroupVersion, c.hop.ARN(), c.end.ARN(), externalID)
}

// letIn makes the access entry by which the role of the other account may come into the EKS cluster.
func (w *world) letIn(ctx context.Context) error {
	return w.hawser(ctx, everything, "aws", "grant", "--cluster", eksCluster, "--region", region, "--role", w.cloud.end.ARN(), "--local-name", primary)
}
