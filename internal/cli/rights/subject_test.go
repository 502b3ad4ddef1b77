package rights

import (
	"strings"
	"testing"
)

func TestParseSubject(t *testing.T) {
	tests := []struct {
		text  string
		want  Subject
		wrong string
	}{
		{text: "user:jane", want: Subject{UserSubject, "", "jane"}},
		{text: "user:corp:jane/x", want: Subject{UserSubject, "", "corp:jane/x"}},
		{text: "group:team-a", want: Subject{GroupSubject, "", "team-a"}},
		{text: "serviceaccount:shop/deployer", want: Subject{ServiceAccountSubject, "shop", "deployer"}},
		{text: "primary/shop", want: Subject{eitherSubject, "primary", "shop"}},
		{text: "corp/system:serviceaccount:shop:deployer", want: Subject{IssuerSubject, "corp", "system:serviceaccount:shop:deployer"}},
		{text: "spire/spiffe://example.org/shop", want: Subject{IssuerSubject, "spire", "spiffe://example.org/shop"}},
		{text: "issuer:corp/jane", want: Subject{IssuerSubject, "corp", "jane"}},
		{text: "cluster:primary/shop", want: Subject{ClusterSubject, "primary", "shop"}},
		{text: "cluster:primary/Shop", wrong: "no namespace is called Shop"},
		{text: "jane", wrong: "name one as user:NAME"},
		{text: "", wrong: "is no subject"},
		{text: "user:", wrong: "names nobody"},
		{text: "serviceaccount:deployer", wrong: "is no subject"},
		{text: "serviceaccount:shop/", wrong: "is no subject"},
		{text: "system:masters", wrong: "is no subject"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got, err := ParseSubject(test.text)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v, want %s", err, test.wrong)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
			if again, err := ParseSubject(got.String()); err != nil || again != got {
				t.Errorf("%q is read as %+v, %v", got, again, err)
			}
		})
	}
}

func FuzzParseSubject(f *testing.F) {
	for _, seed := range []string{"user:a", "a/b", "issuer:a/b:c", "cluster:/", "a:b/c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSubject(text)
		if err != nil {
			return
		}
		if again, err := ParseSubject(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, and again %+v, %v", text, s, again, err)
		}
	})
}
