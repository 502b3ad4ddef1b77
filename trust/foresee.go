package trust

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Foreseen is what the claim rules of an issuer mean for a subject before there is a token.
type Foreseen struct {
	// Refused is why no token of the subject is believed: a rule that its issuer and subject alone break. Empty for none.
	Refused string
	// Open are the rules that other claims decide, as they are written.
	Open []string
}

// Foresee evaluates those rules of an issuer that look at nothing but the claims iss and sub, which are known: sub
// only where users are called by it. What a rule comes to that looks at anything else, a token's claims decide.
func Foresee(spec *v1alpha1.TrustedIssuerSpec, subject string) (Foreseen, error) {
	m, err := newMapping(spec)
	if err != nil {
		return Foreseen{}, err
	}
	known := map[string]any{"iss": spec.URL}
	if spec.Username == "" || spec.Username == "claims.sub" {
		known["sub"] = subject
	}
	var out Foreseen
	for _, r := range m.rules {
		if !r.needsOnly(known) {
			out.Open = append(out.Open, r.text)
			continue
		}
		if value, err := r.eval(known); err != nil || value != types.True {
			out.Refused = cmp.Or(out.Refused, fmt.Sprintf("%q does not hold: %s", r.text, r.message))
		}
	}
	slices.Sort(out.Open)
	return out, nil
}

// needsOnly reports whether an expression looks at claims only by claims.<name>, of names that are known.
func (e *expression) needsOnly(known map[string]any) bool {
	looks, plain := 0, 0
	e.any(func(x ast.Expr) bool {
		switch {
		case x.Kind() == ast.IdentKind && x.AsIdent() == "claims":
			looks++
		case x.Kind() == ast.SelectKind:
			of := x.AsSelect().Operand()
			if _, ok := known[x.AsSelect().FieldName()]; ok && of.Kind() == ast.IdentKind && of.AsIdent() == "claims" {
				plain++
			}
		}
		return false
	})
	return looks == plain
}
