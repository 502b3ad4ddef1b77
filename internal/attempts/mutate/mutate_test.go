package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsTakenAwayIsThere finds in no time that a guard was moved and the table not. That its attempt then succeeds
// only `make attempts` shows.
func TestWhatIsTakenAwayIsThere(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	seen := map[string]bool{}
	for _, m := range table {
		if id := m.attempt + "\n" + m.guard; seen[id] {
			t.Errorf("it is in the table twice: %s, %s", m.attempt, m.guard)
		} else {
			seen[id] = true
		}
		if len(m.edits) == 0 || m.guard == "" || !strings.HasPrefix(m.attempt, "TestAttempts") {
			t.Errorf("%s: it is not whole", m.attempt)
		}
		for _, file := range m.files() {
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := m.apply(file, string(text)); err != nil {
				t.Errorf("%s: %v", m.attempt, err)
			}
		}
	}
}

// TestAttemptsAreThoseOfTheTests holds the names of the table to what is written in the tests.
func TestAttemptsAreThoseOfTheTests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all strings.Builder
	for _, file := range append(files, filepath.Join("..", "cache", "cache_test.go")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, m := range table {
		for i, part := range strings.Split(m.attempt, "/") {
			quoted := `"` + part + `"`
			if i == 0 {
				quoted = "func " + part + "("
			}
			if !strings.Contains(all.String(), quoted) {
				t.Errorf("%s: no test has the part %s", m.attempt, quoted)
			}
		}
	}
}

func TestALeafIsATestWithoutParts(t *testing.T) {
	got := leaves([]byte("--- PASS: T (1s)\n    --- PASS: T/a (0s)\n        --- PASS: T/a/b (0s)\n    --- PASS: T/ab (0s)\nok\n"))
	if want := "T/a/b T/ab"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
