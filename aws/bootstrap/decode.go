package bootstrap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// ConfigError says what is wrong with a configuration file, all at once.
type ConfigError struct {
	Problems []Problem
}

// Problem is one thing that is wrong.
type Problem struct {
	// Line it is in, 0 if it is about what is missing.
	Line int
	// Path of the field, such as spec.eks.disable.
	Path string
	// Message says what is wrong and what was meant.
	Message string
}

// String puts the place before the message.
func (p Problem) String() string {
	var where string
	if p.Line > 0 {
		where = fmt.Sprintf("line %d: ", p.Line)
	}
	if p.Path != "" {
		where += p.Path + ": "
	}
	return where + p.Message
}

// Error names every problem, each on a line of its own if there are several.
func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return "reading the configuration: " + e.Problems[0].String()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "reading the configuration: %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		text.WriteString("\n  " + p.String())
	}
	return text.String()
}

// checker collects problems.
type checker struct {
	file     *file
	problems []Problem
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Line: c.file.lines[path], Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return &ConfigError{Problems: c.problems}
}

// file is a configuration file as it was written: one YAML mapping.
type file struct {
	root  *yaml.Node
	lines map[string]int // by path
}

func parse(text []byte) (*file, error) {
	fail := func(line int, format string, args ...any) (*file, error) {
		return nil, &ConfigError{Problems: []Problem{{Line: line, Message: fmt.Sprintf(format, args...)}}}
	}
	if len(text) > maxConfig {
		return fail(0, "it has %d bytes, more than the %d of the largest that makes sense", len(text), maxConfig)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return fail(0, "it is empty")
	case err != nil:
		return fail(0, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return fail(second.Line, "it holds more than one document: give each its own file")
	}
	if len(document.Content) == 0 {
		return fail(0, "it is empty")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fail(root.Line, "it is not a mapping with apiVersion and kind")
	}
	f := &file{root: root, lines: map[string]int{}}
	for i := 0; i+1 < len(root.Content); i += 2 {
		f.lines[root.Content[i].Value] = root.Content[i].Line
	}
	return f, nil
}

// scalar returns the text of a field of the root, empty if it is absent or no scalar.
func (f *file) scalar(key string) string {
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		if f.root.Content[i].Value == key && f.root.Content[i+1].Kind == yaml.ScalarNode {
			return f.root.Content[i+1].Value
		}
	}
	return ""
}

// decode fills into, a pointer to a struct whose fields have yaml tags, and refuses what does not fit it.
func (f *file) decode(into any) error {
	w := walker{checker: checker{file: f}, root: reflect.TypeOf(into).Elem()}
	w.node(f.root, w.root, "")
	if err := w.err(); err != nil {
		return err
	}
	if err := f.root.Decode(into); err != nil {
		// The walk lets nothing pass that the decoder refuses; if it does, the decoder has the last word.
		return &ConfigError{Problems: []Problem{{Message: strings.TrimPrefix(err.Error(), "yaml: ")}}}
	}
	return nil
}

// walker holds a YAML tree against a type: the names of fields in their exact spelling, no field twice, no
// value of another type, nothing empty, nothing that is only a place for a value.
type walker struct {
	checker
	root reflect.Type
}

// listType is a list that may be written as a single value.
type listType interface{ scalars() (anyScalar bool) }

var (
	listInterface = reflect.TypeFor[listType]()
	placeholder   = regexp.MustCompile(`<[^<>]*>`)
)

