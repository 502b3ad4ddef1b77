package hawser_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layers is the order of the packages, from the ground up: each may import those
// of earlier lines, and nothing of later ones. "x" is the package x alone, "x/..."
// are the packages in its folders. docs/architecture.md explains the same order;
// change both.
var layers = [][]string{
	{".", "internal/version", "internal/authcache", "config/crd"},
	{"api/..."},
	{"selector", "member", "internal/authors", "internal/advice", "credential", "trust", "trust/...", "grant", "internal/kinds", "internal/crds", "internal/self", "internal/statuspatch"},
	{"fleettest", "internal/awstest", "internal/charttest", "internal/fedtest", "internal/guard", "internal/rbac"},
	{"aws", "aws/..."},
	{"credential/..."},
	{"connection"},
	{"inventory", "inventory/objects", "inventory/group", "inventory/registry"},
	{"inventory/..."},
	{"fleet", "fleet/shard", "fleettest/inventorytest"},
	{"endpoint", "endpoint/...", "export", "export/..."},
	{"internal/policytest"},
	{"internal/controller/..."},
	{"internal/manager", "internal/gate", "internal/cli", "internal/cli/..."},
	{"internal/attempts", "internal/attempts/...", "internal/rights", "cmd/...", "internal/bench", "internal/bench/...", "hack/...", "examples", "examples/...", "charts", "internal/lifecycle"},
}

// sameLayer are the imports that are right although both packages stand in one
// layer. A package and the packages in its own folders need no entry.
var sameLayer = map[string][]string{
	"internal/cli":         {"internal/manager", "internal/gate"},                                          // `hawser manager`, `hawser gate`
	"internal/awstest":     {"fleettest"},                                                                  // its webhooks are asked by real API servers
	"internal/charttest":   {"fleettest"},                                                                  // what it installs there, it runs
	"trust/exchange":       {"credential"},                                                                 // tokens are credential.Secrets
	"endpoint/query":       {"endpoint/index", "endpoint/policy", "endpoint/publish"},                      // it answers by what policies mean, and where they look
	"endpoint/ranges":      {"endpoint/calico", "endpoint/index", "endpoint/publish"},                      // pools as Calico has them; names of labels; prefixes put together
	"endpoint/policy":      {"endpoint/calico", "endpoint/index", "endpoint/publish"},                      // what targets are written in, of which endpoints, and for whom
	"endpoint/publish":     {"endpoint/calico", "endpoint/follow", "endpoint/index", "endpoint/staleness"}, // which kinds the cluster serves, and what there is of them; live selectors; what expires
	"endpoint/publish/set": {"endpoint/calico"},                                                            // outputs in the words of Calico and Cilium
	"endpoint/wire":        {"endpoint/index"},                                                             // it reads labels and ports as the index takes them
	"endpoint/service":     {"endpoint/follow", "endpoint/index", "endpoint/staleness"},                    // what a cluster has of services; the labels that say which cluster something is of; what expires
}

// testOnly names the packages that exist for tests, and who else may import them.
var testOnly = []string{"fleettest", "fleettest/inventorytest", "internal/awstest", "internal/charttest", "internal/fedtest", "internal/policytest"}

var testOnlyImporters = []string{"internal/bench", "internal/bench/...", "hack/demo"}

// forbiddenNames say nothing about what is in a package.
var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc"}

// cloudFree are the packages of a controller author, who must not inherit the
// libraries below by importing them: credential sources are handed in as options.
var cloudFree = []string{
	"fleet", "fleet/shard", "fleettest/inventorytest", "inventory", "inventory/argocd", "inventory/capicluster", "inventory/clusterprofile", "inventory/kind",
	"inventory/kubeconfigfile", "inventory/kubeconfigsecret", "inventory/namespaces", "inventory/objects", "inventory/remotecluster",
}

var cloudLibraries = []string{
	"github.com/aws/",
	"github.com/Azure/azure-sdk-for-go",
	"github.com/AzureAD/",
	"github.com/spiffe/",
	"cloud.google.com/go",
}

// goPackage is what `go list` says about a package of this module.
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Deps       []string
}

func TestImportsRunInOneDirection(t *testing.T) {
	module, packages := listPackages(t)
	graph := map[string][]string{}
	for _, p := range packages {
		from := relative(module, p.ImportPath)
		graph[from] = nil
		for _, imported := range p.Imports {
			if imported == module || strings.HasPrefix(imported, module+"/") {
				graph[from] = append(graph[from], relative(module, imported))
			}
		}
	}
	for _, violation := range checkImports(graph) {
		t.Error(violation)
	}
}

