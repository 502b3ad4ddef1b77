package eks

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/hawser-io/hawser/internal/awstest"
)

// kinds of refusal by the authenticator.
const (
	malformed = "malformed" // it does not even ask STS
	bySTS     = "by STS"
)

func kindOf(err error) string {
	var format token.FormatError
	var sts token.STSError
	switch {
	case errors.As(err, &format):
		return malformed
	case errors.As(err, &sts):
		return bySTS
	case err != nil:
		return err.Error()
	}
	return "taken"
}

// TestMutatedTokensAreRefused breaks the rules of the verifier one by one, and then what only STS knows.
// Our own server has to refuse them too: a test that trusts it would otherwise prove too little.
func TestMutatedTokensAreRefused(t *testing.T) {
	query := func(change func(url.Values)) func(*url.URL) {
		return func(u *url.URL) {
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
		}
	}
	set := func(key, value string) func(*url.URL) { return query(func(q url.Values) { q.Set(key, value) }) }
	tests := []struct {
		name   string
		want   string
		mutate func(*url.URL)      // the request, or
		text   func(string) string // the whole token
	}{
		{name: "1 longer than 4096 bytes", want: malformed, text: func(s string) string { return s + strings.Repeat("A", 4097-len(s)) }},
		{name: "2 another prefix", want: malformed, text: func(s string) string { return strings.Replace(s, "k8s-aws-v1.", "k8s-aws-v2.", 1) }},
		{name: "2 no prefix", want: malformed, text: func(s string) string { return strings.TrimPrefix(s, "k8s-aws-v1.") }},
		{name: "2 the prefix in capitals", want: malformed, text: func(s string) string { return strings.Replace(s, "k8s", "K8S", 1) }},
		{name: "3 padding", want: malformed, text: func(s string) string { return s + "=" }},
		{name: "3 the other alphabet", want: malformed, text: func(s string) string { return s + "+/" }},
		{name: "3 nothing", want: malformed, text: func(string) string { return "k8s-aws-v1." }},
		{name: "4 no URL", want: malformed, text: func(string) string { return encoded("https://sts.eu-north-1.amazonaws.com:port/\x7f") }},
		{name: "5 http", want: malformed, mutate: func(u *url.URL) { u.Scheme = "http" }},
		{name: "6 a stranger's host", want: malformed, mutate: func(u *url.URL) { u.Host = "sts.eu-north-1.amazonaws.com.evil.example" }},
		{name: "6 another service", want: malformed, mutate: func(u *url.URL) { u.Host = "iam.eu-north-1.amazonaws.com" }},
		{name: "6 a port", want: malformed, mutate: func(u *url.URL) { u.Host += ":443" }},
		{name: "6 a host of another partition", want: malformed, mutate: func(u *url.URL) { u.Host = "sts.cn-north-1.amazonaws.com.cn" }},
		{name: "6 an endpoint of a test", want: malformed, mutate: func(u *url.URL) { u.Host = "127.0.0.1:8080" }},
		{name: "7 another path", want: malformed, mutate: func(u *url.URL) { u.Path = "/x" }},
		{name: "7 no path", want: malformed, mutate: func(u *url.URL) { u.Path = "" }},
		{name: "8 a query that is none", want: malformed, mutate: func(u *url.URL) { u.RawQuery += "&%zz" }},
		{name: "9 a parameter twice", want: malformed, mutate: func(u *url.URL) { u.RawQuery += "&Action=GetCallerIdentity" }},
		{name: "9 a parameter twice in another case", want: malformed, mutate: func(u *url.URL) { u.RawQuery += "&action=GetCallerIdentity" }},
		{name: "10 an unknown parameter", want: malformed, mutate: set("RoleArn", "x")},
		{name: "11 another action", want: malformed, mutate: set("Action", "AssumeRole")},
		{name: "11 the action in lower case", want: malformed, mutate: set("Action", "getcalleridentity")},
		{name: "11 no action", want: malformed, mutate: query(func(q url.Values) { q.Del("Action") })},
		{name: "12 the cluster is not signed for", want: malformed, mutate: set("X-Amz-SignedHeaders", "host")},
		{name: "13 no expiry", want: malformed, mutate: query(func(q url.Values) { q.Del("X-Amz-Expires") })},
		{name: "13 an expiry that is no number", want: malformed, mutate: set("X-Amz-Expires", "soon")},
		{name: "13 an expiry below zero", want: malformed, mutate: set("X-Amz-Expires", "-1")},
		{name: "13 an expiry of more than a quarter of an hour", want: malformed, mutate: set("X-Amz-Expires", "901")},
		{name: "14 no date", want: malformed, mutate: query(func(q url.Values) { q.Del("X-Amz-Date") })},
		{name: "14 a date of another form", want: malformed, mutate: set("X-Amz-Date", "2026-03-01T12:00:00Z")},
		{name: "15 a date of a quarter of an hour ago", want: malformed, mutate: set("X-Amz-Date", time.Now().UTC().Add(-15*time.Minute-time.Second).Format("20060102T150405Z"))},

		{name: "STS: a date in the future", want: bySTS, mutate: set("X-Amz-Date", time.Now().UTC().Add(20*time.Minute).Format("20060102T150405Z"))},
		{name: "STS: another date", want: bySTS, mutate: set("X-Amz-Date", time.Now().UTC().Add(-time.Minute).Format("20060102T150405Z"))},
		{name: "STS: another expiry", want: bySTS, mutate: set("X-Amz-Expires", "900")},
		{name: "STS: no signature", want: bySTS, mutate: query(func(q url.Values) { q.Del("X-Amz-Signature") })},
		{name: "STS: another signature", want: bySTS, mutate: set("X-Amz-Signature", strings.Repeat("0", 64))},
		{name: "STS: another algorithm", want: bySTS, mutate: set("X-Amz-Algorithm", "AWS4-HMAC-SHA1")},
		{name: "STS: another access key", want: bySTS, mutate: query(func(q url.Values) {
			q.Set("X-Amz-Credential", "ASIASTRANGER"+q.Get("X-Amz-Credential")[strings.Index(q.Get("X-Amz-Credential"), "/"):])
		})},
		{name: "STS: another region in the scope", want: bySTS, mutate: query(func(q url.Values) {
			q.Set("X-Amz-Credential", strings.Replace(q.Get("X-Amz-Credential"), "eu-north-1", "eu-west-1", 1))
		})},
		{name: "STS: another service in the scope", want: bySTS, mutate: query(func(q url.Values) {
			q.Set("X-Amz-Credential", strings.Replace(q.Get("X-Amz-Credential"), "/sts/", "/iam/", 1))
		})},
		{name: "STS: the host of another region", want: bySTS, mutate: func(u *url.URL) { u.Host = "sts.eu-west-1.amazonaws.com" }},
		{name: "STS: another session token", want: bySTS, mutate: set("X-Amz-Security-Token", "x")},
		{name: "STS: no session token", want: bySTS, mutate: query(func(q url.Values) { q.Del("X-Amz-Security-Token") })},
		{name: "STS: another version", want: bySTS, mutate: set("Version", "2010-05-08")},
		{name: "STS: the host is not signed for", want: bySTS, mutate: set("X-Amz-SignedHeaders", "x-k8s-aws-id")},
		{name: "STS: more headers signed for", want: bySTS, mutate: set("X-Amz-SignedHeaders", "accept;host;x-k8s-aws-id")},
	}
	w := newWorld(t, place{"aws", "eu-north-1"})
	creds := w.role.Session("prod", time.Hour)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			good := w.ours(t, creds, clusterName, time.Now())
			if _, err := w.judge.Verify(good); err != nil {
				t.Fatalf("before the mutation: %v", err)
			}
			mutate := test.text
			if test.mutate != nil {
				mutate = func(s string) string {
					u := request(t, s)
					test.mutate(u)
					return encoded(u.String())
				}
			}
			bad := mutate(good)
			if bad == good {
				t.Fatal("nothing was mutated")
			}
			_, err := w.judge.Verify(bad)
			if got := kindOf(err); got != test.want {
				t.Errorf("the authenticator: %s, want %s", got, test.want)
			}
			if _, err := w.cluster.Review(bad); err == nil || awstest.IsNotMapped(err) {
				t.Errorf("our server takes it: %v", err)
			}
		})
	}
}

