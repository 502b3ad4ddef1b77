package awstest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/hawser-io/hawser/internal/awstest"
)

func TestReviewFindsTheUser(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	cluster.Entry(w.role.ARN(), []string{"hawser-members"}, "")
	creds := w.role.Session("jane@example.com", time.Hour)
	got, err := cluster.Review(token(t, creds, "alpha", start, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := authenticationv1.UserInfo{
		Username: "arn:aws:sts::444455556666:assumed-role/hawser/jane-example.com",
		UID:      "aws-iam-authenticator:444455556666:" + w.role.ID(),
		Groups:   []string{"hawser-members"},
		Extra: map[string]authenticationv1.ExtraValue{
			"arn":          {"arn:aws:sts::444455556666:assumed-role/hawser/jane@example.com"},
			"canonicalArn": {"arn:aws:iam::444455556666:role/hawser"},
			"principalId":  {w.role.ID()},
			"sessionName":  {"jane@example.com"},
			"accessKeyId":  {creds.AccessKeyID},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("user (-want +got)\n%s", diff)
	}
	cluster.Entry(w.role.ARN(), nil, "{{AccountID}}:{{SessionNameRaw}}")
	if got, err := cluster.Review(token(t, creds, "alpha", start, nil)); got.Username != "444455556666:jane@example.com" {
		t.Errorf("user of a template %q (%v)", got.Username, err)
	}
	cluster.Entry(w.user.ARN(), []string{"people"}, "")
	if got, err := cluster.Review(token(t, w.user.Keys(), "alpha", start, nil)); got.Username != w.user.ARN() || !cmp.Equal(got.Groups, []string{"people"}) {
		t.Errorf("an IAM user is %+v (%v)", got, err)
	}
}

func TestMutatedTokensAreRefused(t *testing.T) {
	// each changes the URL that is in the token
	replace := func(from, to string) func(string) string {
		return func(url string) string { return strings.Replace(url, from, to, 1) }
	}
	appended := func(more string) func(string) string { return func(url string) string { return url + more } }
	tests := []struct {
		name   string
		mutate func(url string) string
		want   string
	}{
		{"nothing changed", func(url string) string { return url }, ""},
		{"another scheme", replace("https://", "http://"), "Malformed"},
		{"the host of somebody else", replace("sts.eu-north-1.amazonaws.com", "sts.eu-north-1.example.com"), "Malformed"},
		{"a host that begins like one", replace("amazonaws.com", "amazonaws.com.example.com"), "Malformed"},
		{"a port", replace("amazonaws.com", "amazonaws.com:443"), "Malformed"},
		{"a user", replace("https://", "https://sts.eu-north-1.amazonaws.com@"), "Malformed"},
		{"a host of another partition", replace("sts.eu-north-1.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn"), "Malformed"},
		{"a host of another service", replace("https://sts.", "https://eks."), "Malformed"},
		{"another region's host", replace("sts.eu-north-1", "sts.eu-west-1"), "SignatureDoesNotMatch"},
		{"the global host", replace("sts.eu-north-1.", "sts."), "SignatureDoesNotMatch"},
		{"another path", replace("amazonaws.com/", "amazonaws.com/x"), "Malformed"},
		{"a fragment", appended("#x"), "Malformed"},
		{"a key that is not allowed", appended("&X-Other=1"), "Malformed"},
		{"a key twice", appended("&Version=2011-06-15"), "Malformed"},
		{"a key twice in another case", appended("&version=2011-06-15"), "Malformed"},
		{"another action", replace("Action=GetCallerIdentity", "Action=AssumeRole"), "Malformed"},
		{"another version", replace("2011-06-15", "2010-05-08"), "InvalidAction"},
		{"the cluster's name not signed", replace("host%3Bx-k8s-aws-id", "host"), "Malformed"},
		{"the host not signed", replace("host%3Bx-k8s-aws-id", "x-k8s-aws-id"), "SignatureDoesNotMatch"},
		{"one more header that was not signed", replace("host%3Bx-k8s-aws-id", "host%3Bx-k8s-aws-id%3Bx-other"), "SignatureDoesNotMatch"},
		{"no expiry", replace("&X-Amz-Expires=60", ""), "Malformed"},
		{"an expiry of more than fifteen minutes", replace("X-Amz-Expires=60", "X-Amz-Expires=901"), "Malformed"},
		{"a negative expiry", replace("X-Amz-Expires=60", "X-Amz-Expires=-1"), "Malformed"},
		{"another expiry", replace("X-Amz-Expires=60", "X-Amz-Expires=900"), "SignatureDoesNotMatch"},
		{"a date that is none", replace("X-Amz-Date=2030", "X-Amz-Date=x"), "Malformed"},
		{"a later date", replace("X-Amz-Date=20300506T070809Z", "X-Amz-Date=20300506T070909Z"), "SignatureDoesNotMatch"},
		{"another algorithm", replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "IncompleteSignature"},
		{"another region in the scope", replace("%2Feu-north-1%2F", "%2Feu-west-1%2F"), "SignatureDoesNotMatch"},
		{"no signature", replace("X-Amz-Signature=", "X-Amz-Signature=&x="), "Malformed"},
		{"another session token", replace("X-Amz-Security-Token=I", "X-Amz-Security-Token=J"), "InvalidClientTokenId"},
		{"a signature in upper case", func(url string) string {
			i := strings.Index(url, "X-Amz-Signature=") + len("X-Amz-Signature=")
			return url[:i] + strings.ToUpper(url[i:])
		}, "SignatureDoesNotMatch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
			cluster.Entry(w.role.ARN(), nil, "")
			creds := w.mustAssume(t, w.user.Keys(), w.role, fleetID)
			signed := presign(t, creds, "alpha", start, nil)
			mutated := test.mutate(signed)
			if mutated == signed && test.want != "" {
				t.Fatal("the mutation changed nothing")
			}
			_, err := cluster.Review(encodeToken(mutated))
			if code(err) != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), creds.SessionToken) || strings.Contains(err.Error(), mutated)) {
				t.Errorf("the refusal shows the token: %v", err)
			}
		})
	}
}

