// Package eks is the inventory of EKS clusters: from what the accounts of an EKSInventory answered, and
// the RemoteClusters that exist, to what is to be made, changed, disabled or deleted, and what is missing.
// Pure functions; the controller eksinventory asks AWS and acts.
package eks

import (
	"fmt"
	"strings"

	awsarn "github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

const (
	// ARNAnnotation holds, on a RemoteCluster of an EKSInventory, the ARN of its EKS cluster. By it and the
	// inventory's label the object is recognised, whatever its name; without one of them it is people's own.
	ARNAnnotation = "hawser.io/eks-arn"
	// DisabledAnnotation tells since when an EKSInventory has disabled a RemoteCluster whose cluster is gone.
	// Only such a one is enabled again when its cluster reappears.
	DisabledAnnotation = "hawser.io/disabled-by-inventory"
)

// LabelValue is that of the label hawser.io/inventory on the RemoteClusters of an EKSInventory.
func LabelValue(inventory string) string { return "eks." + inventory }

// Answer is what one account said of one region, or that it said nothing.
type Answer struct {
	// Account that was asked, and the AccountID that it turned out to be; empty where it is not known.
	Account   v1alpha1.EKSAccount
	AccountID string
	// Region that was asked. Empty where the identity itself could not be taken on.
	Region string
	// Complete says that Names are all the clusters that are there.
	Complete bool
	Names    []string
	// Clusters are those of Names that could be described.
	Clusters []aws.Cluster
	// Gaps say why Names or Clusters are not all that there is.
	Gaps []v1alpha1.InventoryGap
}

// Where names an account, region and cluster, as far as they are given.
func Where(account v1alpha1.EKSAccount, region, cluster string) string {
	parts := []string{aws.RefOf(account.IdentityRef).String()}
	if region != "" {
		parts = append(parts, region)
	}
	if cluster != "" {
		parts = append(parts, fmt.Sprintf("cluster %q", cluster))
	}
	return strings.Join(parts, ", ")
}

// place is where names of EKS clusters are unique.
type place struct{ accountID, region string }

// identity is the part of an ARN that tells an EKS cluster from all others.
type identity struct {
	place
	name string
}

// identityOf reads arn:<partition>:eks:<region>:<account>:cluster/<name>.
func identityOf(arn string) (identity, bool) {
	parsed, err := awsarn.Parse(arn)
	if err != nil {
		return identity{}, false
	}
	name, ok := strings.CutPrefix(parsed.Resource, "cluster/")
	return identity{place{parsed.AccountID, parsed.Region}, name}, ok && name != ""
}

// matches reports whether a cluster carries all the tags that are asked for.
func matches(tags map[string]string, c aws.Cluster) bool {
	for key, value := range tags {
		if got, ok := c.Tags[key]; !ok || (value != "" && got != value) {
			return false
		}
	}
	return true
}
