package export

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"text/template"
)

// functions of templates. Each looks at how large its answer will be before it makes it: a pipeline of them
// would grow without end.
var functions = template.FuncMap{
	"base64": func(s string) (string, error) {
		if base64.StdEncoding.EncodedLen(len(s)) > MaxSize {
			return "", errTooLarge
		}
		return base64.StdEncoding.EncodeToString([]byte(s)), nil
	},
	"json": func(s string) (string, error) {
		text, err := json.Marshal(s)
		return within(string(text), err)
	},
	"quote": func(s string) (string, error) { return within(strconv.Quote(s), nil) },
	// indent puts n spaces before each line but the first: where the template stands, that is indented already.
	"indent": func(n int, s string) (string, error) {
		lines := strings.Count(s, "\n")
		if n < 0 || n > MaxSize || len(s)+n*lines > MaxSize {
			return "", errTooLarge
		}
		return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n)), nil
	},
}

// within is for what is at most a few times as long as what it is made from.
func within(s string, err error) (string, error) {
	if err == nil && len(s) > MaxSize {
		return "", errTooLarge
	}
	return s, err
}

// limited is a builder that refuses to grow beyond a size.
type limited struct {
	strings.Builder
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLarge
	}
	return l.Builder.Write(p)
}

// WriteString implements io.StringWriter, by which io.WriteString would pass the limit.
func (l *limited) WriteString(s string) (int, error) { return l.Write([]byte(s)) }
