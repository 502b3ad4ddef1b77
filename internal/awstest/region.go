package awstest

import (
	"regexp"
	"strings"
)

// partition is where the hosts of its regions are.
type partition struct {
	regions   *regexp.Regexp
	domain    string
	dualStack string // "" where there is none
}

// partitions by name. Their rules are those of the SDK, which keeps them to itself.
var partitions = map[string]partition{
	"aws":        {regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$`), "amazonaws.com", "api.aws"},
	"aws-cn":     {regexp.MustCompile(`^cn-\w+-\d+$`), "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	"aws-us-gov": {regexp.MustCompile(`^us-gov-\w+-\d+$`), "amazonaws.com", "api.aws"},
	"aws-iso":    {regexp.MustCompile(`^us-iso-\w+-\d+$`), "c2s.ic.gov", ""},
	"aws-iso-b":  {regexp.MustCompile(`^us-isob-\w+-\d+$`), "sc2s.sgov.gov", ""},
	"aws-iso-e":  {regexp.MustCompile(`^eu-isoe-\w+-\d+$`), "cloud.adc-e.uk", ""},
	"aws-iso-f":  {regexp.MustCompile(`^us-isof-\w+-\d+$`), "csp.hci.ic.gov", ""},
	"aws-eusc":   {regexp.MustCompile(`^eusc-(de)-\w+-\d+$`), "amazonaws.eu", "api.amazonwebservices.eu"},
}

// partitionOf returns the name of a region's partition, "" for no region.
func partitionOf(region string) string {
	for name, p := range partitions {
		if p.regions.MatchString(region) {
			return name
		}
	}
	return ""
}

// hostScope says what a real host of AWS is for: sts.eu-north-1.amazonaws.com is sts in eu-north-1. The answer
// has no region for a global host, and ok is false for a host of somebody else.
func hostScope(host string) (service, region string, ok bool) {
	if host == "sts.amazonaws.com" { // the global one of the partition aws, which is in us-east-1
		return "sts", "us-east-1", true
	}
	service, rest, _ := strings.Cut(host, ".")
	service = strings.TrimSuffix(service, "-fips")
	if service == "iam" { // one for each partition: iam.amazonaws.com, iam.us-gov.amazonaws.com, …
		for _, p := range partitions {
			ok = ok || rest == p.domain || strings.HasSuffix(rest, "."+p.domain)
		}
		return service, "", ok
	}
	region, domain, _ := strings.Cut(rest, ".")
	p, known := partitions[partitionOf(region)]
	return service, region, known && (domain == p.domain || (p.dualStack != "" && domain == p.dualStack))
}
