package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table in doc.go anew")

const (
	heading = "// # Attempts and their guards\n//\n"
	end     = "package attempts\n"
)

// TestTheDocumentationHasTheTable holds doc.go to the table.
func TestTheDocumentationHasTheTable(t *testing.T) {
	path := filepath.Join("..", "doc.go")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), heading)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("doc.go has no such part")
	}
	want := documentation()
	if *update {
		if err := os.WriteFile(path, []byte(before+heading+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("doc.go, write it anew with go test ./internal/attempts/mutate -update (-want +got):\n%s", diff)
	}
}

// documentation is the table in words: the attempts of each test, and below each its guards with where they are.
func documentation() string {
	var out strings.Builder
	group, attempt := "", ""
	for _, m := range table {
		of, name := filepath.Dir(m.attempt), filepath.Base(m.attempt)
		if of != group {
			if group != "" {
				out.WriteString("//\n")
			}
			group, attempt = of, ""
			_, words, parts := strings.Cut(of, "/")
			if !parts {
				words = "on the cache of hawser-auth"
			}
			out.WriteString("//\t" + words + "\n")
		}
		if name != attempt {
			attempt = name
			out.WriteString("//\t  " + name + "\n")
		}
		out.WriteString("//\t    " + m.guard + " (" + strings.Join(m.files(), ", ") + ")\n")
	}
	return out.String()
}
