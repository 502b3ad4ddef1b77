package aws

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func file(text string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(text))) }

func TestKeysOfASecret(t *testing.T) {
	whole := "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s3cr3t\n"
	data := func(pairs ...string) map[string][]byte {
		m := map[string][]byte{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = []byte(pairs[i+1])
		}
		return m
	}
	asFile := func(text string) map[string][]byte {
		return map[string][]byte{CredentialsFileKey: file(text), RegionKey: []byte("eu-north-1")}
	}
	cases := map[string]struct {
		data  map[string][]byte
		token string
		err   string // a part; empty: it is read
	}{
		"a pair":                           {data: data(AccessKeyIDKey, "AKIA1", SecretAccessKeyKey, "s3cr3t")},
		"a pair with a line's end":         {data: data(AccessKeyIDKey, "AKIA1\n", SecretAccessKeyKey, "s3cr3t\n")},
		"temporary keys":                   {data: data(AccessKeyIDKey, "AKIA1", SecretAccessKeyKey, "s3cr3t", SessionTokenKey, "t"), token: "t"},
		"a credentials file":               {data: asFile(whole)},
		"one with a session token":         {data: asFile(whole + "aws_session_token=t\n"), token: "t"},
		"one with other profiles":          {data: asFile("[a]\naws_access_key_id=X\n" + whole + "[b]\naws_secret_access_key=Y\n")},
		"one with a program in it":         {data: asFile(whole + "credential_process = rm -rf /\n")},
		"nothing":                          {data: data("token", "x"), err: "neither"},
		"half a pair":                      {data: data(AccessKeyIDKey, "AKIA1"), err: "half a pair"},
		"the other half":                   {data: data(SecretAccessKeyKey, "s3cr3t"), err: "half a pair"},
		"an empty half":                    {data: data(AccessKeyIDKey, "AKIA1", SecretAccessKeyKey, " "), err: "half a pair"},
		"both forms":                       {data: data(AccessKeyIDKey, "AKIA1", SecretAccessKeyKey, "s3cr3t", CredentialsFileKey, "x"), err: "both"},
		"a file without its region":        {data: data(CredentialsFileKey, string(file(whole))), err: "no AWS_REGION"},
		"a file that is no base64":         {data: data(CredentialsFileKey, "s3cr3t!", RegionKey, "r"), err: "no base64"},
		"a file without a default profile": {data: asFile("[other]\naws_access_key_id=X\n"), err: "[default]"},
		"a file with half a pair":          {data: asFile("[default]\naws_access_key_id=X\n"), err: "half a pair"},
		"a file that is too long":          {data: data(CredentialsFileKey, strings.Repeat("A", maxCredentialsFile+1), RegionKey, "r"), err: "too long"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			keys, err := KeysOf(c.data)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				if strings.Contains(err.Error(), "s3cr3t") {
					t.Errorf("the error %q quotes the secret", err)
				}
				return
			}
			if err != nil || keys.AccessKeyID != "AKIA1" || keys.SecretAccessKey.Reveal() != "s3cr3t" || keys.SessionToken.Reveal() != c.token {
				t.Errorf("got %+v, %v", keys, err)
			}
			if text := fmt.Sprintf("%+v %#v", keys, keys); strings.Contains(text, "s3cr3t") {
				t.Errorf("it prints %s", text)
			}
		})
	}
}

func FuzzKeysOf(f *testing.F) {
	f.Add([]byte("[default]\naws_access_key_id=a\naws_secret_access_key=b\n"), "eu-north-1")
	f.Add([]byte("[default"), "")
	f.Fuzz(func(t *testing.T, text []byte, region string) {
		for _, encoded := range [][]byte{text, file(string(text))} {
			keys, err := KeysOf(map[string][]byte{CredentialsFileKey: encoded, RegionKey: []byte(region)})
			if err == nil && (keys.AccessKeyID == "" || keys.SecretAccessKey.IsZero()) {
				t.Fatal("half a pair was read")
			}
		}
	})
}
