package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mutation takes one guard away, or those that stand one behind the other.
type mutation struct {
	// attempt is the name of the test that then fails, as it is written in the code; a slash goes into its parts.
	attempt string
	// guard says what holds the attempt off.
	guard string
	edits []edit
}

// edit replaces text that occurs once in a file.
type edit struct{ file, old, new string }

// is reports whether a mutation is meant by any of the names. None means all.
func (m mutation) is(names []string) bool {
	return len(names) == 0 || slices.ContainsFunc(names, func(name string) bool {
		return strings.Contains(m.attempt, name) || strings.Contains(m.guard, name)
	})
}

// name is that of the test as `go test` prints it.
func (m mutation) name() string { return strings.ReplaceAll(m.attempt, " ", "_") }

// tests is the package that it is in.
func (m mutation) tests() string {
	if strings.HasPrefix(m.attempt, onTheCache) {
		return "./internal/attempts/cache"
	}
	return "./internal/attempts"
}

// patternOf runs these tests, and with several of one depth hardly any other.
func patternOf(group []mutation) string {
	var levels [][]string
	for _, m := range group {
		for i, part := range strings.Split(m.name(), "/") {
			if i == len(levels) {
				levels = append(levels, nil)
			}
			if part = regexp.QuoteMeta(part); !slices.Contains(levels[i], part) {
				levels[i] = append(levels[i], part)
			}
		}
	}
	var parts []string
	for _, level := range levels {
		parts = append(parts, "^("+strings.Join(level, "|")+")$")
	}
	return strings.Join(parts, "/")
}

// lonely reports whether others cannot be made without the guard.
func (m mutation) lonely() bool {
	return slices.Contains(noWorld, m.attempt) || slices.Contains(alone, m.attempt)
}

// touches reports whether both change the same text.
func (m mutation) touches(other mutation) bool {
	return slices.ContainsFunc(m.edits, func(e edit) bool {
		return slices.ContainsFunc(other.edits, func(o edit) bool {
			return e.file == o.file && (strings.Contains(e.old, o.old) || strings.Contains(o.old, e.old))
		})
	})
}

func (m mutation) files() []string { return filesOf(m.edits) }

func (m mutation) apply(file, text string) (string, error) { return apply(m.edits, file, text) }

func filesOf(edits []edit) []string {
	var files []string
	for _, e := range edits {
		if !slices.Contains(files, e.file) {
			files = append(files, e.file)
		}
	}
	return files
}

// apply changes the text of one of the files.
func apply(edits []edit, file, text string) (string, error) {
	for _, e := range edits {
		if e.file != file {
			continue
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("taking the guard away: %s has %d times what is to be replaced, want once: %q", file, n, e.old)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text, nil
}
