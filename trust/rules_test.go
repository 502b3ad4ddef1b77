package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestRulesAndMappings(t *testing.T) {
	s := rsaSigner(0)
	many := make([]string, maxGroups+1)
	for i := range many {
		many[i] = "g"
	}
	long := make([]int, 100)
	tests := []struct {
		name             string
		rule             string
		username, groups string
		claims           map[string]any
		want             string // the reason of the refusal
		user             string
		in               []string
	}{
		{name: "a rule that holds", rule: "claims['kubernetes.io'].namespace == 'shop'", user: "cluster-b:system:serviceaccount:shop:deployer"},
		{name: "a rule that does not", rule: "claims['kubernetes.io'].namespace == 'prod'", want: ClaimRefused},
		{name: "a rule about a claim that is missing", rule: "claims.tenant == 'shop'", want: ClaimRefused},
		{name: "a rule that denies a claim that is missing", rule: "claims.tenant != 'evil'", want: ClaimRefused},
		{name: "a rule that compares a number with a text", rule: "claims.n > 'a'", claims: map[string]any{"n": 1}, want: ClaimRefused},
		{name: "a rule that divides by nothing", rule: "1 / int(claims.n) == 1", claims: map[string]any{"n": 0}, want: ClaimRefused},
		{name: "a rule that compares numbers", rule: "claims.n == 1 && claims.n < 2", claims: map[string]any{"n": 1}, user: "cluster-b:system:serviceaccount:shop:deployer"},
		{
			name: "a rule that runs long", rule: "dyn(claims.a).all(x, dyn(claims.a).all(y, dyn(claims.a).all(z, x + y + z < 1)))",
			claims: map[string]any{"a": long}, want: ClaimRefused,
		},
		{name: "a rule whose expression comes with the token", rule: "'aaaa'.matches(claims.p)", claims: map[string]any{"p": "("}, want: ClaimRefused},

		{name: "a name of another claim", username: "claims['kubernetes.io'].namespace", user: "cluster-b:shop"},
		{name: "a name made of two", username: "claims['kubernetes.io'].namespace + '/' + claims.sub.split(':')[3]", user: "cluster-b:shop/deployer"},
		{name: "a name that is missing", username: "claims.name", want: ClaimRefused},
		{name: "a name that is a number", username: "claims.n", claims: map[string]any{"n": 1}, want: SubjectRefused},
		{name: "an empty name", username: "claims.name", claims: map[string]any{"name": ""}, want: SubjectRefused},
		{name: "a name that a rule made long", username: "claims.sub + claims.name", claims: map[string]any{"name": strings.Repeat("x", 500)}, want: SubjectRefused},
		{name: "an administrator's name stays behind the prefix", username: "claims.name", claims: map[string]any{"name": "system:admin"}, user: "cluster-b:system:admin"},

		{name: "system:masters in the claims stays behind the prefix", groups: "claims.groups", claims: map[string]any{"groups": []string{"system:masters"}}, in: []string{"cluster-b:system:masters"}, user: "cluster-b:system:serviceaccount:shop:deployer"},
		{name: "no groups", groups: "claims.groups", claims: map[string]any{"groups": []string{}}, user: "cluster-b:system:serviceaccount:shop:deployer"},
		{name: "groups if there are any", groups: "claims.?groups.orValue([])", user: "cluster-b:system:serviceaccount:shop:deployer"},
		{name: "groups that are missing", groups: "claims.groups", want: ClaimRefused},
		{name: "groups that are a text", groups: "claims.groups", claims: map[string]any{"groups": "admins"}, want: SubjectRefused},
		{name: "groups that are numbers", groups: "claims.groups", claims: map[string]any{"groups": []any{"a", 1}}, want: SubjectRefused},
		{name: "an empty group", groups: "claims.groups", claims: map[string]any{"groups": []string{"a", ""}}, want: SubjectRefused},
		{name: "a group with a line break", groups: "claims.groups", claims: map[string]any{"groups": []string{"a\r\nb"}}, want: SubjectRefused},
		{name: "more groups than anybody has", groups: "claims.groups", claims: map[string]any{"groups": many}, want: SubjectRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ti := trusted(t, s)
			ti.Spec.Username, ti.Spec.Groups = tt.username, tt.groups
			if tt.rule != "" {
				ti.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: tt.rule}}
			}
			begin := time.Now()
			id, err := mustNew(t, ti).Verify(s.sign(t, claims(tt.claims)), noon)
			if took := time.Since(begin); took > 2*maxTime {
				t.Errorf("it took %s", took)
			}
			if got := reasonOf(t, err); got != tt.want {
				t.Fatalf("it is refused as %q (%v), want %q", got, err, tt.want)
			}
			if id.User != tt.user {
				t.Errorf("the user is %q, want %q", id.User, tt.user)
			}
			if diff := cmp.Diff(tt.in, id.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEvaluationMayCostSoMuch(t *testing.T) {
	e, err := compileExpression("dyn(claims.a).all(x, dyn(claims.a).all(y, x + y < 1.0))", cel.BoolType)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]any, 1500)
	for i := range values {
		values[i] = 0.0
	}
	if _, err := e.evalWithin(map[string]any{"a": values}, time.Hour); err == nil || !strings.Contains(err.Error(), "cost") {
		t.Errorf("it ended with: %v", err)
	}
}

// What the cost lets pass is ended by the time: here the time is over before it begins.
func TestAnEvaluationIsInterrupted(t *testing.T) {
	e, err := compileExpression("dyn(claims.a).all(x, x < 1.0)", cel.BoolType)
	if err != nil {
		t.Fatal(err)
	}
	values := make([]any, 1500)
	for i := range values {
		values[i] = 0.0
	}
	if _, err := e.evalWithin(map[string]any{"a": values}, 0); err == nil {
		t.Error("it ran to its end")
	}
	if _, err := e.evalWithin(map[string]any{"a": values}, time.Minute); err != nil {
		t.Errorf("with time enough: %v", err)
	}
}
