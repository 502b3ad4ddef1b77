package awstest

import (
	"strings"
	"testing"
)

func TestPolicies(t *testing.T) {
	allow := func(rest string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + rest + `}]}`
	}
	tests := []struct {
		name     string
		document string
		context  map[string][]string
		want     decision
	}{
		{name: "nothing said", document: `{"Version":"2012-10-17","Statement":[]}`},
		{name: "the action and the resource", document: allow(`"Action":"eks:DescribeCluster","Resource":"arn:a:cluster/alpha"`), want: allowed},
		{name: "a single statement without a list", document: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, want: allowed},
		{name: "actions in any case", document: allow(`"Action":["eks:describecluster"],"Resource":"*"`), want: allowed},
		{name: "resources in their case", document: allow(`"Action":"*","Resource":"arn:a:cluster/Alpha"`)},
		{name: "wildcards", document: allow(`"Action":"eks:D*Cluster","Resource":"arn:*:cluster/al?ha"`), want: allowed},
		{name: "a wildcard that is too long", document: allow(`"Action":"eks:*","Resource":"arn:a:cluster/alpha?"`)},
		{name: "another action", document: allow(`"Action":"eks:DescribeClusters","Resource":"*"`)},
		{name: "all but an action", document: allow(`"NotAction":"iam:*","Resource":"*"`), want: allowed},
		{name: "all but that action", document: allow(`"NotAction":"eks:*","Resource":"*"`)},
		{name: "all but that resource", document: allow(`"Action":"*","NotResource":"arn:a:cluster/*"`)},
		{name: "a denial beside", want: denied, document: `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"eks:Describe*","Resource":"*"}]}`},
		{name: "a condition that holds", document: allow(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"AWS:Key":["a","b"]}}`),
			context: map[string][]string{"aws:key": {"b"}}, want: allowed},
		{name: "a condition that does not", document: allow(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:key":"a"}}`),
			context: map[string][]string{"aws:key": {"b"}}},
		{name: "a condition on what is not there", document: allow(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:key":"a"}}`)},
		{name: "a condition on what may not be there", document: allow(`"Action":"*","Resource":"*","Condition":{"StringEqualsIfExists":{"aws:key":"a"}}`), want: allowed},
		{name: "a negated condition on what is not there", document: allow(`"Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:key":"a"}}`), want: allowed},
		{name: "a negated condition that fails", document: allow(`"Action":"*","Resource":"*","Condition":{"StringNotLike":{"aws:key":"a*"}}`),
			context: map[string][]string{"aws:key": {"ab"}}},
		{name: "two conditions, of which one fails", document: allow(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:key":"a"},"StringLike":{"aws:other":"x*"}}`),
			context: map[string][]string{"aws:key": {"a"}, "aws:other": {"y"}}},
		{name: "patterns of ARNs", document: allow(`"Action":"*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/hawser"}}`),
			context: map[string][]string{"aws:principalarn": {"arn:aws:iam::111122223333:role/hawser"}}, want: allowed},
		{name: "all of several values", document: allow(`"Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:key":["a","b"]}}`),
			context: map[string][]string{"aws:key": {"a", "c"}}},
		{name: "any of several values", document: allow(`"Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:key":["a","b"]}}`),
			context: map[string][]string{"aws:key": {"a", "c"}}, want: allowed},
		{name: "any of no values", document: allow(`"Action":"*","Resource":"*","Condition":{"ForAnyValue:StringNotEquals":{"aws:key":["a"]}}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := identityPolicy(test.document)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.decide(question{action: "eks:DescribeCluster", resource: "arn:a:cluster/alpha", context: test.context}); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestBadPoliciesAreRefused(t *testing.T) {
	for document, want := range map[string]string{
		``:                                   "EOF",
		`[]`:                                 "cannot unmarshal",
		`{"Statement":[]}`:                   "version",
		`{"Version":"2012-10-17","Stmt":[]}`: "unknown field",
		`{"Version":"2012-10-17"}`:           "reading statements",
		`{"Version":"2012-10-17","Statement":[]} x`:                                                                          "something follows",
		statementJSON(`"Effect":"allow","Action":"*","Resource":"*"`):                                                        "effect",
		statementJSON(`"Effect":"Allow","Resource":"*"`):                                                                     "either Action or NotAction",
		statementJSON(`"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"`):                                        "either Action or NotAction",
		statementJSON(`"Effect":"Allow","Action":"assume role","Resource":"*"`):                                              "action",
		statementJSON(`"Effect":"Allow","Action":"*"`):                                                                       "resources",
		statementJSON(`"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"`):                                        "principal",
		statementJSON(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.1"}}`): "not played",
		statementJSON(`"Effect":"Allow","Action":"*","Resources":"*"`):                                                       "unknown field",
	} {
		if _, err := identityPolicy(document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", document, err, want)
		}
	}
}

func statementJSON(rest string) string {
	return `{"Version":"2012-10-17","Statement":[{` + rest + `}]}`
}

func TestHostScope(t *testing.T) {
	for host, want := range map[string]string{
		"sts.eu-north-1.amazonaws.com":          "sts eu-north-1 true",
		"sts-fips.us-gov-west-1.amazonaws.com":  "sts us-gov-west-1 true",
		"eks.eu-north-1.api.aws":                "eks eu-north-1 true",
		"sts.cn-north-1.amazonaws.com.cn":       "sts cn-north-1 true",
		"sts.cn-north-1.amazonaws.com":          "sts cn-north-1 false",
		"sts.eu-north-1.amazonaws.com.evil.org": "sts eu-north-1 false",
		"sts.eu-north-1.amazonaws.com:443":      "sts eu-north-1 false",
		"sts.not-a-region.amazonaws.com":        "sts not-a-region false",
		"sts.amazonaws.com":                     "sts us-east-1 true",
		"iam.amazonaws.com":                     "iam  true",
		"iam.us-gov.amazonaws.com":              "iam  true",
		"iam.example.org":                       "iam  false",
		"":                                      "  false",
	} {
		service, region, ok := hostScope(host)
		if got := strings.Join([]string{service, region, map[bool]string{true: "true", false: "false"}[ok]}, " "); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}
