package awstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// policy is a policy document: of a role's trust, of a role or user, or of a session.
type policy struct {
	Version   string
	ID        string `json:"Id,omitempty"`
	Statement []statement

	source string            // the document as it was given
	ids    map[string]string // of a trust policy: the unique ID of each role and user that it names
}

type statement struct {
	Sid          string `json:",omitempty"`
	Effect       string
	Principal    principals `json:",omitempty"`
	NotPrincipal principals `json:",omitempty"`
	Action       list       `json:",omitempty"`
	NotAction    list       `json:",omitempty"`
	Resource     list       `json:",omitempty"`
	NotResource  list       `json:",omitempty"`
	// Condition is from operator to key to values.
	Condition map[string]map[string]list `json:",omitempty"`
}

// list is one string or several.
type list []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *list) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// principals are by kind: AWS, Federated, Service. "*" alone is {"AWS": "*"}.
type principals map[string]list

// UnmarshalJSON implements json.Unmarshaler.
func (p *principals) UnmarshalJSON(data []byte) error {
	if string(data) == `"*"` {
		*p = principals{"AWS": {"*"}}
		return nil
	}
	return json.Unmarshal(data, (*map[string]list)(p))
}

// parsePolicy reads a document as strictly as IAM does: an unknown field, effect or condition operator is an error.
func parsePolicy(document string) (*policy, error) {
	p := policy{source: document}
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.DisallowUnknownFields()
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := decoder.Decode(&raw); err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading policy: something follows it")
	}
	p.Version, p.ID = raw.Version, raw.ID
	if p.Version != "2012-10-17" && p.Version != "2008-10-17" {
		return nil, fmt.Errorf("reading policy: version %q", p.Version)
	}
	statements := bytes.TrimSpace(raw.Statement)
	if bytes.HasPrefix(statements, []byte("{")) { // a single one needs no list
		statements = slices.Concat([]byte("["), statements, []byte("]"))
	}
	decoder = json.NewDecoder(bytes.NewReader(statements))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p.Statement); err != nil {
		return nil, fmt.Errorf("reading statements: %w", err)
	}
	for i, st := range p.Statement {
		if err := st.check(); err != nil {
			return nil, fmt.Errorf("reading statement %d: %w", i, err)
		}
	}
	return &p, nil
}

var actionPattern = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)

func (st statement) check() error {
	if st.Effect != "Allow" && st.Effect != "Deny" {
		return fmt.Errorf("effect %q", st.Effect)
	}
	if (len(st.Action) == 0) == (len(st.NotAction) == 0) {
		return errors.New("it needs either Action or NotAction")
	}
	for _, action := range slices.Concat(st.Action, st.NotAction) {
		if !actionPattern.MatchString(action) {
			return fmt.Errorf("action %q", action)
		}
	}
	for operator := range st.Condition {
		if _, ok := parseOperator(operator); !ok {
			return fmt.Errorf("condition operator %q is not played here", operator)
		}
	}
	return nil
}

// question is what a policy is asked.
type question struct {
	action   string
	resource string
	// context has the condition keys, in lower case.
	context map[string][]string
	// caller is who asks, for policies with principals.
	caller *asker
}

// decision is the answer of one policy.
type decision int

const (
	silent  decision = iota // nothing of it applies
	allowed                 // to the caller's account, to a service or to everyone
	granted                 // to the caller by name: it needs no permission of its own
	denied
)

// decide evaluates a policy. A denial beats all.
func (p *policy) decide(q question) decision {
	result := silent
	for _, st := range p.Statement {
		who, ok := p.matchPrincipal(st, q.caller)
		if !ok || !matchList(st.Action, st.NotAction, q.action, true) || !st.matchResource(q) || !st.matchConditions(q.context) {
			continue
		}
		if st.Effect == "Deny" {
			return denied
		}
		result = max(result, who)
	}
	return result
}

// matchResource: trust policies have none.
func (st statement) matchResource(q question) bool {
	if len(st.Resource) == 0 && len(st.NotResource) == 0 {
		return q.caller != nil
	}
	return matchList(st.Resource, st.NotResource, q.resource, false)
}

func matchList(in, notIn list, value string, fold bool) bool {
	match := func(pattern string) bool { return matchWildcards(pattern, value, fold) }
	if len(notIn) > 0 {
		return !slices.ContainsFunc(notIn, match)
	}
	return slices.ContainsFunc(in, match)
}

// matchWildcards knows * (any characters, also none and slashes) and ? (one character).
func matchWildcards(pattern, value string, fold bool) bool {
	if fold {
		pattern, value = strings.ToLower(pattern), strings.ToLower(value)
	}
	for i := range len(pattern) {
		switch {
		case pattern[i] == '*':
			for j := i; j <= len(value); j++ {
				if matchWildcards(pattern[i+1:], value[j:], false) {
					return true
				}
			}
			return false
		case i >= len(value), pattern[i] != '?' && pattern[i] != value[i]:
			return false
		}
	}
	return len(pattern) == len(value)
}

// operator is a parsed condition operator.
type operator struct {
	compare        func(want, have string) bool
	not            bool
	ifExists       bool
	forAll, forAny bool
}

func parseOperator(text string) (operator, bool) {
	var op operator
	text, op.ifExists = strings.CutSuffix(text, "IfExists")
	text, op.forAll = strings.CutPrefix(text, "ForAllValues:")
	text, op.forAny = strings.CutPrefix(text, "ForAnyValue:")
	equal := func(want, have string) bool { return want == have }
	like := func(want, have string) bool { return matchWildcards(want, have, false) }
	switch text {
	case "StringEquals":
		op.compare = equal
	case "StringNotEquals":
		op.compare, op.not = equal, true
	case "StringEqualsIgnoreCase":
		op.compare = strings.EqualFold
	case "StringLike", "ArnLike", "ArnEquals":
		op.compare = like
	case "StringNotLike", "ArnNotLike", "ArnNotEquals":
		op.compare, op.not = like, true
	case "Bool":
		op.compare = strings.EqualFold
	default:
		return op, false
	}
	return op, true
}

// matchConditions says whether all hold. A key that the request does not have fails all operators but the
// negated ones, those with IfExists and ForAllValues.
func (st statement) matchConditions(context map[string][]string) bool {
	for text, keys := range st.Condition {
		op, _ := parseOperator(text)
		for key, wants := range keys {
			if !op.match(wants, context[strings.ToLower(key)]) {
				return false
			}
		}
	}
	return true
}

func (op operator) match(wants, haves []string) bool {
	if len(haves) == 0 {
		return op.ifExists || op.forAll || (op.not && !op.forAny)
	}
	one := func(have string) bool {
		return op.not != slices.ContainsFunc(wants, func(want string) bool { return op.compare(want, have) })
	}
	if op.forAny {
		return slices.ContainsFunc(haves, one)
	}
	return !slices.ContainsFunc(haves, func(have string) bool { return !one(have) })
}
