package aws

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

func TestRefOf(t *testing.T) {
	tests := map[string]struct {
		in   *v1alpha1.AWSIdentityRef
		want Ref
		text string
	}{
		"none is the manager's own identity": {nil, Ref{}, "the manager's own identity"},
		"no kind is ours":                    {&v1alpha1.AWSIdentityRef{Name: "a"}, Ref{v1alpha1.KindAWSIdentity, "a"}, `AWSIdentity "a"`},
		"another kind stays":                 {&v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindCAPARoleIdentity, Name: "a"}, Ref{v1alpha1.KindCAPARoleIdentity, "a"}, `AWSClusterRoleIdentity "a"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := RefOf(test.in); got != test.want || got.String() != test.text {
				t.Errorf("RefOf() = %#v, %s; want %#v, %s", got, got, test.want, test.text)
			}
		})
	}
}

// TestIdentitiesPrintNoSecrets prints them in every way that a careless log line would.
func TestIdentitiesPrintNoSecrets(t *testing.T) {
	id := staticIdentity("keys", "AKIDPLAIN")
	id.Keys.SecretAccessKey = credential.NewSecret("WJALRSECRET")
	id.Keys.SessionToken = credential.NewSecret("FWOGTOKEN")
	chain := Chain{Ground: id, Roles: []Identity{roleIdentity("hub", "111122223333", Ref{})}}
	s := &Sessions{}
	p := s.Provider(chain)

	var out strings.Builder
	for _, v := range []any{id, &id, id.Keys, *id.Keys, chain, &chain, s, p} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
	}
	for _, v := range []any{id, id.Keys, chain} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("identity", "chain", chain, "keys", id.Keys)
	out.WriteString(chain.Fingerprint())
	for _, secret := range []string{"WJALRSECRET", "FWOGTOKEN"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is printed:\n%s", secret, out.String())
		}
	}
}
