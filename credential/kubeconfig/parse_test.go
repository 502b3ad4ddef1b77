package kubeconfig

import (
	"encoding/base64"
	"strings"
	"testing"
)

const secretValue = "t0ken-that-must-not-show"

// document makes a kubeconfig of one cluster and user out of YAML fragments.
func document(cluster, user string) string {
	indent := func(s string) string { return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") }
	return "apiVersion: v1\nkind: Config\ncurrent-context: main\ncontexts:\n- name: main\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster:\n" +
		indent(cluster) + "\nusers:\n- name: u\n  user:\n" + indent(user) + "\n"
}

const goodCluster = "server: https://example.com:6443"

func TestParseTakesPlainData(t *testing.T) {
	ca := base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----"))
	got, err := Parse([]byte(document(goodCluster+"\ncertificate-authority-data: "+ca+"\ntls-server-name: other\nproxy-url: http://proxy:3128", "token: "+secretValue)), "")
	if err != nil {
		t.Fatal(err)
	}
	e := got.Endpoint
	if got.Token.Reveal() != secretValue || e.Server != "https://example.com:6443" || string(e.CAData) != "-----BEGIN CERTIFICATE-----" || e.TLSServerName != "other" || e.ProxyURL != "http://proxy:3128" {
		t.Errorf("got %+v", e)
	}
	if !got.Watched || got.Origin == "" {
		t.Errorf("watched=%v origin=%q", got.Watched, got.Origin)
	}
}

func TestParseRefuses(t *testing.T) {
	token := "token: " + secretValue
	cases := map[string]struct{ text, want string }{
		"a program":                   {document(goodCluster, "exec: {apiVersion: client.authentication.k8s.io/v1, command: rm, interactiveMode: Never}"), "exec is refused"},
		"an auth provider":            {document(goodCluster, "auth-provider: {name: gcp}"), "auth-provider is refused"},
		"a token file":                {document(goodCluster, "tokenFile: /var/run/secrets/token"), "tokenFile is refused"},
		"a token beside a file":       {document(goodCluster, token+"\ntokenFile: /x"), "tokenFile is refused"},
		"a certificate file":          {document(goodCluster, "client-certificate: /x"), "client-certificate is refused"},
		"a key file":                  {document(goodCluster, "client-key: /x"), "client-key is refused"},
		"a CA file":                   {document(goodCluster+"\ncertificate-authority: /x", token), "certificate-authority is refused"},
		"no verification":             {document(goodCluster+"\ninsecure-skip-tls-verify: true", token), "insecure-skip-tls-verify is refused"},
		"a password":                  {document(goodCluster, "username: a\npassword: "+secretValue), "username and password are refused"},
		"impersonation":               {document(goodCluster, token+"\nas: admin"), "as (impersonation) is refused"},
		"impersonated groups":         {document(goodCluster, token+"\nas-groups: [system:masters]"), "as (impersonation) is refused"},
		"plain http":                  {document("server: http://example.com", token), "server must be https://"},
		"no host":                     {document("server: https://:443", token), "server must be https://"},
		"a user in the address":       {document("server: https://a:b@example.com", token), "server must be https://"},
		"a proxy of another kind":     {document(goodCluster+"\nproxy-url: file:///x", token), "proxy-url must be"},
		"nothing to authenticate by":  {document(goodCluster, "extensions: []"), "neither token nor client-certificate-data"},
		"half a pair":                 {document(goodCluster, "client-certificate-data: YQ=="), "half a pair"},
		"a pair that is none":         {document(goodCluster, "client-certificate-data: YQ==\nclient-key-data: YQ=="), "reading the certificate"},
		"both kinds":                  {document(goodCluster, token+"\nclient-certificate-data: YQ==\nclient-key-data: YQ=="), "both a token and a client certificate"},
		"a token that breaks headers": {document(goodCluster, `token: "a\r\nX-Remote-User: admin"`), "no HTTP header can carry"},
		"an unknown field":            {document(goodCluster, token+"\ncommand: rm"), "unknown field"},
		"a field twice":               {document(goodCluster, token+"\ntoken: other"), "twice"},
		"something else":              {"hello", "no kubeconfig"},
		"nothing":                     {"", "no current-context"},
		"data that is no base64":      {document(goodCluster, "client-key-data: '%'"), "no base64"},
		"a missing user":              {strings.Replace(document(goodCluster, token), "user: u}", "user: v}", 1), `no user "v"`},
		"two users of one name":       {document(goodCluster, token) + "- name: u\n  user: {token: x}\n", `two entries for user "u"`},
		"more than a Secret holds":    {strings.Repeat("#", maxSize+1), "larger than 1 MiB"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one that has %q", err, c.want)
			}
			if strings.Contains(err.Error(), secretValue) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}

func TestParseTakesTheNamedContext(t *testing.T) {
	text := document(goodCluster, "token: one") + "- name: v\n  user: {token: two}\n"
	text = strings.Replace(text, "clusters:\n", "- name: second\n  context: {cluster: c, user: v}\nclusters:\n", 1)
	got, err := Parse([]byte(text), "second")
	if err != nil || got.Token.Reveal() != "two" {
		t.Fatalf("token %q, error %v", got.Token.Reveal(), err)
	}
	if _, err := Parse([]byte(text), "third"); err == nil {
		t.Error("a context that is not there was found")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(document(goodCluster, "token: x")), "")
	f.Add([]byte(document(goodCluster+"\ninsecure-skip-tls-verify: true", "token: x")), "main")
	f.Add([]byte(document(goodCluster, "exec: {command: x}")), "")
	f.Add([]byte("a: &a [*a]"), "")
	f.Fuzz(func(t *testing.T, text []byte, context string) {
		c, err := Parse(text, context)
		if err != nil {
			return
		}
		if c.IsZero() || c.Endpoint == nil || !strings.HasPrefix(strings.ToLower(c.Endpoint.Server), "https://") {
			t.Fatalf("accepted without a credential or an https address: %+v", c.Endpoint)
		}
		if strings.ContainsAny(c.Token.Reveal(), "\r\n ") {
			t.Fatal("accepted a token that breaks a header")
		}
	})
}
