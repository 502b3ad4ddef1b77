package exec

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Parameter is a place in an entry's arguments and variables, $(name), that whoever selects the entry fills.
// What it is filled with stays one argument, or a part of one, and never becomes a program or a variable's name.
type Parameter struct {
	Name string
	// Pattern that the whole value has to match (RE2). Empty means defaultPattern.
	Pattern string
	// Default is taken where no value is given. Nil: one has to be.
	Default *string
}

// defaultPattern lets in names, addresses and ARNs, and nothing that a program could take for an option.
const defaultPattern = `[A-Za-z0-9][A-Za-z0-9._:/@=+-]*`

// maxValue bounds one value.
const maxValue = 2048

var (
	parameterName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	// placeholder is a $(name), or one that is meant as it is: $$(name).
	placeholder = regexp.MustCompile(`\$\$?\([^()]*\)`)
)

func (p Parameter) validate() error {
	if !parameterName.MatchString(p.Name) {
		return fmt.Errorf("parameter %q: a name has letters, digits, - and _ only, and begins with a letter", p.Name)
	}
	if _, err := p.expression(); err != nil {
		return fmt.Errorf("parameter %q: its pattern: %w", p.Name, err)
	}
	if p.Default != nil {
		return p.check(*p.Default)
	}
	return nil
}

func (p Parameter) expression() (*regexp.Regexp, error) {
	pattern := p.Pattern
	if pattern == "" {
		pattern = defaultPattern
	}
	if _, err := regexp.Compile(pattern); err != nil { // by itself: it must not close our parenthesis
		return nil, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// check refuses a value. It is not quoted: parameters are no secrets, and may be mistaken for a place for one.
func (p Parameter) check(value string) error {
	expression, err := p.expression()
	switch {
	case err != nil:
		return err
	case len(value) > maxValue:
		return fmt.Errorf("parameter %q: its value is longer than %d bytes", p.Name, maxValue)
	case strings.ContainsFunc(value, unicode.IsControl):
		return fmt.Errorf("parameter %q: its value has control characters", p.Name)
	case !expression.MatchString(value):
		return fmt.Errorf("parameter %q: its value does not match %s", p.Name, expression)
	}
	return nil
}

// validateParameters refuses places that nobody fills, and parameters without a place.
func (p Provider) validateParameters() error {
	var errs []error
	declared := map[string]bool{} // false: without a place yet
	for _, parameter := range p.Parameters {
		if _, twice := declared[parameter.Name]; twice {
			errs = append(errs, fmt.Errorf("parameter %q is declared twice", parameter.Name))
		}
		declared[parameter.Name] = false
		errs = append(errs, parameter.validate())
	}
	if len(p.Parameters) == 0 {
		return nil // $(…) means nothing here
	}
	if placeholder.MatchString(p.Command) {
		errs = append(errs, errors.New("command holds a $(…): the program is fixed"))
	}
	for _, text := range p.places() {
		for _, name := range placesIn(text) {
			if _, ok := declared[name]; !ok {
				errs = append(errs, fmt.Errorf("$(%s) is none of its parameters", name))
			}
			declared[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if !declared[name] {
			errs = append(errs, fmt.Errorf("parameter %q has no place: put $(%s) into an argument or a variable", name, name))
		}
	}
	return errors.Join(errs...)
}

// places are the texts that may hold a $(…).
func (p Provider) places() []string {
	texts := slices.Clone(p.Args)
	for _, v := range p.Env {
		texts = append(texts, v.Value)
	}
	return texts
}

func placesIn(text string) (names []string) {
	for _, found := range placeholder.FindAllString(text, -1) {
		if !strings.HasPrefix(found, "$$") {
			names = append(names, found[2:len(found)-1])
		}
	}
	return names
}

// Fill returns the plugin with its parameters filled in. A value that was not declared, does not match, or is
// missing is an error. Values are put in once: one that looks like a place is none.
func (p Provider) Fill(values map[string]string) (Plugin, error) {
	plugin := p.Plugin
	plugin.Args, plugin.Env = slices.Clone(p.Args), slices.Clone(p.Env)
	filled := map[string]string{}
	for _, parameter := range p.Parameters {
		value, given := values[parameter.Name]
		switch {
		case given:
			if err := parameter.check(value); err != nil {
				return Plugin{}, err
			}
		case parameter.Default == nil:
			return Plugin{}, fmt.Errorf("parameter %q is missing", parameter.Name)
		default:
			value = *parameter.Default
		}
		filled[parameter.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, declared := filled[name]; !declared {
			return Plugin{}, fmt.Errorf("parameter %q is not one that the entry declares", name)
		}
	}
	if len(filled) == 0 {
		return plugin, plugin.Validate()
	}
	for i := range plugin.Args {
		plugin.Args[i] = fill(plugin.Args[i], filled)
	}
	for i := range plugin.Env {
		plugin.Env[i].Value = fill(plugin.Env[i].Value, filled)
	}
	return plugin, plugin.Validate()
}

func fill(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if escaped, ok := strings.CutPrefix(found, "$$"); ok {
			return "$" + escaped
		}
		return values[found[2:len(found)-1]]
	})
}