// TestTokensThatWereNeverGood are whole ones, of the wrong cluster, time or principal.
func TestTokensThatWereNeverGood(t *testing.T) {
	w := newWorld(t, place{"aws", "eu-north-1"})
	session := w.role.Session("prod", time.Hour)
	tests := []struct {
		name  string
		want  string
		token func(t *testing.T) string
	}{
		{"of another cluster", bySTS, func(t *testing.T) string { return w.ours(t, session, "payments", time.Now()) }},
		{"of another cluster with a similar name", bySTS, func(t *testing.T) string { return w.ours(t, session, "Checkout", time.Now()) }},
		{"of a quarter of an hour ago", malformed, func(t *testing.T) string {
			return w.ours(t, session, clusterName, time.Now().Add(-15*time.Minute-time.Second))
		}},
		{"of tomorrow", bySTS, func(t *testing.T) string { return w.ours(t, w.user.Keys(), clusterName, time.Now().Add(24*time.Hour)) }},
		{"of a session that has ended", bySTS, func(t *testing.T) string {
			w.ExpireSessions(w.role)
			return w.ours(t, session, clusterName, time.Now())
		}},
		{"of a wrong secret", bySTS, func(t *testing.T) string {
			keys := w.user.Keys()
			keys.SecretAccessKey = "x"
			return w.ours(t, keys, clusterName, time.Now())
		}},
		{"of keys that are inactive", bySTS, func(t *testing.T) string {
			w.user.Disable()
			t.Cleanup(w.user.Enable)
			return w.ours(t, w.user.Keys(), clusterName, time.Now())
		}},
		{"of nobody", bySTS, func(t *testing.T) string {
			return w.ours(t, awssdk.Credentials{AccessKeyID: "AKIDNOBODY", SecretAccessKey: "x"}, clusterName, time.Now())
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := test.token(t)
			_, err := w.judge.Verify(bad)
			if got := kindOf(err); got != test.want {
				t.Errorf("the authenticator: %s (%v), want %s", got, err, test.want)
			}
			if _, err := w.cluster.Review(bad); err == nil || awstest.IsNotMapped(err) {
				t.Errorf("our server takes it: %v", err)
			}
		})
	}
}
