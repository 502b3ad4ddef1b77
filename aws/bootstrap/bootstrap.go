// Package bootstrap owns what has to exist in IAM before the first connection: from a configuration
// file to the CloudFormation template of one account, and the commands that deploy it.
//
// It is pure: bytes in, bytes out. It reads no file, asks no AWS and runs no command.
//
// Two kinds of file are understood: AWSBootstrap, our own, and Cluster API Provider AWS's
// AWSIAMConfiguration. Both are decoded strictly: a field is rendered, or refused by name. Nothing is
// passed over, because a line that is passed over is a line that somebody believes in.
package bootstrap

import (
	"fmt"
	"slices"
	"strings"
)

// Account says which account a template is for.
type Account string

const (
	// Management is the account that the manager runs in.
	Management Account = "management"
	// Target is an account whose clusters are reached.
	Target Account = "target"
)

// Format is how a template is written.
type Format string

// The formats that CloudFormation reads.
const (
	YAML Format = "yaml"
	JSON Format = "json"
)

// Options say how to render.
type Options struct {
	// Format of the template. Default YAML.
	Format Format
}

// Result is what a configuration file comes to.
type Result struct {
	// Template is the CloudFormation template of the account.
	Template []byte
	// Commands deploy it and what belongs to it, in the order that IAM needs.
	Commands []Command
	// Warnings are about what is rendered as it was asked for, but should not have been.
	Warnings []string
}

// Command is one command to run, and where.
type Command struct {
	// Account that the credentials of whoever runs it belong to. Empty where the file does not say.
	Account string
	// Note says what it does, and what has to be done before. It has no line break.
	Note string
	// Args are the program and its arguments.
	Args []string
}

// String is the command as a shell takes it.
func (c Command) String() string {
	words := make([]string, len(c.Args))
	for i, arg := range c.Args {
		words[i] = quote(arg)
	}
	return strings.Join(words, " ")
}

// quote makes one word of a shell's command line.
func quote(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@+%", r)
	}
	if arg != "" && strings.IndexFunc(arg, func(r rune) bool { return !plain(r) }) < 0 {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// maxConfig bounds what is read as a configuration file.
const maxConfig = 1 << 20

// Render turns a configuration file into the template of one account. What is wrong with the file is a
// *ConfigError, which names all of it at once.
func Render(config []byte, account Account, o Options) (Result, error) {
	if account != Management && account != Target {
		return Result{}, fmt.Errorf("rendering the template of account %q: there is only %s and %s", account, Management, Target)
	}
	if o.Format == "" {
		o.Format = YAML
	}
	if !slices.Contains([]Format{YAML, JSON}, o.Format) {
		return Result{}, fmt.Errorf("rendering the template: there is no format %q: there is only %s and %s", o.Format, YAML, JSON)
	}
	file, err := parse(config)
	if err != nil {
		return Result{}, err
	}
	p, err := planOf(file, account)
	if err != nil {
		return Result{}, err
	}
	text, err := p.template.encode(o.Format)
	if err != nil {
		return Result{}, err
	}
	if len(text) > maxTemplateBody {
		p.warnings = append(p.warnings, fmt.Sprintf(
			"the template has %d bytes, and CloudFormation takes %d from a file: add --s3-bucket BUCKET to the command", len(text), maxTemplateBody))
	}
	return Result{Template: text, Commands: p.commands(o.Format), Warnings: p.warnings}, nil
}

// maxTemplateBody is CloudFormation's limit for a template that does not come from S3.
const maxTemplateBody = 51200

// plan is what a file comes to, before it is text.
type plan struct {
	template *template
	warnings []string
	commands func(Format) []Command
}

// planOf chooses by the kind of the file.
func planOf(f *file, account Account) (plan, error) {
	type kind struct{ apiVersion, kind string }
	kinds := map[kind]func(*file, Account) (plan, error){
		{ownAPIVersion, ownKind}:   planOwn,
		{capaAPIVersion, capaKind}: planCAPA,
	}
	got := kind{f.scalar("apiVersion"), f.scalar("kind")}
	if render := kinds[got]; render != nil {
		return render(f, account)
	}
	c := checker{file: f}
	switch got.kind {
	case ownKind:
		c.add("apiVersion", "%q is not known for kind %s: it is %s", got.apiVersion, ownKind, ownAPIVersion)
	case capaKind:
		c.add("apiVersion", "%q is not known for kind %s: it is %s", got.apiVersion, capaKind, capaAPIVersion)
	default:
		c.add("kind", "%q of apiVersion %q is not known: it is %s of %s, or %s of %s",
			got.kind, got.apiVersion, ownKind, ownAPIVersion, capaKind, capaAPIVersion)
	}
	return plan{}, c.err()
}