func TestTokenEnvelopes(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	cluster.Entry(w.role.ARN(), nil, "")
	creds := w.role.Session("x", time.Hour)
	url := presign(t, creds, "alpha", start, nil)
	for name, token := range map[string]string{
		"empty":                "",
		"without the prefix":   base64.RawURLEncoding.EncodeToString([]byte(url)),
		"of another version":   "k8s-aws-v2." + base64.RawURLEncoding.EncodeToString([]byte(url)),
		"with padding":         encodeToken(url) + "=",
		"of another alphabet":  "k8s-aws-v1." + strings.Repeat("+", 40),
		"with no URL":          encodeToken("\x00://"),
		"too large":            encodeToken(url + strings.Repeat("x", 4096)),
		"with a broken query":  encodeToken(url + "&%zz"),
		"a JSON web token":     "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
		"a token and one more": encodeToken(url) + "." + encodeToken(url),
	} {
		if _, err := cluster.Review(token); code(err) != "Malformed" {
			t.Errorf("%s: got %v, want Malformed", name, err)
		}
	}
}

func TestTokensAreForOneCluster(t *testing.T) {
	w := newWorld(t)
	alpha := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	beta := w.target.EKS(region, "beta", awstest.EKSOptions{})
	twin := w.hub.EKS(region, "alpha", awstest.EKSOptions{}) // of the same name in another account
	for _, cluster := range []*awstest.Cluster{alpha, beta, twin} {
		cluster.Entry(w.role.ARN(), nil, "")
	}
	signed := token(t, w.role.Session("x", time.Hour), "alpha", start, nil)
	if _, err := alpha.Review(signed); err != nil {
		t.Error(err)
	}
	if _, err := beta.Review(signed); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("at another cluster: got %v, want SignatureDoesNotMatch", err)
	}
	if _, err := twin.Review(signed); err != nil {
		t.Errorf("a cluster of the same name believes the token, as EKS does: got %v", err)
	}
}

func TestTokensAge(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	cluster.Entry(w.role.ARN(), nil, "")
	signed := token(t, w.role.Session("x", 2*time.Hour), "alpha", start, nil)
	future := token(t, w.role.Session("x", 2*time.Hour), "alpha", start.Add(time.Hour), nil)
	short := token(t, w.role.Session("x", 10*time.Minute), "alpha", start, nil)
	if _, err := cluster.Review(future); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("of the future: got %v, want SignatureDoesNotMatch", err)
	}
	w.step(10 * time.Minute)
	if _, err := cluster.Review(short); code(err) != "ExpiredToken" {
		t.Errorf("after its session: got %v, want ExpiredToken", err)
	}
	w.step(5 * time.Minute)
	if _, err := cluster.Review(signed); err != nil {
		t.Errorf("after 15 minutes: %v", err)
	}
	w.step(time.Second)
	if _, err := cluster.Review(signed); code(err) != "Malformed" {
		t.Errorf("after more than 15 minutes: got %v, want Malformed", err)
	}
}

