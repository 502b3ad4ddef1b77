package trust

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// mapping is the rules of an issuer: which claims are believed, and what name they make.
type mapping struct {
	rules    []rule
	username *expression // nil for the claim sub
	groups   *expression // nil for none
}

type rule struct {
	*expression
	message string
}

func newMapping(spec *v1alpha1.TrustedIssuerSpec) (*mapping, error) {
	m, verified := &mapping{}, false
	for i, r := range spec.ClaimRules {
		e, err := compileExpression(r.Expression, cel.BoolType)
		if err != nil {
			return nil, fmt.Errorf("compiling claimRules[%d]: %w", i, err)
		}
		m.rules = append(m.rules, rule{e, r.Message})
		verified = verified || e.selects("email_verified")
	}
	var err error
	if spec.Username != "" {
		if m.username, err = compileExpression(spec.Username, cel.StringType, cel.AnyType, cel.DynType); err != nil {
			return nil, fmt.Errorf("compiling username: %w", err)
		}
		// API servers refuse this too: with many issuers anybody may claim an address that is not theirs.
		if m.username.mentions("email") && !verified && !m.username.selects("email_verified") {
			return nil, errors.New("compiling username: it uses claims.email, so a claim rule must look at claims.email_verified")
		}
	}
	if spec.Groups != "" {
		if m.groups, err = compileExpression(spec.Groups, cel.ListType(cel.StringType), cel.ListType(cel.DynType), cel.ListType(cel.AnyType), cel.AnyType, cel.DynType); err != nil {
			return nil, fmt.Errorf("compiling groups: %w", err)
		}
	}
	return m, nil
}

// apply checks the rules and fills in the names.
func (m *mapping) apply(t *token, prefix string, id *Identity) *Refusal {
	for _, r := range m.rules {
		if value, err := r.eval(t.claims); err != nil {
			return refuse(ClaimRefused, "evaluating %q: %w", r.text, err)
		} else if value != types.True {
			return refuse(ClaimRefused, "%q does not hold: %s", r.text, r.message)
		}
	}
	id.Subject = t.subject
	if m.username != nil {
		value, err := m.username.eval(t.claims)
		if err != nil {
			return refuse(ClaimRefused, "evaluating username %q: %w", m.username.text, err)
		}
		text, ok := value.(types.String)
		if !ok {
			return refuse(SubjectRefused, "username %q gives %s, not a text", m.username.text, value.Type().TypeName())
		}
		id.Subject = string(text)
	}
	if err := checkName(prefix, id.Subject); err != nil {
		return refuse(SubjectRefused, "the user's name %w", err)
	}
	id.User = prefix + id.Subject
	groups, refusal := m.groupsOf(t)
	for _, g := range groups {
		if err := checkName(prefix, g); err != nil {
			return refuse(SubjectRefused, "a group's name %w", err)
		}
		id.Groups = append(id.Groups, prefix+g)
	}
	return refusal
}

// maxGroups is how many groups an identity may have.
const maxGroups = 256

func (m *mapping) groupsOf(t *token) ([]string, *Refusal) {
	if m.groups == nil {
		return nil, nil
	}
	value, err := m.groups.eval(t.claims)
	if err != nil {
		return nil, refuse(ClaimRefused, "evaluating groups %q: %w", m.groups.text, err)
	}
	list, err := value.ConvertToNative(listOfTexts)
	if err != nil {
		return nil, refuse(SubjectRefused, "groups %q does not give a list of texts", m.groups.text)
	}
	groups := list.([]string)
	if len(groups) > maxGroups {
		return nil, refuse(SubjectRefused, "it has %d groups, more than %d", len(groups), maxGroups)
	}
	return groups, nil
}

// maxName is the length of the longest name without its prefix, in characters.
const maxName = 512

// printable is what a name consists of: no control characters, none that cannot be seen or that turn
// the direction of writing, and none that stands for bytes that were no text. API servers get the
// same expression by Render.
const printable = `^[^\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\x{FFFD}]+$`

var printableName = regexp.MustCompile(printable)

func checkName(prefix, name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len([]rune(name)) > maxName:
		return fmt.Errorf("has more than %d characters", maxName)
	case !printableName.MatchString(name):
		return errors.New("has characters that cannot be printed")
	case strings.HasPrefix(prefix+name, "system:"): // no prefix makes this; if one ever does, it ends here
		return errors.New("is one of Kubernetes itself")
	}
	return nil
}

var listOfTexts = reflect.TypeFor[[]string]()
