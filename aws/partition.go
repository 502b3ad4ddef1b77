package aws

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// standardPartition is the one that most of the world is in.
const standardPartition = "aws"

// partitions other than the standard one, by the beginning of their regions' names, and the region
// whose STS is asked where nobody names one. The SDK keeps the same table to itself.
var partitions = []struct{ name, prefix, region string }{
	{"aws-cn", "cn-", "cn-northwest-1"},
	{"aws-us-gov", "us-gov-", "us-gov-west-1"},
	{"aws-iso", "us-iso-", "us-iso-east-1"},
	{"aws-iso-b", "us-isob-", "us-isob-east-1"},
	{"aws-iso-e", "eu-isoe-", "eu-isoe-west-1"},
	{"aws-iso-f", "us-isof-", "us-isof-south-1"},
	{"aws-eusc", "eusc-", "eusc-de-east-1"},
}

// PartitionOfRegion is the partition that a region lies in: aws, unless its name says otherwise.
func PartitionOfRegion(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return standardPartition
}

// PartitionOfARN is the partition that an ARN names.
func PartitionOfARN(s string) (string, error) {
	parsed, err := arn.Parse(s)
	if err != nil || !knownPartition(parsed.Partition) {
		return "", fmt.Errorf("reading %q: it is no ARN of a known partition", s)
	}
	return parsed.Partition, nil
}

// DefaultRegion is the region whose STS is asked in a partition where nobody names one.
func DefaultRegion(partition string) string {
	for _, p := range partitions {
		if p.name == partition {
			return p.region
		}
	}
	return "us-east-1"
}

func knownPartition(name string) bool {
	for _, p := range partitions {
		if p.name == name {
			return true
		}
	}
	return name == standardPartition
}

// accountOf is the account that an ARN names; empty where it names none.
func accountOf(s string) string {
	parsed, err := arn.Parse(s)
	if err != nil {
		return ""
	}
	return parsed.AccountID
}
