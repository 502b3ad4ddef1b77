package selector_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference evaluates the text of a selector by other means than the package does: regular expressions
// for what stands in it, and splitting at the operators. It is slow, and knows no bounds.
type reference struct {
	labels      map[string]string
	all, global bool // what all() and global() are
}

const (
	blanks  = `[ \t]*`
	anIdent = `([A-Za-z0-9_./-]{1,512})`
	aString = `(?:"[^"]*"|'[^']*')`
)

var (
	operators = regexp.MustCompile(`^(?:\|\||&&|!|\(|\))`)
	functions = regexp.MustCompile(`^(all|global)\(` + blanks + `\)`)
	has       = regexp.MustCompile(`^has\(` + blanks + anIdent + blanks + `\)`)
	equality  = regexp.MustCompile(`^` + anIdent + blanks + `(==|!=)` + blanks + `(` + aString + `)`)
	words     = regexp.MustCompile(`^` + anIdent + `[ \t]+(contains|starts` + blanks + `with|ends` + blanks + `with)` + blanks + `(` + aString + `)`)
	sets      = regexp.MustCompile(`^` + anIdent + `[ \t]+(not` + blanks + `in|in)` + blanks + `\{` + blanks +
		`((?:` + aString + blanks + `,` + blanks + `)*(?:` + aString + blanks + `)?)\}`)
	members = regexp.MustCompile(aString)
)

// part is an operator, or what a test has come out as.
type part struct {
	operator string
	result   bool
}

func (r reference) match(text string) (bool, error) {
	var parts []part
	for rest := strings.TrimLeft(text, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		p, length, err := r.part(rest)
		if err != nil {
			return false, err
		}
		parts = append(parts, p)
		rest = rest[length:]
	}
	if len(parts) == 0 {
		return r.all, nil
	}
	return r.join(parts, "||")
}

func (r reference) part(rest string) (part, int, error) {
	if m := functions.FindStringSubmatch(rest); m != nil {
		return part{result: map[string]bool{"all": r.all, "global": r.global}[m[1]]}, len(m[0]), nil
	}
	if m := has.FindStringSubmatch(rest); m != nil {
		_, ok := r.labels[m[1]]
		return part{result: ok}, len(m[0]), nil
	}
	if m := sets.FindStringSubmatch(rest); m != nil {
		value, ok := r.labels[m[1]]
		in := false
		for _, member := range members.FindAllString(m[3], -1) {
			in = in || ok && member[1:len(member)-1] == value
		}
		return part{result: in != strings.HasPrefix(m[2], "not")}, len(m[0]), nil
	}
	for _, form := range []*regexp.Regexp{equality, words} {
		if m := form.FindStringSubmatch(rest); m != nil {
			value, ok := r.labels[m[1]]
			return part{result: compare(m[2], value, ok, m[3][1:len(m[3])-1])}, len(m[0]), nil
		}
	}
	if operator := operators.FindString(rest); operator != "" {
		return part{operator: operator}, len(operator), nil
	}
	return part{}, 0, fmt.Errorf("nothing is written as %q begins", rest)
}

func compare(operator, value string, ok bool, with string) bool {
	switch operator[:1] {
	case "=":
		return ok && value == with
	case "!":
		return !ok || value != with
	case "c":
		return ok && strings.Contains(value, with)
	case "s":
		return ok && strings.HasPrefix(value, with)
	default:
		return ok && strings.HasSuffix(value, with)
	}
}

// join splits at the operator where no parentheses are open.
func (r reference) join(parts []part, operator string) (bool, error) {
	var results []bool
	for start, open, i := 0, 0, 0; i <= len(parts); i++ {
		if i == len(parts) || parts[i].operator == operator && open == 0 {
			result, err := r.operand(parts[start:i], operator)
			if err != nil {
				return false, err
			}
			results = append(results, result)
			start = i + 1
			continue
		}
		switch parts[i].operator {
		case "(":
			open++
		case ")":
			open--
		}
	}
	if operator == "||" {
		return slices.Contains(results, true), nil
	}
	return !slices.Contains(results, false), nil
}

func (r reference) operand(parts []part, of string) (bool, error) {
	if of == "||" {
		return r.join(parts, "&&")
	}
	switch {
	case len(parts) == 0:
		return false, fmt.Errorf("an operand is missing")
	case parts[0].operator == "!":
		result, err := r.operand(parts[1:], of)
		return !result, err
	case len(parts) == 1 && parts[0].operator == "":
		return parts[0].result, nil
	case len(parts) > 2 && parts[0].operator == "(" && parts[len(parts)-1].operator == ")":
		return r.join(parts[1:len(parts)-1], "||")
	}
	return false, fmt.Errorf("%v is no operand", parts)
}
