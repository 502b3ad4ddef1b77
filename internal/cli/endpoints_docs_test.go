package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Whoever reads a reason of a gap finds in the documentation what it means.
func TestReasonsOfGapsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "endpoints.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "endpoint", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Reason") {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
					reason, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					reasons = append(reasons, reason)
				}
			}
			return true
		})
	}
	if len(reasons) < 16 {
		t.Errorf("only %d reasons are found: %s", len(reasons), reasons)
	}
	for _, reason := range reasons {
		if n := strings.Count(string(docs), "\n| `"+reason+"` | "); n != 1 {
			t.Errorf("docs/endpoints.md has %d lines about %s", n, reason)
		}
	}
}
