package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/selector"
)

// Problem is what is wrong with one field.
type Problem struct {
	Field string // spec.ingress[2].source.selector
	Cause error
}

// Error implements error.
func (p *Problem) Error() string { return p.Field + ": " + p.Cause.Error() }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Problems are those of one policy, in the order of its fields.
type Problems []*Problem

// Error implements error, in one line.
func (p Problems) Error() string {
	var texts []string
	for _, one := range p {
		texts = append(texts, one.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives each of them.
func (p Problems) Unwrap() []error {
	var all []error
	for _, one := range p {
		all = append(all, one)
	}
	return all
}

// shownProblems is how many Describe tells of.
const shownProblems = 8

// Describe tells of the problems in lines for people, with the place in the selector where one cannot be read.
func (p Problems) Describe() string {
	var b strings.Builder
	for i, one := range p {
		if i == shownProblems {
			fmt.Fprintf(&b, "\nand %d more", len(p)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.Error())
		var syntax *selector.SyntaxError
		if errors.As(one.Cause, &syntax) {
			b.WriteString("\n" + syntax.Caret())
		}
	}
	return b.String()
}

// orNil is the problems as an error, nil where there are none.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

func (p *Problems) add(field string, cause error) {
	*p = append(*p, &Problem{Field: field, Cause: cause})
}
