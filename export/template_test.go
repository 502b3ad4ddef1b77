package export

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func templated(text string) v1alpha1.AccessOutput {
	return v1alpha1.AccessOutput{Format: v1alpha1.OutputTemplate, Template: &v1alpha1.OutputTemplateSpec{Data: map[string]string{"key": text}}}
}

func TestATemplateMakesWhatNoFormatFits(t *testing.T) {
	cases := map[string]struct{ template, want string }{
		"text":                      {"hello", "hello"},
		"every field":               {"{{.Name}} {{.Namespace}} {{.Cluster}} {{.ClusterID}} {{.Server}} {{.TLSServerName}} {{.ProxyURL}} {{.ExpiresAt}}", "deploy shop alpha 0af6d5e4 https://alpha.example.com:6443 kubernetes http://proxy:3128 2030-01-02T03:04:05Z"},
		"the token in quotes":       {"{{.Token | quote}}", `"` + token + `"`},
		"the CA in base64":          {"{{base64 .CAData}}", base64.StdEncoding.EncodeToString([]byte(ca))},
		"the CA indented":           {"ca: |\n  {{indent 2 .CAData}}", "ca: |\n  " + strings.ReplaceAll(ca, "\n", "\n  ")},
		"text as JSON":              {`{"ca":{{.CAData | json}}}`, `{"ca":"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"}`},
		"what is there only if set": {"{{if .ProxyURL}}proxy{{else}}none{{end}}{{if .TLSServerName}}{{$n := .TLSServerName}}-{{$n}}{{end}}", "proxy-kubernetes"},
		"nothing but a comment":     {"{{/* nothing */}}", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := mustMake(t, templated(c.template))
			if got := out.Data["key"].Reveal(); got != c.want {
				t.Errorf("it made %q, want %q", got, c.want)
			}
		})
	}
}

func TestATemplateSetsTypeAndLabels(t *testing.T) {
	o := templated("x")
	o.Template.Type, o.Template.Labels = "example.com/cluster", map[string]string{"example.com/kind": "cluster"}
	out := mustMake(t, o)
	if out.Type != "example.com/cluster" || out.Labels["example.com/kind"] != "cluster" {
		t.Errorf("the type is %s, the labels are %v", out.Type, out.Labels)
	}
}

func TestWhatATemplateMayNotDo(t *testing.T) {
	pipe := strings.Repeat(" | base64", 200)
	cases := map[string]struct{ template, want string }{
		"a field that there is not":        {"{{.Password}}", "Password"},
		"what is no template":              {"{{.Token", "unclosed action"},
		"a function of text/template":      {`{{printf "%s" .Token}}`, "the function printf is refused"},
		"another one, inside of ours":      {`{{base64 (printf "%100000000d" 1)}}`, "the function printf is refused"},
		"calling what is handed to it":     {"{{call .Token}}", "the function call is refused"},
		"a loop":                           {"{{range 1000000000}}{{end}}", "is refused"},
		"a loop inside of a condition":     {"{{if .Token}}{{else}}{{range 1000000000}}{{end}}{{end}}", "is refused"},
		"a template that calls itself":     {`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "define and block are refused"},
		"a template that is nowhere":       {`{{template "a"}}`, "is refused"},
		"another dot":                      {`{{with .Token}}{{.}}{{end}}`, "is refused"},
		"a field of a field":               {"{{.Token.Foo}}", "can't evaluate field Foo"},
		"more than a Secret takes":         {"{{indent 1048577 .CAData}}", "larger than 1 MiB"},
		"more and more":                    {"{{.CAData" + pipe + "}}", "larger than 1 MiB"},
		"more and more in quotes":          {"{{.CAData" + strings.Repeat(" | quote", 200) + "}}", "larger than 1 MiB"},
		"more and more as JSON":            {"{{.CAData" + strings.Repeat(" | json", 200) + "}}", "larger than 1 MiB"},
		"much, said often":                 {strings.Repeat("{{indent 300000 .CAData}}", 4), "larger than 1 MiB"},
		"fewer than no spaces":             {"{{indent -1 .CAData}}", "larger than 1 MiB"},
		"a number that is none for spaces": {`{{indent .Token .CAData}}`, "wrong type"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Make(access(), templated(c.template))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `key "key"`) {
				t.Errorf("the error is %v, want one that names the key and …%s…", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
}

func TestManyKeysShareOneLimit(t *testing.T) {
	o := templated("")
	for i := range 5 {
		o.Template.Data[fmt.Sprint("key", i)] = "{{indent 120000 .CAData}}"
	}
	if _, err := Make(access(), o); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("the error is %v", err)
	}
}

func TestLabelsThatAreHawsersOwnAreRefused(t *testing.T) {
	for _, label := range []string{v1alpha1.ManagedByLabel, v1alpha1.CredentialsLabel, v1alpha1.RequestLabel, "x.hawser.io/y"} {
		o := templated("x")
		o.Template.Labels = map[string]string{label: "true"}
		if _, err := Make(access(), o); err == nil || !strings.Contains(err.Error(), "Hawser's own") {
			t.Errorf("%s: the error is %v", label, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{{.Token}}", "{{indent 3 .CAData}}", "{{if .Token}}{{json .Name | quote}}{{end}}", "{{range 9}}{{end}}", "{{(.Token)}}", "{{$x := .Token}}{{$x = .Name}}{{$x}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4<<10 {
			return
		}
		began := time.Now()
		out, err := Make(access(), templated(text))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the error quotes the token: %v", err)
		}
		if err == nil && len(out.Data["key"].Reveal()) > MaxSize {
			t.Error("it made more than a Secret takes")
		}
	})
}
