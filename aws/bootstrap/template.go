package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/awslabs/goformation/v4/cloudformation/iam"
	"github.com/awslabs/goformation/v4/cloudformation/tags"
	"sigs.k8s.io/yaml"
)

// template is a CloudFormation template. Resources are goformation's types, which know the names of their
// properties. Its own Template and intrinsics are not used: they guess from a text whether it is a function
// (any text that is base64 of JSON becomes one), and what people write in a configuration must stay text.
type template struct {
	Description string
	Resources   map[string]any
	Outputs     map[string]output
}

type output struct {
	Description string
	Value       string
}

// Functions of CloudFormation stand in texts with a mark before them that no configuration can contain.
const (
	markSub = "\x00Sub:"
	markRef = "\x00Ref:"
	markARN = "\x00ARN:"
)

// sub is a text with ${AWS::Partition} and the like in it.
func sub(format string, args ...any) string { return markSub + fmt.Sprintf(format, args...) }

// ref names another resource of the template, and roleARN its ARN.
func ref(id string) string     { return markRef + id }
func roleARN(id string) string { return markARN + id }

func function(text string) (any, bool) {
	if v, ok := strings.CutPrefix(text, markSub); ok {
		return map[string]any{"Fn::Sub": v}, true
	}
	if v, ok := strings.CutPrefix(text, markRef); ok {
		return map[string]any{"Ref": v}, true
	}
	if v, ok := strings.CutPrefix(text, markARN); ok {
		return map[string]any{"Fn::GetAtt": []any{v, "Arn"}}, true
	}
	return nil, false
}

// withFunctions puts functions where their marks are.
func withFunctions(v any) any {
	switch v := v.(type) {
	case string:
		if f, ok := function(v); ok {
			return f
		}
	case []any:
		for i := range v {
			v[i] = withFunctions(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = withFunctions(v[key])
		}
	}
	return v
}

// encode writes the template; the same one always becomes the same bytes.
func (t *template) encode(format Format) ([]byte, error) {
	whole := map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              t.Description,
		"Resources":                t.Resources,
	}
	if len(t.Outputs) > 0 {
		whole["Outputs"] = t.Outputs
	}
	marked, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("writing the template: %w", err)
	}
	var plain any
	if err := json.Unmarshal(marked, &plain); err != nil {
		return nil, fmt.Errorf("writing the template: %w", err)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(withFunctions(plain)); err != nil {
		return nil, fmt.Errorf("writing the template: %w", err)
	}
	if format == JSON {
		return text.Bytes(), nil
	}
	inYAML, err := yaml.JSONToYAML(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("writing the template: %w", err)
	}
	return inYAML, nil
}

// tagList puts tags in the order of their keys.
func tagList(all map[string]string) []tags.Tag {
	var list []tags.Tag
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, tags.Tag{Key: key, Value: all[key]})
	}
	return list
}

// inline is the one inline policy of a role, or none.
func inline(name string, statements []statement) []iam.Role_Policy {
	if len(statements) == 0 {
		return nil
	}
	return []iam.Role_Policy{{PolicyName: name, PolicyDocument: documentOf(statements...)}}
}
