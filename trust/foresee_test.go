package trust

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestForeseeEvaluatesWhatIsKnownAndNothingElse(t *testing.T) {
	const subject = "system:serviceaccount:shop:web"
	tests := map[string]struct {
		rule     string
		username string
		open     bool
		refused  bool
	}{
		"a rule over the subject that holds":               {rule: "claims.sub.startsWith('system:serviceaccount:shop:')"},
		"a rule over the subject that does not":            {rule: "claims.sub.startsWith('system:serviceaccount:bank:')", refused: true},
		"a rule over the issuer":                           {rule: "claims.iss == 'https://hub.example.com'"},
		"a rule without claims":                            {rule: "1 == 2", refused: true},
		"a rule over another claim":                        {rule: "claims['kubernetes.io'].namespace == 'shop'", open: true},
		"a rule over the subject and another claim":        {rule: "claims.sub == 'x' || claims.email_verified", open: true},
		"the lack of another claim":                        {rule: "!has(claims.email)", open: true},
		"a subject that is written otherwise":              {rule: "claims['sub'] == 'x'", open: true},
		"all claims":                                       {rule: "claims.all(c, c != 'admin')", open: true},
		"a claim that may be missing":                      {rule: "claims.?groups.orValue([]) == []", open: true},
		"a subject's own part of the same name":            {rule: "claims.act.sub == 'x'", open: true},
		"a subject that is not what users are called by":   {rule: "claims.sub == 'x'", username: "claims.name", open: true},
		"a subject that users are called by, written out":  {rule: "claims.sub == 'x'", username: "claims.sub", refused: true},
		"an expression that breaks over what it is given":  {rule: "int(claims.sub) > 0", refused: true},
		"a variable of its own that is called like claims": {rule: "[1].all(claims, claims == 1)", open: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Foresee(&v1alpha1.TrustedIssuerSpec{
				URL: "https://hub.example.com", Username: test.username, ClaimRules: []v1alpha1.ClaimRule{{Expression: test.rule, Message: "because"}},
			}, subject)
			if err != nil {
				t.Fatal(err)
			}
			var want Foreseen
			if test.open {
				want.Open = []string{test.rule}
			}
			if (got.Refused != "") != test.refused {
				t.Errorf("refused: %q, want %t", got.Refused, test.refused)
			}
			if diff := cmp.Diff(want.Open, got.Open); diff != "" {
				t.Errorf("open (-want +got)\n%s", diff)
			}
		})
	}
	if _, err := Foresee(&v1alpha1.TrustedIssuerSpec{ClaimRules: []v1alpha1.ClaimRule{{Expression: "1 +"}}}, "x"); err == nil {
		t.Error("a rule that is none is no error")
	}
}
