package importer

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fields is a mapping of the input whose fields are ticked off as they are read. What is left in the end has no
// counterpart: nothing is forgotten because nobody thought of it.
type fields struct {
	path   string
	values map[string]any
	seen   map[string]bool
	why    map[string]string // why a field is not used, by its key
	parts  map[string]*fields
}

func fieldsOf(path string, values map[string]any) *fields {
	return &fields{path: path, values: values, seen: map[string]bool{}, why: map[string]string{}, parts: map[string]*fields{}}
}

func (f *fields) at(key string) string {
	if f.path == "" {
		return key
	}
	return f.path + "." + key
}

// has reports whether a field says anything, without ticking it off.
func (f *fields) has(key string) bool { return !empty(f.values[key]) }

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// text is a scalar as text.
func (f *fields) text(key string) string {
	v := f.values[key]
	switch v.(type) {
	case map[string]any, []any:
		f.why[key] = "it should be a text"
		return ""
	}
	f.seen[key] = true
	return scalar(v)
}

// flag is true or false, also where it is written as a text.
func (f *fields) flag(key string) bool {
	switch v := f.values[key].(type) {
	case bool:
		f.seen[key] = true
		return v
	case string:
		if lower := strings.ToLower(v); lower == "true" || lower == "false" || lower == "" {
			f.seen[key] = true
			return lower == "true"
		}
	case nil:
		f.seen[key] = true
		return false
	}
	f.why[key] = "it should be true or false"
	return false
}

// base64 is what a text is the base64 of. Line breaks in it are forgiven.
func (f *fields) base64(key string) []byte {
	text := strings.Join(strings.Fields(f.text(key)), "")
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		f.drop(key, "it is no base64")
		return nil
	}
	return data
}

// part is a mapping below this one; an empty one where there is none.
func (f *fields) part(key string) *fields {
	if p := f.parts[key]; p != nil {
		return p
	}
	v, ok := f.values[key].(map[string]any)
	if !ok && !empty(f.values[key]) {
		f.why[key] = "it should be a mapping"
		return fieldsOf(f.at(key), nil)
	}
	f.seen[key] = true
	p := fieldsOf(f.at(key), v)
	f.parts[key] = p
	return p
}

// list is a list of mappings below this one.
func (f *fields) list(key string) []*fields {
	items, ok := f.values[key].([]any)
	if !ok && !empty(f.values[key]) {
		f.why[key] = "it should be a list"
		return nil
	}
	f.seen[key] = true
	var list []*fields
	for i, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			f.seen[key], f.why[key] = false, "it should be a list of mappings"
			continue
		}
		list = append(list, fieldsOf(fmt.Sprintf("%s[%d]", f.at(key), i), m))
	}
	return list
}

// texts is a list of texts.
func (f *fields) texts(key string) []string {
	items, ok := f.values[key].([]any)
	if !ok && !empty(f.values[key]) {
		f.why[key] = "it should be a list"
		return nil
	}
	f.seen[key] = true
	var list []string
	for _, item := range items {
		list = append(list, scalar(item))
	}
	return list
}

// ignore ticks off what says nothing about a connection.
func (f *fields) ignore(keys ...string) {
	for _, key := range keys {
		f.seen[key] = true
	}
}

// drop says why a field is not used, if it is there.
func (f *fields) drop(key, why string) {
	f.seen[key] = false
	f.why[key] = why
}

// metadata ticks off what an API server or a client put there, and leaves labels and annotations of people.
func (f *fields) metadata() *fields {
	f.ignore("apiVersion", "kind", "status")
	m := f.part("metadata")
	m.ignore("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "finalizers", "ownerReferences", "generateName")
	m.part("annotations").ignore("kubectl.kubernetes.io/last-applied-configuration", "managed-by")
	return m
}

// rest tells of everything that was not used, in the order of the names.
func (f *fields) rest(tell func(path, why string)) {
	for _, key := range slices.Sorted(maps.Keys(f.values)) {
		if f.seen[key] || empty(f.values[key]) {
			continue
		}
		if why := f.why[key]; why != "" {
			tell(f.at(key), why)
			continue
		}
		leaves(f.at(key), f.values[key], maxDepth, tell)
	}
	for _, key := range slices.Sorted(maps.Keys(f.parts)) {
		f.parts[key].rest(tell)
	}
}

// maxDepth of the fields that are named each by itself.
const maxDepth = 6

func leaves(path string, v any, depth int, tell func(path, why string)) {
	m, ok := v.(map[string]any)
	if !ok || depth == 0 {
		tell(path, "")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !empty(m[key]) {
			leaves(path+"."+key, m[key], depth-1, tell)
		}
	}
}