func (w *walker) node(n *yaml.Node, t reflect.Type, path string) {
	if _, known := w.file.lines[path]; !known && path != "" {
		w.file.lines[path] = n.Line
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		w.add(path, "anchors and aliases are not read here: write the value out")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		w.add(path, "it has no value: give it one, or leave the field out")
	case n.Style&yaml.TaggedStyle != 0:
		w.add(path, "the tag %s is not read here: write the value without it", n.Tag)
	case t.Implements(listInterface):
		w.list(n, t, path)
	case t.Kind() == reflect.Struct:
		w.mapping(n, path, func(key *yaml.Node) (reflect.Type, bool) { return w.field(t, key, path) })
	case t.Kind() == reflect.Map:
		w.mapping(n, path, func(*yaml.Node) (reflect.Type, bool) { return t.Elem(), true })
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			w.add(path, "it is a list: start each item with a dash")
			return
		}
		for i, item := range n.Content {
			w.node(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		w.scalar(n, t.Kind() == reflect.Bool, false, path)
	}
}

func (w *walker) list(n *yaml.Node, t reflect.Type, path string) {
	anyScalar := reflect.Zero(t).Interface().(listType).scalars()
	if n.Kind != yaml.SequenceNode {
		w.scalar(n, false, anyScalar, path)
		return
	}
	if len(n.Content) == 0 {
		w.add(path, "the list is empty: fill it, or leave the field out")
	}
	for i, item := range n.Content {
		itemPath := fmt.Sprintf("%s[%d]", path, i)
		w.file.lines[itemPath] = item.Line
		w.scalar(item, false, anyScalar, itemPath)
	}
}

// mapping walks the pairs of a mapping; typeOf says what belongs under a key, or that nothing does.
func (w *walker) mapping(n *yaml.Node, path string, typeOf func(key *yaml.Node) (reflect.Type, bool)) {
	if n.Kind != yaml.MappingNode {
		w.add(path, "it is a mapping of names to values, not a single value or a list: look at the indentation")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || key.Anchor != "" {
			w.problem(key, path, "a name must be plain text")
			continue
		}
		if w.text(key, path); seen[key.Value] {
			w.problem(key, join(path, key.Value), "it stands here twice")
			continue
		}
		seen[key.Value] = true
		if t, ok := typeOf(key); ok {
			w.file.lines[join(path, key.Value)] = key.Line
			w.node(value, t, join(path, key.Value))
		}
	}
}

// field finds the type of a struct's field by its name, and says what was meant if there is none.
func (w *walker) field(t reflect.Type, key *yaml.Node, path string) (reflect.Type, bool) {
	fields := fieldsOf(t)
	if ft, ok := fields[key.Value]; ok {
		return ft, true
	}
	message := "there is no such field"
	if meant := nearest(key.Value, fields); meant != "" {
		message += fmt.Sprintf(": did you mean %s?", meant)
	} else if places := placesOf(w.root, key.Value); len(places) > 0 {
		message += fmt.Sprintf(" here: it is known as %s: look at the indentation", strings.Join(places, " and as "))
	}
	w.problem(key, join(path, key.Value), message)
	return nil, false
}

func (w *walker) scalar(n *yaml.Node, boolean, anyScalar bool, path string) {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode:
		w.add(path, "it is a single value, not a list or a mapping")
	case tag == "!!null":
		w.add(path, "it has no value: give it one, or leave it out")
	case boolean && tag != "!!bool":
		w.add(path, "%q is not true or false", n.Value)
	case !boolean && !anyScalar && tag != "!!str":
		// YAML takes 012345678901 for a number, and 2012-10-17 for a date.
		w.add(path, "%s is not a text for YAML: write it in quotes, %q", n.Value, n.Value)
	default:
		w.text(n, path)
	}
}

// text refuses what no name, ARN or condition holds.
func (w *walker) text(n *yaml.Node, path string) {
	if found := placeholder.FindString(n.Value); found != "" {
		w.problem(n, path, fmt.Sprintf("%s only holds the place of a value: write the value itself", found))
	}
	if strings.ContainsFunc(n.Value, unicode.IsControl) || !isText(n.Value) {
		w.problem(n, path, "it holds a character that is not printed: a line break, a tab or the like")
	}
}

func isText(s string) bool { return strings.ToValidUTF8(s, "") == s }

// problem is add for a node that may stand on another line than its path.
func (w *walker) problem(n *yaml.Node, path, message string) {
	w.problems = append(w.problems, Problem{Line: n.Line, Path: path, Message: message})
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
