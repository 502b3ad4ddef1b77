package exchange

import (
	"strings"
	"testing"

	"github.com/hawser-io/hawser/credential"
)

func FuzzAnswer(f *testing.F) {
	const token = "a-token-that-nobody-may-see.and-a-second-part-of-it.and-its-signature"
	for _, seed := range []string{
		`{"access_token":"x","token_type":"Bearer","expires_in":3600}`,
		`{"error":"invalid_request","error_description":"` + token + `"}`,
		`{"access_token":"x","token_type":"Bearer","expires_in":"3600"}`,
		`{"expires_in":1e999}`, `null`, `[]`, ``,
	} {
		f.Add(200, "", []byte(seed))
		f.Add(429, "5", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, retry string, data []byte) {
		got, err := parse(status, retry, data, credential.NewSecret(token))
		if (err == nil) == got.Token.IsZero() {
			t.Errorf("error %v with token %t", err, !got.Token.IsZero())
		}
		if err != nil && (strings.Contains(err.Error(), token) || strings.ContainsAny(err.Error(), "\r\n\x00")) {
			t.Errorf("the error shows the token, or has several lines: %q", err)
		}
		if got.ExpiresIn < 0 {
			t.Errorf("it expires in %s", got.ExpiresIn)
		}
	})
}