func TestPackagesAreDocumentedAndNamed(t *testing.T) {
	_, packages := listPackages(t)
	for _, p := range packages {
		if slices.Contains(forbiddenNames, p.Name) || slices.Contains(forbiddenNames, path.Base(p.ImportPath)) {
			t.Errorf("%s: a package is named by what it owns, not %q", p.ImportPath, p.Name)
		}
		var docs []string
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Errorf("reading the package comment: %v", err)
				continue
			}
			if isPackageDoc(file) {
				docs = append(docs, name)
			}
		}
		if len(p.GoFiles)+len(p.CgoFiles) > 0 && len(docs) != 1 {
			t.Errorf("%s: want one package comment (// Package %s …, for a program // Command …), got %d %v", p.ImportPath, p.Name, len(docs), docs)
		}
	}
}

// TestThePluginIsThin keeps cmd/hawser-auth to the standard library: every kubectl waits for it.
func TestThePluginIsThin(t *testing.T) {
	module, packages := listPackages(t)
	for _, p := range packages {
		if relative(module, p.ImportPath) != "cmd/hawser-auth" {
			continue
		}
		for _, dep := range p.Deps {
			first, _, _ := strings.Cut(dep, "/")
			if strings.Contains(first, ".") && dep != module+"/internal/authcache" && dep != module+"/internal/version" {
				t.Errorf("cmd/hawser-auth links %s", dep)
			}
		}
	}
}

func TestOnlyTestsImportTesting(t *testing.T) {
	module, packages := listPackages(t)
	for _, p := range packages {
		if slices.Contains(testOnly, relative(module, p.ImportPath)) {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "testing" || strings.HasPrefix(imported, "testing/") {
				t.Errorf("%s imports %q outside of its tests: move it to a _test.go file, or to one of %v if other packages need it", p.ImportPath, imported, testOnly)
			}
		}
	}
}

func TestFleetAndInventoriesLinkNoCloudLibrary(t *testing.T) {
	module, packages := listPackages(t)
	for _, p := range packages {
		name := relative(module, p.ImportPath)
		if !slices.Contains(cloudFree, name) {
			continue
		}
		for _, dep := range p.Deps {
			for _, prefix := range cloudLibraries {
				if strings.HasPrefix(dep, prefix) {
					t.Errorf("%s links %s: a credential source is handed in as an option, never imported (find the way with `go mod why %s`)", name, dep, dep)
				}
			}
		}
	}
}

func TestCheckImports(t *testing.T) {
	tests := []struct {
		name  string
		graph map[string][]string
		want  []string // a part of each message, in order
	}{
		{
			name: "imports of lower layers are right",
			graph: map[string][]string{
				"cmd/hawser":                        {"internal/cli"},
				"internal/cli":                      {"internal/manager", "fleet", "api/v1alpha1"},
				"internal/controller/remotecluster": {"connection", "inventory/secrets"},
				"credential/eks":                    {"aws", "credential", "api/v1alpha1"},
			},
		},
		{
			name:  "an import of a higher layer is wrong",
			graph: map[string][]string{"connection": {"fleet"}},
			want:  []string{`connection imports fleet, which stands above it`},
		},
		{
			name:  "the API imports nothing of ours",
			graph: map[string][]string{"api/v1alpha1": {"selector"}},
			want:  []string{`api/v1alpha1 imports selector, which stands above it`},
		},
		{
			name: "neighbours in a layer do not know each other",
			graph: map[string][]string{
				"credential/eks":                    {"credential/oidc"},
				"internal/controller/accessrequest": {"internal/controller/remotecluster"},
				"trust":                             {"grant"},
			},
			want: []string{
				`credential/eks imports credential/oidc, its neighbour`,
				`internal/controller/accessrequest imports internal/controller/remotecluster, its neighbour`,
				`trust imports grant, its neighbour`,
			},
		},
		{
			name: "a neighbour is right where the table says so, one way",
			graph: map[string][]string{
				"internal/cli":     {"internal/gate"},
				"internal/manager": {"internal/cli"},
			},
			want: []string{`internal/manager imports internal/cli, its neighbour`},
		},
		{
			name: "a package and the packages in its folders are one house",
			graph: map[string][]string{
				"endpoint/policy": {"endpoint"},
				"internal/cli":    {"internal/cli/join"},
			},
		},
		{
			name:  "a shared beginning of the name is not a folder",
			graph: map[string][]string{"endpoint/policy": {"endpoint/policytable"}},
			want:  []string{`endpoint/policy imports endpoint/policytable, its neighbour`},
		},
		{
			name:  "an unknown package has to find its place",
			graph: map[string][]string{"internal/status": {"api/v1alpha1"}},
			want:  []string{`internal/status has no place in the order: add it to the table "layers" in architecture_test.go`},
		},
		{
			name: "the fleet and the AWS of tests are for tests, benchmarks and the demo",
			graph: map[string][]string{
				"aws":                     {"internal/awstest"},
				"internal/manager":        {"fleettest"},
				"hack/release":            {"fleettest"},
				"hack/demo":               {"fleettest", "internal/awstest"},
				"internal/bench/renewals": {"fleettest", "internal/awstest", "fleet"},
				"internal/awstest":        {"fleettest"},
				"fleettest":               {"api/v1alpha1", "member"},
			},
			want: []string{
				`aws imports internal/awstest outside of its tests`,
				`hack/release imports fleettest outside of its tests`,
				`internal/manager imports fleettest outside of its tests`,
			},
		},
		{
			name:  "an AWS that judges does not share the mistakes of what it judges",
			graph: map[string][]string{"internal/awstest": {"aws"}},
			want:  []string{`internal/awstest imports aws, which stands above it`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := checkImports(test.graph)
			if len(got) != len(test.want) {
				t.Fatalf("want %d violations, got %d:\n%s", len(test.want), len(got), strings.Join(got, "\n"))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("want a violation with %q, got %q", want, got[i])
				}
			}
		})
	}
}