func TestMapping(t *testing.T) {
	const unmapped = "NotMapped"
	tests := []struct {
		name    string
		mode    string
		prepare func(*world, *awstest.Cluster, *awstest.Role)
		want    string // user name or code
	}{
		{name: "nothing", want: unmapped},
		{name: "an entry", prepare: entryFor, want: "entry"},
		{name: "an entry that was removed", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			entryFor(w, c, r)
			c.RemoveEntry(r.ARN())
		}, want: unmapped},
		{name: "an entry of the role that was there before", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			entryFor(w, c, r)
			r.Delete()
		}, want: unmapped},
		{name: "an entry, but the cluster was made anew", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			entryFor(w, c, r)
			c.Recreate(awstest.EKSOptions{})
		}, want: unmapped},
		{name: "an entry, but the cluster is gone", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			entryFor(w, c, r)
			c.Delete()
		}, want: "ResourceNotFoundException"},
		{name: "an entry in mode CONFIG_MAP", mode: "CONFIG_MAP", prepare: entryFor, want: unmapped},
		{name: "the config map in mode API", mode: "API", prepare: configMapFor, want: unmapped},
		{name: "the config map in mode CONFIG_MAP", mode: "CONFIG_MAP", prepare: configMapFor, want: "config-map"},
		{name: "the config map in both", mode: "API_AND_CONFIG_MAP", prepare: configMapFor, want: "config-map"},
		{name: "the config map after the role was made anew", mode: "CONFIG_MAP", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			configMapFor(w, c, r)
			r.Delete()
		}, want: "config-map"},
		{name: "the config map with a path in the ARN", mode: "CONFIG_MAP", prepare: func(_ *world, c *awstest.Cluster, r *awstest.Role) {
			c.AWSAuth(r.ARN(), "config-map")
		}, want: unmapped},
		{name: "the entry before the config map", mode: "API_AND_CONFIG_MAP", prepare: func(w *world, c *awstest.Cluster, r *awstest.Role) {
			configMapFor(w, c, r)
			entryFor(w, c, r)
		}, want: "entry"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{AuthenticationMode: test.mode})
			role := w.target.Role("path/to/member", awstest.Trust{})
			if test.prepare != nil {
				test.prepare(w, cluster, role)
			}
			role = w.target.Role("path/to/member", awstest.Trust{}) // anew, where it was deleted
			got, err := cluster.Review(token(t, role.Session("x", time.Hour), "alpha", start, nil))
			if got.Username+code(err) != test.want {
				t.Errorf("got user %q and %v, want %q", got.Username, err, test.want)
			}
			if awstest.IsNotMapped(err) != (test.want == unmapped) {
				t.Errorf("IsNotMapped(%v) is wrong", err)
			}
		})
	}
}

func entryFor(_ *world, c *awstest.Cluster, r *awstest.Role) {
	c.Entry(r.ARN(), []string{"g"}, "entry")
}

func configMapFor(_ *world, c *awstest.Cluster, _ *awstest.Role) {
	c.AWSAuth("arn:aws:iam::444455556666:role/member", "config-map", "g")
}

func TestTokensOfEveryPartition(t *testing.T) {
	for partition, place := range map[string]struct{ region, host string }{
		"aws":        {"eu-north-1", "sts.eu-north-1.amazonaws.com"},
		"aws-cn":     {"cn-north-1", "sts.cn-north-1.amazonaws.com.cn"},
		"aws-us-gov": {"us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"},
		"aws-iso":    {"us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"},
		"aws-iso-b":  {"us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"},
		"aws-iso-e":  {"eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk"},
		"aws-iso-f":  {"us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov"},
		"aws-eusc":   {"eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"},
	} {
		t.Run(partition, func(t *testing.T) {
			w := newWorld(t)
			account := w.AccountIn(partition, hubID)
			role := account.Role("member", awstest.Trust{})
			cluster := account.EKS(place.region, "alpha", awstest.EKSOptions{})
			cluster.Entry(role.ARN(), nil, "")
			signed := presignAt(t, role.Session("x", time.Hour), place.host, place.region)
			got, err := cluster.Review(encodeToken(signed))
			if want := "arn:" + partition + ":sts::111122223333:assumed-role/member/x"; got.Username != want {
				t.Errorf("got %q (%v), want %q", got.Username, err, want)
			}
		})
	}
}

func presignAt(t *testing.T, creds aws.Credentials, host, region string) string {
	t.Helper()
	return presignIn(t, creds, "alpha", start, region, func(r *http.Request) { r.URL.Host, r.Host = host, host })
}
