package bootstrap

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fieldsOf returns the fields of a struct by their names in YAML, those of inlined structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if options == "inline" {
			maps.Copy(fields, fieldsOf(field.Type))
			continue
		}
		fields[name] = field.Type
	}
	return fields
}

// nearest returns the known name that was probably meant, or nothing: a far guess is worse than none.
func nearest(name string, known map[string]reflect.Type) string {
	low := strings.ToLower(name)
	best, distance := "", max(1, len(name)/4)+1
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		lowCandidate := strings.ToLower(candidate)
		d := edits(low, lowCandidate)
		if begins := strings.HasPrefix(low, lowCandidate) || strings.HasPrefix(lowCandidate, low); begins && min(len(low), len(lowCandidate)) >= 4 {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// edits counts the letters to insert, remove or replace on the way from a to b (Levenshtein).
func edits(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range to {
			cost := diagonal
			if r != s {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(to)]
}

// placesOf returns where in a type a name is known, at most three places: lost indentation moves a field.
func placesOf(root reflect.Type, name string) []string {
	var places []string
	var look func(t reflect.Type, path string)
	look = func(t reflect.Type, path string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		fields := fieldsOf(t)
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if field == name {
				places = append(places, join(path, field))
			}
			look(fields[field], join(path, field))
		}
	}
	look(root, "")
	if len(places) > 3 {
		return nil // known nearly everywhere: no help
	}
	return places
}
