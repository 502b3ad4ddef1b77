package main

import (
	"fmt"
	"slices"
	"strings"
)

// term is a selector as it is written, and what it means, said in plain Go: what is compared with shares no code with
// what is judged, neither the parser nor the index.
type term struct {
	text  string
	holds func(labels map[string]string) bool
}

// test is a term about one label.
func test(label, form string, of func(value string, ok bool) bool) term {
	return term{label + " " + form, func(labels map[string]string) bool {
		value, ok := labels[label]
		return of(value, ok)
	}}
}

func is(label, value string) term {
	return test(label, fmt.Sprintf("== %q", value), func(v string, ok bool) bool { return ok && v == value })
}

func isNot(label, value string) term {
	return test(label, fmt.Sprintf("!= '%s'", value), func(v string, ok bool) bool { return !ok || v != value })
}

func oneOf(label string, values ...string) term {
	return test(label, "in "+braced(values), func(v string, ok bool) bool { return ok && slices.Contains(values, v) })
}

func notIn(label string, values ...string) term {
	return test(label, "not in "+braced(values), func(v string, ok bool) bool { return !ok || !slices.Contains(values, v) })
}

func starts(label, with string) term {
	return test(label, fmt.Sprintf("starts with %q", with), func(v string, ok bool) bool { return ok && strings.HasPrefix(v, with) })
}

func ends(label, with string) term {
	return test(label, fmt.Sprintf("ends with %q", with), func(v string, ok bool) bool { return ok && strings.HasSuffix(v, with) })
}

func contains(label, part string) term {
	return test(label, fmt.Sprintf("contains %q", part), func(v string, ok bool) bool { return ok && strings.Contains(v, part) })
}

func braced(values []string) string {
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, fmt.Sprintf("%q", v))
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}

func has(label string) term {
	return term{"has(" + label + ")", func(labels map[string]string) bool { _, ok := labels[label]; return ok }}
}

func everything() term { return term{"all()", func(map[string]string) bool { return true }} }

func not(t term) term {
	return term{"!(" + t.text + ")", func(labels map[string]string) bool { return !t.holds(labels) }}
}

func and(all ...term) term {
	return term{joined(" && ", all), func(labels map[string]string) bool {
		return !slices.ContainsFunc(all, func(t term) bool { return !t.holds(labels) })
	}}
}

func or(all ...term) term {
	return term{joined(" || ", all), func(labels map[string]string) bool {
		return slices.ContainsFunc(all, func(t term) bool { return t.holds(labels) })
	}}
}

func joined(operator string, all []term) string {
	var texts []string
	for _, t := range all {
		texts = append(texts, t.text)
	}
	return "(" + strings.Join(texts, operator) + ")"
}
