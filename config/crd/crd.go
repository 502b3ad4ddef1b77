// Package crd owns the CustomResourceDefinitions as they are installed: the generated files of its
// folder, so that commands can print them. It makes none; `make generate` does, from api/.
package crd

import (
	"bytes"
	"embed"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed hawser.io_*.yaml
var files embed.FS

// Of the cluster that is entered, by plural name: what its owner says about who may come in.
const (
	TrustedIssuers = "trustedissuers"
	AccessGrants   = "accessgrants"
)

// Entered are the plural names of the kinds of the cluster that is entered: those of the member controllers.
func Entered() []string { return []string{TrustedIssuers, AccessGrants} }

// All are the plural names of all kinds, sorted.
func All() []string {
	entries, _ := files.ReadDir(".") // what is embedded can be read
	var plurals []string
	for _, e := range entries {
		plurals = append(plurals, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "hawser.io_"), ".yaml"))
	}
	return plurals
}

// Name is the name of the definition of a kind.
func Name(plural string) string { return plural + ".hawser.io" }

// JSON returns one definition. A name that there is no file for is an error.
func JSON(plural string) ([]byte, error) {
	text, err := files.ReadFile("hawser.io_" + plural + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("reading the definition of %s: %w", plural, err)
	}
	out, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("reading the definition of %s: %w", plural, err)
	}
	return out, nil
}

// YAML returns the definitions of the kinds with the given plural names, in that order, as documents
// for kubectl apply. A name that there is no file for is an error.
func YAML(plurals ...string) ([]byte, error) {
	var out bytes.Buffer
	for _, plural := range plurals {
		text, err := files.ReadFile("hawser.io_" + plural + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("reading the definition of %s: %w", plural, err)
		}
		if !bytes.HasPrefix(text, []byte("---\n")) {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}
