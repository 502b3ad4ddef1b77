package exec

import (
	"strings"
	"testing"
	"time"
)

func TestWhatAPluginMayNotPrint(t *testing.T) {
	head := `{"apiVersion":"` + V1 + `","kind":"ExecCredential",`
	cases := map[string]struct{ text, want string }{
		"a list":                   {`[]`, "it is no ExecCredential in JSON"},
		"two answers":              {head + `"status":{"token":"t"}}{}`, "it is no ExecCredential in JSON"},
		"another kind":             {`{"apiVersion":"` + V1 + `","kind":"Token","status":{"token":"t"}}`, "its kind is not ExecCredential"},
		"another version":          {`{"apiVersion":"` + V1beta1 + `","kind":"ExecCredential","status":{"token":"t"}}`, "its apiVersion is not " + V1},
		"no status":                {head + `"spec":{}}`, "it has no status"},
		"an empty status":          {head + `"status":{}}`, "neither a token nor a client certificate"},
		"half a pair":              {head + `"status":{"clientCertificateData":"x"}}`, "half a pair"},
		"the other half":           {head + `"status":{"clientKeyData":"x"}}`, "half a pair"},
		"both":                     {head + `"status":{"token":"t","clientKeyData":"x","clientCertificateData":"x"}}`, "both a token and a client certificate"},
		"a certificate that is no": {head + `"status":{"clientKeyData":"x","clientCertificateData":"x"}}`, "reading the certificate and its key"},
		"a token with a line end":  {head + `"status":{"token":"t\nX-Other: 1"}}`, "characters that no HTTP header can carry"},
		"a time that is none":      {head + `"status":{"token":"t","expirationTimestamp":"soon"}}`, "it is no ExecCredential in JSON"},
		"a time long ago":          {head + `"status":{"token":"t","expirationTimestamp":"1815-12-10T00:00:00Z"}}`, "is no time of ours"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseOutput([]byte(tc.text), V1)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want …%s…", err, tc.want)
			}
		})
	}
}

func FuzzParseOutput(f *testing.F) {
	head := `{"apiVersion":"` + V1 + `","kind":"ExecCredential","status":`
	f.Add([]byte(head + `{"token":"opaque"}}`))
	f.Add([]byte(head + `{"token":"e30.eyJleHAiOjF9.x","expirationTimestamp":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(head + `{"clientCertificateData":"-----BEGIN CERTIFICATE-----","clientKeyData":"k"}}`))
	f.Add([]byte(head + `null}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		c, err := parseOutput(out, V1)
		if err != nil {
			return
		}
		if c.IsZero() || c.Watched != c.ExpiresAt.IsZero() {
			t.Errorf("got %+v", c)
		}
		c.ObtainedAt = time.Unix(1_700_000_000, 0)
		if _, err := c.ExpiresAt.MarshalText(); err != nil { // it is written into statuses
			t.Errorf("it ends at a time that cannot be written: %v", err)
		}
	})
}
