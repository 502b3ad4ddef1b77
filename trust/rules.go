package trust

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
)

// Bounds on one evaluation. The cost bounds the work whatever the machine does; the time is for
// what the cost does not see.
const (
	maxCost = 20_000
	maxTime = time.Second
	// checkEvery is after how many steps of a comprehension the time is looked at.
	checkEvery = 100
)

// newEnvironment is the language of the rules: a part of what API servers from Kubernetes 1.30 on
// evaluate over claims, so that Render can hand them the rules as they are.
var newEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("claims", cel.MapType(cel.StringType, cel.AnyType)),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(2)),
		ext.Sets(),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(), cel.ValidateHomogeneousAggregateLiterals(),
		),
	)
})

// expression is one that was compiled. It may be evaluated by several at once.
type expression struct {
	text    string
	program cel.Program
	ast     *cel.Ast
}

// compileExpression refuses one whose result cannot be of any of the types.
func compileExpression(text string, want ...*cel.Type) (*expression, error) {
	env, err := newEnvironment()
	if err != nil {
		return nil, fmt.Errorf("making the language of rules: %w", err)
	}
	compiled, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%q: %s", text, strings.ReplaceAll(issues.Err().Error(), "\n", " "))
	}
	if got := compiled.OutputType(); !isOneOf(got, want) {
		return nil, fmt.Errorf("%q gives %s, not %s", text, got, want[0])
	}
	program, err := env.Program(compiled, cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return &expression{text: text, program: program, ast: compiled}, nil
}

func isOneOf(got *cel.Type, want []*cel.Type) bool {
	for _, w := range want {
		if got.IsExactType(w) {
			return true
		}
	}
	return false
}

func (e *expression) eval(claims map[string]any) (ref.Val, error) {
	return e.evalWithin(claims, maxTime)
}

func (e *expression) evalWithin(claims map[string]any, limit time.Duration) (ref.Val, error) {
	//nolint:forbidigo // it waits for nobody, and ends by its own deadline
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	value, _, err := e.program.ContextEval(ctx, map[string]any{"claims": claims})
	return value, err
}

// mentions reports whether an expression looks at a claim of the name, whatever way it is written.
func (e *expression) mentions(claim string) bool {
	return e.any(func(x ast.Expr) bool {
		return (x.Kind() == ast.SelectKind && x.AsSelect().FieldName() == claim) ||
			(x.Kind() == ast.LiteralKind && x.AsLiteral() == types.String(claim))
	})
}

// selects reports whether it looks at claims.<claim>, written so: API servers look for nothing else.
func (e *expression) selects(claim string) bool {
	return e.any(func(x ast.Expr) bool {
		if x.Kind() != ast.SelectKind || x.AsSelect().FieldName() != claim {
			return false
		}
		of := x.AsSelect().Operand()
		return of.Kind() == ast.IdentKind && of.AsIdent() == "claims"
	})
}

func (e *expression) any(is func(ast.Expr) bool) (found bool) {
	ast.PreOrderVisit(e.ast.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) { found = found || is(x) }))
	return found
}
