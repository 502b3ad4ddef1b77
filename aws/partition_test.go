package aws

import "testing"

func TestPartitions(t *testing.T) {
	tests := []struct{ region, partition, host string }{
		{"us-east-1", "aws", "sts.us-east-1.amazonaws.com"},
		{"eu-north-1", "aws", "sts.eu-north-1.amazonaws.com"},
		{"mx-central-1", "aws", "sts.mx-central-1.amazonaws.com"},
		{"cn-north-1", "aws-cn", "sts.cn-north-1.amazonaws.com.cn"},
		{"us-gov-east-1", "aws-us-gov", "sts.us-gov-east-1.amazonaws.com"},
		{"us-iso-west-1", "aws-iso", "sts.us-iso-west-1.c2s.ic.gov"},
		{"us-isob-east-1", "aws-iso-b", "sts.us-isob-east-1.sc2s.sgov.gov"},
		{"eu-isoe-west-1", "aws-iso-e", "sts.eu-isoe-west-1.cloud.adc-e.uk"},
		{"us-isof-south-1", "aws-iso-f", "sts.us-isof-south-1.csp.hci.ic.gov"},
		{"eusc-de-east-1", "aws-eusc", "sts.eusc-de-east-1.amazonaws.eu"},
	}
	t.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
	t.Setenv("AWS_USE_FIPS_ENDPOINT", "true")
	for _, test := range tests {
		t.Run(test.region, func(t *testing.T) {
			if got := PartitionOfRegion(test.region); got != test.partition {
				t.Errorf("PartitionOfRegion() = %s, want %s", got, test.partition)
			}
			if got := PartitionOfRegion(DefaultRegion(test.partition)); got != test.partition {
				t.Errorf("the default region of %s lies in %s", test.partition, got)
			}
			if got, err := PartitionOfARN("arn:" + test.partition + ":iam::111122223333:role/hub"); err != nil || got != test.partition {
				t.Errorf("PartitionOfARN() = %s, %v; want %s", got, err, test.partition)
			}
			host, err := TokenHost(test.region)
			if err != nil || host != test.host {
				t.Errorf("TokenHost() = %s, %v; want %s", host, err, test.host)
			}
		})
	}
}

func TestTokenHostRefusesWhatIsNoRegion(t *testing.T) {
	for _, region := range []string{"", "aws-global", "us-east-1.evil.example", "us-east-1/", "US-EAST-1", "us-east-1#"} {
		if host, err := TokenHost(region); err == nil {
			t.Errorf("TokenHost(%q) = %q, want an error", region, host)
		}
	}
}

func TestPartitionOfARNRefuses(t *testing.T) {
	for _, arn := range []string{"", "hub", "arn:aws-mars:iam::111122223333:role/hub", "arn:aws"} {
		if got, err := PartitionOfARN(arn); err == nil {
			t.Errorf("PartitionOfARN(%q) = %q, want an error", arn, got)
		}
	}
}
