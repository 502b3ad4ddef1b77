package fedtest

import (
	"fmt"
	"slices"
	"strings"
)

// Term is a selector as it is written, and what it means. Labels that are nil are those of nothing, as of the namespace
// that a node is in: all() does not hold of these, and what is denied does.
type Term struct {
	Text  string
	Holds func(labels map[string]string) bool
}

// about is a term about one label.
func about(label, form string, of func(value string, ok bool) bool) Term {
	return Term{label + " " + form, func(labels map[string]string) bool {
		value, ok := labels[label]
		return of(value, ok)
	}}
}

// Is is label == "value".
func Is(label, value string) Term {
	return about(label, fmt.Sprintf("== %q", value), func(v string, ok bool) bool { return ok && v == value })
}

// IsNot is label != 'value', which a missing label is, too.
func IsNot(label, value string) Term {
	return about(label, fmt.Sprintf("!= '%s'", value), func(v string, ok bool) bool { return !ok || v != value })
}

// In is label in {"a", "b"}.
func In(label string, values ...string) Term {
	return about(label, "in "+braced(values), func(v string, ok bool) bool { return ok && slices.Contains(values, v) })
}

// NotIn is label not in {"a", "b"}, which a missing label is, too.
func NotIn(label string, values ...string) Term {
	return about(label, "not in "+braced(values), func(v string, ok bool) bool { return !ok || !slices.Contains(values, v) })
}

// Starts is label starts with "a".
func Starts(label, with string) Term {
	return about(label, fmt.Sprintf("starts with %q", with), func(v string, ok bool) bool { return ok && strings.HasPrefix(v, with) })
}

// Ends is label ends with "a".
func Ends(label, with string) Term {
	return about(label, fmt.Sprintf("ends with %q", with), func(v string, ok bool) bool { return ok && strings.HasSuffix(v, with) })
}

// Contains is label contains "a".
func Contains(label, part string) Term {
	return about(label, fmt.Sprintf("contains %q", part), func(v string, ok bool) bool { return ok && strings.Contains(v, part) })
}

func braced(values []string) string {
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, fmt.Sprintf("%q", v))
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}

// Has is has(label).
func Has(label string) Term {
	return Term{"has(" + label + ")", func(labels map[string]string) bool { _, ok := labels[label]; return ok }}
}

// Everything is all().
func Everything() Term {
	return Term{"all()", func(labels map[string]string) bool { return labels != nil }}
}

// Not is !(…).
func Not(t Term) Term {
	return Term{"!(" + t.Text + ")", func(labels map[string]string) bool { return !t.Holds(labels) }}
}

// And is (… && …).
func And(all ...Term) Term {
	return Term{joined(" && ", all), func(labels map[string]string) bool {
		return !slices.ContainsFunc(all, func(t Term) bool { return !t.Holds(labels) })
	}}
}

// Or is (… || …).
func Or(all ...Term) Term {
	return Term{joined(" || ", all), func(labels map[string]string) bool {
		return slices.ContainsFunc(all, func(t Term) bool { return t.Holds(labels) })
	}}
}

func joined(operator string, all []Term) string {
	var texts []string
	for _, t := range all {
		texts = append(texts, t.Text)
	}
	return "(" + strings.Join(texts, operator) + ")"
}