func TestIsPackageDoc(t *testing.T) {
	tests := map[string]struct {
		source string
		want   bool
	}{
		"a comment of the package":     {"// Package a owns a.\npackage a\n", true},
		"none":                         {"package a\n", false},
		"a header of the file":         {"// SPDX-License-Identifier: Apache-2.0\n\npackage a\n", false},
		"a header without its blank":   {"// SPDX-License-Identifier: Apache-2.0\npackage a\n", false},
		"another package's comment":    {"// Package b owns b.\npackage a\n", false},
		"the comment of a program":     {"// Command hawser ties clusters together.\npackage main\n", true},
		"a directive for the compiler": {"//go:build linux\npackage a\n", false},
	}
	got, want := map[string]bool{}, map[string]bool{}
	for name, test := range tests {
		file, err := parser.ParseFile(token.NewFileSet(), "a.go", test.source, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatalf("parsing %q: %v", name, err)
		}
		got[name], want[name] = isPackageDoc(file), test.want
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("is it a package comment? (-want +got)\n%s", diff)
	}
}

// checkImports returns what is wrong with the imports of the module, as one
// message for each import or package. The graph names packages by their folder.
func checkImports(graph map[string][]string) []string {
	var violations []string
	report := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }

	for _, from := range slices.Sorted(maps.Keys(graph)) {
		fromLayer := layerOf(from)
		if fromLayer < 0 {
			report(`%s has no place in the order: add it to the table "layers" in architecture_test.go and to docs/architecture.md`, from)
			continue
		}
		for _, to := range graph[from] {
			toLayer := layerOf(to)
			switch {
			case toLayer < 0: // reported as a package of its own
			case slices.Contains(testOnly, to) && !slices.Contains(testOnly, from) && !matchesAny(testOnlyImporters, from):
				report("%s imports %s outside of its tests: only tests, internal/bench and hack/demo may", from, to)
			case toLayer > fromLayer:
				report("%s imports %s, which stands above it (layer %d %v over layer %d %v): move what both need down, or declare an interface in %s and hand it in",
					from, to, toLayer, layers[toLayer], fromLayer, layers[fromLayer], from)
			case toLayer == fromLayer && !sameHouse(from, to) && !slices.Contains(sameLayer[from], to):
				report(`%s imports %s, its neighbour in layer %d %v: move what both need down, or add the pair to the table "sameLayer" in architecture_test.go with its reason`,
					from, to, fromLayer, layers[fromLayer])
			}
		}
	}
	return violations
}

// layerOf returns the index of the package's layer, -1 for none.
func layerOf(pkg string) int {
	return slices.IndexFunc(layers, func(patterns []string) bool { return matchesAny(patterns, pkg) })
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if folder, ok := strings.CutSuffix(pattern, "..."); ok {
			return strings.HasPrefix(pkg, folder)
		}
		return pkg == pattern
	})
}

// sameHouse says that one package lies in a folder of the other.
func sameHouse(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

func isPackageDoc(file *ast.File) bool {
	if file.Doc == nil {
		return false
	}
	want := "Package " + file.Name.Name + " "
	if file.Name.Name == "main" {
		want = "Command "
	}
	return strings.HasPrefix(file.Doc.Text(), want)
}

// relative returns the package's folder in the module.
func relative(module, importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// listPackages returns the module's path and its packages, also those that do
// not compile: their own tests say so.
func listPackages(t *testing.T) (string, []goPackage) {
	t.Helper()
	readSourceTree(t)

	goTool := func(args ...string) []byte {
		t.Helper()
		command := exec.CommandContext(t.Context(), "go", args...)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("running go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return out
	}

	var packages []goPackage
	decoder := json.NewDecoder(bytes.NewReader(goTool("list", "-e", "-json=ImportPath,Name,Dir,GoFiles,CgoFiles,Imports,Deps", "./...")))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the output of go list: %v", err)
		}
		packages = append(packages, p)
	}
	return string(bytes.TrimSpace(goTool("list", "-m"))), packages
}

// readSourceTree opens every Go file and folder of the module, so that `go
// test` knows what the result depends on and does not serve an old one from its
// cache: it sees what the test reads, not what `go list` reads for it.
func readSourceTree(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || name == "bin" || name == "devfleet"):
			return fs.SkipDir
		case filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go"):
			_, err := os.ReadFile(name)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatalf("reading the source tree: %v", err)
	}
}
