package advice

import (
	"io"
	"regexp"
	"strings"
)

// Flags say how a person reaches a cluster; empty are the defaults.
type Flags struct{ Kubeconfig, Context string }

// Shell is how the person at the keyboard reaches the clusters that an advice is about, so that its commands can be run
// as they stand.
type Shell struct {
	Local Flags
	// Remote is empty where the remote cluster was not named: its commands then say CONTEXT.
	Remote Flags
}

// There is the shell of somebody for whom the remote cluster, if it was named, is the one that commands act on.
func (s Shell) There() Shell {
	if s.Remote == (Flags{}) {
		return s
	}
	if s.Remote.Kubeconfig == "" {
		s.Remote.Kubeconfig = s.Local.Kubeconfig
	}
	return Shell{Local: s.Remote}
}

// command is where a command begins in a text. Prose does not name a command in these forms, or is told by its next word.
var command = regexp.MustCompile(`\b(kubectl|helm|hawser (?:join|leave|check|rotate|revoke|status|grants explain|aws (?:check|grant|revoke)))( +\S+|$)`)

// prose are words that follow the name of a command where a text speaks of it and does not give it.
var prose = regexp.MustCompile(`^(?:made|makes|make|prints|lists|shows|says|finds|looks|does|is|was|has|and|or|which|there|again|it|over|here|of|by|tells|hawser:?|--help.*|[^\w'"-].*)$`)

// commandEnd is what ends a command within a text.
var commandEnd = regexp.MustCompile(`\n|;|, | && | \| |\)|\. | \(| (?:looks|says|makes|does|tells|where|and|or) `)

var (
	named       = regexp.MustCompile(`(?:^| )--(?:context|kube-context|kubeconfig)[ =]`)
	placeholder = regexp.MustCompile(`--(remote-context|context|kube-context) CONTEXT\b`)
)

// In returns a text with these flags in each command that it gives.
func (s Shell) In(text string) string {
	if s == (Shell{}) {
		return text
	}
	var out strings.Builder
	for {
		at := command.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		words := text[at[2]:at[3]]
		next := strings.TrimSpace(text[at[4]:at[5]])
		out.WriteString(text[:at[3]])
		before := out.String()[:out.Len()-len(words)]
		rest := text[at[3]:]
		if end := commandEnd.FindStringIndex(rest); end != nil {
			rest = rest[:end[0]]
		}
		text = text[at[3]+len(rest):]
		if isCommand(before, words, next, rest) {
			rest = s.fill(words, rest)
		}
		out.WriteString(rest)
	}
	out.WriteString(text)
	return out.String()
}

func isCommand(before, words, next, rest string) bool {
	switch {
	case strings.HasSuffix(before, "-- "): // it runs in a pod
		return false
	case words == "helm":
		return strings.Contains(rest, " --namespace ")
	case next == "":
		return words == "hawser status"
	}
	return !prose.MatchString(strings.TrimRight(next, ".,;:)"))
}

// fill puts the flags into the rest of a command, of which words are the beginning.
func (s Shell) fill(words, rest string) string {
	if !named.MatchString(rest) {
		rest = s.Local.in(words, "") + rest
	}
	return placeholder.ReplaceAllStringFunc(rest, func(given string) string {
		remote := s.Remote
		if strings.HasPrefix(given, "--remote-") {
			if remote == (Flags{}) {
				return given
			}
			return strings.TrimSpace(remote.in(words, "remote-"))
		}
		if remote.Kubeconfig == "" && !strings.Contains(rest, " --kubeconfig ") {
			remote.Kubeconfig = s.Local.Kubeconfig // as for the flags of hawser
		}
		if remote.Context == "" && s.Remote.Kubeconfig == "" {
			remote.Context = "CONTEXT"
		}
		return strings.TrimSpace(remote.in(words, ""))
	})
}

// in are the flags as a program takes them.
func (f Flags) in(words, prefix string) string {
	text := ""
	if f.Kubeconfig != "" {
		text += " --" + prefix + "kubeconfig " + quote(f.Kubeconfig)
	}
	name := "context"
	if words == "helm" {
		name = "kube-context"
	}
	if f.Context != "" {
		text += " --" + prefix + name + " " + quote(f.Context)
	}
	return text
}

var harmless = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quote makes one word of a shell of a text.
func quote(text string) string {
	if harmless.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Writer writes what it is given with the flags in each command. A command has to come in one piece.
func (s Shell) Writer(w io.Writer) io.Writer {
	if s == (Shell{}) {
		return w
	}
	return writer{s, w}
}

type writer struct {
	shell Shell
	to    io.Writer
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, w.shell.In(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
