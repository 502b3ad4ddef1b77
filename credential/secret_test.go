package credential_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hawser-io/hawser/credential"
)

const value = "s3cr3t-value"

// outer hides a secret in an unexported field, where fmt does not ask for its methods.
type outer struct {
	hidden  credential.Secret
	Exposed credential.Secret
	nested  *credential.Credential
}

func TestASecretShowsNowhere(t *testing.T) {
	secret := credential.NewSecret(value)
	cred := credential.NewToken(value, "origin")
	all := []any{secret, &secret, outer{secret, secret, &cred}, &outer{secret, secret, &cred}, cred, []any{cred}, map[string]credential.Secret{"k": secret}}
	for _, v := range all {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, value) || strings.Contains(out, fmt.Sprintf("%x", value)) {
				t.Errorf("%s of %T shows the secret: %s", verb, v, out)
			}
		}
		if out, err := json.Marshal(v); err != nil || strings.Contains(string(out), value) {
			t.Errorf("JSON of %T: %s, %v", v, out, err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		if strings.Contains(log.String(), value) {
			t.Errorf("a log of %T shows the secret: %s", v, log.String())
		}
	}
	if secret.Reveal() != value {
		t.Errorf("Reveal() = %q", secret.Reveal())
	}
}
