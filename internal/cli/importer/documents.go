package importer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// MaxSize of an input is more than any of the tools can store.
const MaxSize = 16 << 20

// Document is one object of the input.
type Document = map[string]any

// Read reads YAML or JSON, several documents of it, and takes lists apart. Its errors quote nothing of the text.
func Read(text []byte) ([]Document, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d MiB", MaxSize>>20)
	}
	reader := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var documents []Document
	for n := 1; ; n++ {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d cannot be read", n)
		}
		var d Document
		if err := yaml.UnmarshalStrict(part, &d); err != nil {
			return nil, fmt.Errorf("document %d %s", n, syntaxFault(err))
		}
		if len(d) > 0 {
			documents = append(documents, expand(d)...)
		}
	}
}

var lineOf = regexp.MustCompile(`line \d+`)

// syntaxFault says where the YAML is wrong. The parser's own words may quote values.
func syntaxFault(err error) string {
	fault := "is no YAML or JSON mapping"
	if strings.Contains(err.Error(), "already set") || strings.Contains(err.Error(), "duplicate") {
		fault = "sets a field twice"
	}
	if line := lineOf.FindString(err.Error()); line != "" {
		fault += " (" + line + ")"
	}
	return fault
}

// expand returns the items of a list, or the document itself.
func expand(d Document) []Document {
	list, kind := kindOf(d), ""
	items, ok := d["items"].([]any)
	if !ok || !strings.HasSuffix(list, "List") {
		return []Document{d}
	}
	kind = strings.TrimSuffix(list, "List")
	var documents []Document
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if kind != "" && kindOf(m) == "" { // the items of typed lists leave it out
			m["kind"], m["apiVersion"] = kind, d["apiVersion"]
		}
		documents = append(documents, m)
	}
	return documents
}

func kindOf(d Document) string { return scalar(d["kind"]) }

// groupOf is the API group of a document, empty for the core group.
func groupOf(d Document) string {
	group, _, ok := strings.Cut(scalar(d["apiVersion"]), "/")
	if !ok {
		return ""
	}
	return group
}

func keyOf(d Document) key {
	meta, _ := d["metadata"].(map[string]any)
	return key{scalar(meta["namespace"]), scalar(meta["name"])}
}

func labelsOf(d Document) map[string]string {
	meta, _ := d["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	texts := map[string]string{}
	for k, v := range labels {
		texts[k] = scalar(v)
	}
	return texts
}

// describe names an object as in Secret "argocd/alpha".
func describe(d Document) string {
	kind := kindOf(d)
	if kind == "" {
		kind = "document"
	}
	k := keyOf(d)
	if k == (key{}) {
		return kind
	}
	return fmt.Sprintf("%s %q", kind, k.String())
}

// scalar is v as text, empty where it is none.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool, int64, uint64, float64:
		return fmt.Sprint(v)
	}
	return ""
}

// key names a Secret.
type key struct{ namespace, name string }

func (k key) String() string {
	if k.namespace == "" {
		return k.name
	}
	return k.namespace + "/" + k.name
}

// secret is a Secret of the input.
type secret struct {
	labels map[string]string
	data   map[string]any // each a text
}

// learn keeps a Secret, so that what names it can look into it.
func (r *run) learn(d Document) {
	if kindOf(d) != "Secret" || groupOf(d) != "" {
		return
	}
	s := &secret{labels: labelsOf(d), data: map[string]any{}}
	if data, ok := d["data"].(map[string]any); ok {
		for k, v := range data {
			if text, err := base64.StdEncoding.DecodeString(scalar(v)); err == nil {
				s.data[k] = string(text)
			} else {
				s.data[k] = v // neither base64 nor of any use; it will be named as such
			}
		}
	}
	if data, ok := d["stringData"].(map[string]any); ok {
		for k, v := range data {
			s.data[k] = v
		}
	}
	r.secrets[keyOf(d)] = s
}
