package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

var tokenCreds = awssdk.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "WJALRSECRET", SessionToken: "FWOG/+TOKEN=", CanExpire: true, Expires: start.Add(time.Hour)}

func TestNewToken(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
	t.Setenv("AWS_REGION", "us-west-2")
	token, err := NewToken(t.Context(), credentialsOf(tokenCreds), "eu-north-1", "checkout", start)
	if err != nil {
		t.Fatal(err)
	}
	if !token.ExpiresAt.Equal(start.Add(14 * time.Minute)) {
		t.Errorf("ends at %s", token.ExpiresAt)
	}
	encoded, ok := strings.CutPrefix(token.Value.Reveal(), "k8s-aws-v1.")
	if !ok {
		t.Fatal("the prefix is missing")
	}
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	query := signed.Query()
	if len(query.Get("X-Amz-Signature")) != 64 {
		t.Errorf("the signature is %q", query.Get("X-Amz-Signature"))
	}
	query.Del("X-Amz-Signature")
	want := url.Values{
		"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"},
		"X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {"ASIAEXAMPLE/20260301/eu-north-1/sts/aws4_request"}, "X-Amz-Date": {"20260301T120000Z"},
		"X-Amz-Expires": {"60"}, "X-Amz-Security-Token": {"FWOG/+TOKEN="}, "X-Amz-SignedHeaders": {"host;x-k8s-aws-id"},
	}
	if diff := cmp.Diff(want, query); diff != "" {
		t.Errorf("query (-want +got)\n%s", diff)
	}
	if signed.Scheme != "https" || signed.Host != "sts.eu-north-1.amazonaws.com" || signed.Path != "/" {
		t.Errorf("the request goes to %s://%s%s", signed.Scheme, signed.Host, signed.Path)
	}
	if strings.Contains(string(text), "checkout") {
		t.Error("the cluster's name is signed for and not sent")
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", token, token, token), encoded) {
		t.Error("the token prints itself")
	}
	other, err := NewToken(t.Context(), credentialsOf(tokenCreds), "eu-north-1", "payments", start)
	if err != nil || other.Value.Equal(token.Value) {
		t.Errorf("the token of another cluster is the same, or %v", err)
	}
}

func TestTokenEndsWithItsCredentials(t *testing.T) {
	tests := []struct {
		name  string
		creds func(*awssdk.Credentials)
		want  time.Duration // zero: refused
	}{
		{"keys that never expire", func(c *awssdk.Credentials) { c.CanExpire = false }, 14 * time.Minute},
		{"credentials that outlive it", func(*awssdk.Credentials) {}, 14 * time.Minute},
		{"credentials that end before", func(c *awssdk.Credentials) { c.Expires = start.Add(5 * time.Minute) }, 5 * time.Minute},
		{"credentials that have ended", func(c *awssdk.Credentials) { c.Expires = start }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			creds := tokenCreds
			test.creds(&creds)
			token, err := NewToken(t.Context(), credentialsOf(creds), "eu-north-1", "checkout", start)
			if test.want == 0 {
				wantError(t, err, Error{Reason: v1alpha1.ReasonCredentialsExpired})
				return
			}
			if err != nil || token.ExpiresAt.Sub(start) != test.want {
				t.Errorf("ends after %s, %v; want %s", token.ExpiresAt.Sub(start), err, test.want)
			}
		})
	}
}

func TestNewTokenRefuses(t *testing.T) {
	if _, err := NewToken(t.Context(), credentialsOf(tokenCreds), "nowhere", "checkout", start); err == nil || !strings.Contains(err.Error(), `"nowhere" is no region`) {
		t.Errorf("got %v", err)
	}
	broken := &Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonAssumeRoleDenied, Err: errors.New("x")}
	_, err := NewToken(t.Context(), awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return awssdk.Credentials{}, broken }), "eu-north-1", "checkout", start)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	long := tokenCreds
	long.SessionToken = strings.Repeat("x", 4000)
	_, err = NewToken(t.Context(), credentialsOf(long), "eu-north-1", "checkout", start)
	got := wantError(t, err, Error{Reason: v1alpha1.ReasonAWSError})
	if !strings.Contains(got, "4096") || strings.Contains(got, "xxx") {
		t.Errorf("got %s", got)
	}
}

func BenchmarkNewToken(b *testing.B) {
	s := &Sessions{Ground: ownKeys}
	provider := s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewToken(b.Context(), provider, "eu-north-1", "checkout", now); err != nil {
			b.Fatal(err)
		}
	}
}
