package bootstrap

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/aws"
)

// What IAM and CloudFormation take.
var (
	accountPattern    = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern     = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)
	roleNamePattern   = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	pathPattern       = regexp.MustCompile(`^/([\w+=,.@-]+/)*$`)
	rolePattern       = regexp.MustCompile(`^([\w+=,.@-]+/)*[\w+=,.@-]{1,64}$`) // path and name
	roleARNPattern    = regexp.MustCompile(`^arn:([a-z0-9-]+):iam::([0-9]{12}):role/(([\w+=,.@-]+/)*[\w+=,.@-]{1,64})$`)
	policyARNPattern  = regexp.MustCompile(`^arn:([a-z0-9-]+):iam::([0-9]{12}|aws):policy/([\w+=,.@-]+/)*[\w+=,.@-]{1,128}$`)
	policyNamePattern = regexp.MustCompile(`^([\w+=,.@-]+/)*[\w+=,.@-]{1,128}$`)
	stackNamePattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,99}$`)
	tagKeyPattern     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/+@-]{1,128}$`)
	tagValuePattern   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$`)
	arnPattern        = regexp.MustCompile(`^arn:([^:]*):`)
)

// checkPartition looks at a partition and a region, and returns both with their defaults. IAM has no regions,
// but a stack is in one: by default in that which Hawser takes where nobody names one.
func (c *checker) checkPartition(path, name, regionPath, region string) (partitionName, regionName string) {
	if name == "" {
		name = "aws"
	}
	home := aws.DefaultRegion(name)
	if aws.PartitionOfRegion(home) != name {
		c.add(path, "there is no partition %q: there is aws, aws-cn, aws-us-gov and a few more", name)
		return name, region
	}
	switch {
	case region == "":
		region = home
	case !regionPattern.MatchString(region):
		c.add(regionPath, "%q is not a region, such as %s", region, home)
	case aws.PartitionOfRegion(region) != name:
		c.add(regionPath, "region %s is in partition %s, not in %s", region, aws.PartitionOfRegion(region), name)
	}
	return name, region
}

func (c *checker) checkTags(path string, all map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		switch {
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			c.add(join(path, key), "tags that begin with aws: belong to AWS")
		case !tagKeyPattern.MatchString(key):
			c.add(join(path, key), "the key of a tag has up to 128 letters, digits, spaces and any of _.:/+@-")
		case !tagValuePattern.MatchString(all[key]):
			c.add(join(path, key), "the value of a tag has up to 256 letters, digits, spaces and any of _.:/=+@-")
		}
	}
}
