package bootstrap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is an IAM policy document.
type document struct {
	Version   string
	Statement []statement
}

// policyVersion is the version of IAM's policy language, not a date of ours.
const policyVersion = "2012-10-17"

func documentOf(statements ...statement) document {
	return document{Version: policyVersion, Statement: statements}
}

// statement is one statement of a policy document. Its names are IAM's, in YAML too.
type statement struct {
	Sid          string           `yaml:"Sid" json:",omitempty"`
	Effect       string           `yaml:"Effect"`
	Principal    map[string]texts `yaml:"Principal" json:",omitempty"`
	NotPrincipal map[string]texts `yaml:"NotPrincipal" json:",omitempty"`
	Action       texts            `yaml:"Action"`
	Resource     texts            `yaml:"Resource" json:",omitempty"`
	Condition    conditions       `yaml:"Condition" json:",omitempty"`
}

// conditions are values by operator and key.
type conditions map[string]map[string]values

// texts is a list of texts, written as one text or as a list.
type texts []string

// values are what a condition compares with: IAM takes numbers and truth values, too, and all of them as text.
type values []string

func (texts) scalars() bool  { return false }
func (values) scalars() bool { return true }

// UnmarshalYAML takes one text or a list of them.
func (t *texts) UnmarshalYAML(n *yaml.Node) error { *t = textsOf(n); return nil }

// UnmarshalYAML takes one value or a list of them, spelled as they are written.
func (v *values) UnmarshalYAML(n *yaml.Node) error { *v = textsOf(n); return nil }

// MarshalJSON writes a single value without a list, as people do.
func (v values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return json.Marshal(v[0])
	}
	return json.Marshal([]string(v))
}

func textsOf(n *yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	all := make([]string, len(n.Content))
	for i, item := range n.Content {
		all[i] = item.Value
	}
	return all
}

// allow is a statement that allows actions on resources.
func allow(resources texts, actions ...string) statement {
	return statement{Effect: "Allow", Action: actions, Resource: resources}
}

// trust is a statement that lets a principal take on a role.
func trust(kind string, principals texts, actions ...string) statement {
	return statement{Effect: "Allow", Principal: map[string]texts{kind: principals}, Action: actions}
}

// under puts a statement under a condition.
func (s statement) under(operator, key string, value ...string) statement {
	all := conditions{}
	for o, keys := range s.Condition {
		all[o] = map[string]values{}
		for k, v := range keys {
			all[o][k] = v
		}
	}
	if all[operator] == nil {
		all[operator] = map[string]values{}
	}
	all[operator][key] = value
	s.Condition = all
	return s
}

// actions names several actions of one service: actions("sts", "AssumeRole TagSession").
func actions(service, names string) []string {
	all := strings.Fields(names)
	for i, name := range all {
		all[i] = service + ":" + name
	}
	return all
}

// checkStatements looks at statements that a person wrote: in a trust policy, or in a policy of a role or user.
func (c *checker) checkStatements(path string, all []statement, isTrust bool) {
	for i, s := range all {
		here := fmt.Sprintf("%s[%d]", path, i)
		switch s.Effect {
		case "Allow", "Deny":
		case "":
			c.add(here, "it has no Effect: Allow or Deny")
		default:
			c.add(here+".Effect", "%q is neither Allow nor Deny", s.Effect)
		}
		if len(s.Action) == 0 {
			c.add(here, "it has no Action")
		}
		if isTrust {
			c.checkTrust(here, s)
		} else {
			c.checkPermission(here, s)
		}
		c.checkPrincipals(here+".Principal", s.Principal)
		c.checkPrincipals(here+".NotPrincipal", s.NotPrincipal)
	}
}

func (c *checker) checkTrust(path string, s statement) {
	if len(s.Principal)+len(s.NotPrincipal) == 0 {
		c.add(path, "it has no Principal: a trust policy says who may take on the role")
	}
	if len(s.Resource) > 0 {
		c.add(path+".Resource", "a trust policy has none: the role itself is the resource")
	}
}

func (c *checker) checkPermission(path string, s statement) {
	if len(s.Principal)+len(s.NotPrincipal) > 0 {
		c.add(path, "it has a Principal: that belongs into trustStatements")
	}
	if len(s.Resource) == 0 {
		c.add(path, "it has no Resource")
	}
}

func (c *checker) checkPrincipals(path string, principals map[string]texts) {
	for kind := range principals {
		if !slices.Contains([]string{"AWS", "Federated", "Service"}, kind) {
			c.add(path+"."+kind, "there is no such principal: there is AWS, Federated and Service")
		}
	}
}
