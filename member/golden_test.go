package member_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestYAML(t *testing.T) {
	tests := []struct {
		file    string
		options member.Options
	}{
		{"serviceaccount.yaml", member.Options{
			Local:        "primary",
			Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints},
			Version:      "v0.1.0",
		}},
		{"certificate.yaml", member.Options{
			Local:            "primary",
			Requires:         []v1alpha1.Rule{deployments},
			Identity:         member.RenewedCertificate,
			MaxTokenLifetime: time.Hour,
			Version:          "v0.1.0",
			Controllers:      true,
		}},
		{"gate.yaml", member.Options{
			Local:          "primary",
			Controllers:    true,
			Gate:           true,
			GrantableRoles: []string{"view", "edit"},
		}},
		{"foreign.yaml", member.Options{
			Local:    "primary",
			Identity: member.Foreign,
			Users:    []string{"fleet@example.com"},
			Groups:   []string{v1alpha1.MembersGroup},
			Version:  "v0.1.0",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			if err := tt.options.Validate(); err != nil {
				t.Fatal(err)
			}
			got, err := member.YAML(member.Objects(tt.options))
			if err != nil {
				t.Fatal(err)
			}
			for _, unwanted := range []string{"creationTimestamp", "status:", "null", "*"} {
				if bytes.Contains(got, []byte(unwanted)) {
					t.Errorf("the YAML contains %q", unwanted)
				}
			}
			path := filepath.Join("testdata", tt.file)
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("YAML (-%s +now), write it anew with go test ./member -update:\n%s", path, diff)
			}
		})
	}
}

// deployments is what a controller of somebody else might need.
var deployments = v1alpha1.Rule{APIGroups: []string{"apps"}, Resources: []string{"deployments", "deployments/status"}, Verbs: []string{"get", "patch"}}
