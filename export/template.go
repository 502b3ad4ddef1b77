package export

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// fields are what a template may use: text, and nothing that has methods.
type fields struct {
	Name, Namespace, Cluster, ClusterID, Server, CAData, TLSServerName, ProxyURL, Token, ExpiresAt string
}

// makeTemplate is what the author's templates make. Whoever may write AccessRequests writes them: they can
// name fields and a few functions, and neither loop, nor recur, nor grow beyond what a Secret takes.
func makeTemplate(a Access, o v1alpha1.AccessOutput) (Output, error) {
	if o.Template == nil {
		return Output{}, errors.New("the block template is missing")
	}
	for _, label := range slices.Sorted(maps.Keys(o.Template.Labels)) {
		if reserved(label) {
			return Output{}, fmt.Errorf("label %q is Hawser's own", label)
		}
	}
	values := fields{
		Name: a.Name, Namespace: a.Namespace, Cluster: a.Cluster, ClusterID: a.ClusterID,
		Server: a.Endpoint.Server, CAData: string(a.Endpoint.CAData), TLSServerName: a.Endpoint.TLSServerName, ProxyURL: a.Endpoint.ProxyURL,
		Token: a.Token.Reveal(), ExpiresAt: a.ExpiresAt.UTC().Format(time.RFC3339),
	}
	data, left := map[string]string{}, MaxSize
	for _, key := range slices.Sorted(maps.Keys(o.Template.Data)) { // in order, so that the same fault is named each time
		value, err := execute(o.Template.Data[key], values, left)
		if err != nil {
			return Output{}, fmt.Errorf("the template of key %q: %w", key, err)
		}
		data[key] = value
		left -= len(value)
	}
	return Output{Type: corev1.SecretType(o.Template.Type), Labels: o.Template.Labels, Data: secretData(data)}, nil
}

// reserved reports whether a label says who made an object and for whom.
func reserved(label string) bool {
	domain, _, _ := strings.Cut(label, "/")
	return label == v1alpha1.ManagedByLabel || domain == v1alpha1.GroupVersion.Group || strings.HasSuffix(domain, "."+v1alpha1.GroupVersion.Group)
}

func execute(text string, values fields, most int) (string, error) {
	t, err := template.New("template").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", plain(err)
	}
	if len(t.Templates()) > 1 {
		return "", errors.New("define and block are refused: a template is one piece")
	}
	if t.Tree == nil { // nothing but space and comments
		return "", nil
	}
	if err := check(t.Root); err != nil {
		return "", err
	}
	out := &limited{left: most}
	if err := t.Execute(out, values); err != nil {
		return "", plain(err)
	}
	return out.String(), nil
}

// plain takes the name that every template has out of an error.
func plain(err error) error {
	if errors.Is(err, errTooLarge) {
		return errTooLarge
	}
	return errors.New(strings.TrimPrefix(err.Error(), "template: template:"))
}

// check refuses what could take longer than the template is long, and functions that are not ours.
func check(node parse.Node) error {
	switch n := node.(type) {
	case nil, *parse.TextNode, *parse.CommentNode, *parse.FieldNode, *parse.VariableNode, *parse.DotNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkAll(n.Nodes)
	case *parse.ActionNode:
		return check(n.Pipe)
	case *parse.IfNode:
		return checkAll([]parse.Node{n.Pipe, n.List, n.ElseList})
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			if err := checkAll(command.Args); err != nil {
				return err
			}
		}
		return nil
	case *parse.IdentifierNode:
		if _, ok := functions[n.Ident]; !ok {
			return fmt.Errorf("the function %s is refused: there are %s", n.Ident, strings.Join(names(), ", "))
		}
		return nil
	}
	return fmt.Errorf("%q is refused: a template has fields, the functions %s, and if", shorten(node.String()), strings.Join(names(), ", "))
}

func checkAll(nodes []parse.Node) error {
	for _, n := range nodes {
		if err := check(n); err != nil {
			return err
		}
	}
	return nil
}

func names() []string {
	return slices.Sorted(maps.Keys(functions))
}

func shorten(s string) string {
	if text := []rune(s); len(text) > 60 {
		return string(text[:60]) + "…"
	}
	return s
}
