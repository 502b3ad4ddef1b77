package selector_test

import (
	"strings"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/selector"
)

var (
	someLabels = []string{"a", "b", "x/y.z", "in", "has", "not", "all", "contains", selector.NamespaceLabel, selector.ServiceAccountLabel}
	someValues = []string{"", "x", "xy", "y", "yx", "it's", `"q"`, "all()", "global()", "a && b", "ü\n"}
)

// labelSets draws the labels of an endpoint, few enough of them to match now and then.
func labelSets() *rapid.Generator[map[string]string] {
	return rapid.MapOfN(rapid.SampledFrom(someLabels), rapid.SampledFrom(someValues), 0, 6)
}

// texts draws selectors in all that the grammar allows.
func texts() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return text(t, 3) })
}

// selectors draws texts in which global() does not stand.
func selectors() *rapid.Generator[string] {
	return texts().Filter(func(text string) bool { return !selector.MustParse(text).UsesGlobal() })
}

func text(t *rapid.T, depth int) string {
	kinds := []string{"test", "test", "test", "set", "has", "all", "global", "not"}
	if depth > 0 {
		kinds = append(kinds, "and", "or", "and", "or", "parentheses")
	}
	blank := func() string { return rapid.SampledFrom([]string{"", "", " ", "\t "}).Draw(t, "blank") }
	label := func() string { return rapid.SampledFrom(someLabels).Draw(t, "label") }
	var b strings.Builder
	write := func(words ...string) {
		b.WriteString(blank())
		for _, word := range words {
			b.WriteString(word + blank())
		}
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "test":
		operator := rapid.SampledFrom([]string{"==", "!=", " contains", " starts with", " startswith", " ends\twith", " endswith"})
		write(label(), operator.Draw(t, "operator"), literal(t))
	case "set":
		write(label(), rapid.SampledFrom([]string{" in", " not in", " notin"}).Draw(t, "operator"), "{")
		count := rapid.IntRange(0, 12).Draw(t, "count")
		for i := range count {
			write(literal(t))
			if i < count-1 || rapid.Bool().Draw(t, "trailing comma") {
				write(",")
			}
		}
		write("}")
	case "has":
		write("has(", label(), ")")
	case "all":
		write("all(", ")")
	case "global":
		write("global(", ")")
	case "not":
		write("!", text(t, 0))
	case "and":
		write(text(t, depth-1), "&&", text(t, depth-1))
	case "or":
		write(text(t, depth-1), "||", text(t, depth-1))
	default:
		write(strings.Repeat("!", rapid.IntRange(0, 2).Draw(t, "nots"))+"(", text(t, depth-1), ")")
	}
	return b.String()
}

func literal(t *rapid.T) string {
	value := rapid.SampledFrom(someValues).Draw(t, "value")
	switch {
	case strings.Contains(value, `"`):
		return `'` + value + `'`
	case strings.Contains(value, `'`) || rapid.Bool().Draw(t, "double quotes"):
		return `"` + value + `"`
	}
	return `'` + value + `'`
}
