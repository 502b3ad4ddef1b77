package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/internal/cli/rights"
)

func newGrants(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "grants",
		GroupID: groupLook,
		Short:   "Find out what an AccessGrant comes to",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newGrantsExplain(d))
	return cmd
}

type explainFlags struct {
	remote  remoteFlags
	output  string
	timeout time.Duration
}

func newGrantsExplain(d *deps) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Tell who comes in by an AccessGrant, what they may do, where and until when, and what is missing",
		Long: `Explain the AccessGrant NAME: its subjects and the accounts that stand for them, its roles and
their verbs, its namespaces, and when it ends. What is missing is named, with the command that
repairs it. Nothing is changed.

The grant is looked for in the cluster that is entered: that of --remote-context, or else the
current one. It is read with your own rights there; what you may not read is named on stderr.

The exit code is 1 if something is missing or may not be read. -o json prints an object with the
fields grant, ready, reason, message, maxLifetime, endsAt, ended, subjects, roles, rules,
wholeCluster, namespaces, findings: [{what, repair}] and unknown.`,
		Example: `  hawser grants explain deployers --remote-context alpha-admin
  hawser grants explain deployers -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return d.explainGrant(ctx, args[0], f)
		},
	}
	outputFlag(cmd, &f.output, formatTable, formatJSON, formatYAML)
	f.remote.add(cmd, "that holds the grant (default: the current one)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "deadline of the whole command")
	return cmd
}

func (d *deps) explainGrant(ctx context.Context, name string, f explainFlags) error {
	where := d.local
	if f.remote.given() {
		where = func() (*cluster, error) { return d.remote(f.remote) }
	}
	c, err := where()
	if err != nil {
		return err
	}
	e, err := rights.Cluster{Client: c.Client, Kube: c.Kube}.Explain(ctx, name, d.clock.Now())
	if err != nil {
		return d.unanswered(f.remote, c, err)
	}
	if f.output != formatTable {
		err = encode(d.out, f.output, e)
	} else {
		d.printExplanation(e)
	}
	if err != nil {
		return err
	}
	for _, what := range e.Unknown {
		fmt.Fprintf(d.err, "you may not read %s: nothing is said about it\n", shown(what))
	}
	if len(e.Findings)+len(e.Unknown) > 0 {
		return gaps()
	}
	return nil
}

func (d *deps) printExplanation(e rights.Explanation) {
	t := table{d: d}
	ready := []cell{{text: "Ready"}, {text: e.Ready, tone: map[string]tone{"True": good, "False": bad}[e.Ready]}}
	if e.Reason != "" {
		ready[1].text += " (" + shown(e.Reason) + ")"
	}
	rows := [][]cell{cells("Grant", e.Grant), ready, cells("Ends", d.ends(e)), cells("Tokens", "live "+e.MaxLifetime+" at most")}
	for i, s := range e.Subjects {
		text := s.Subject + ", " + s.How
		if s.Account != "" {
			text += ", as " + s.Account
		}
		rows = append(rows, cells(once(i, "Subjects"), shown(text)))
	}
	for i, r := range e.Roles {
		text := shown(r.Name)
		if r.Missing {
			text += " (missing)"
		}
		rows = append(rows, cells(once(i, "Roles"), text))
		for _, rule := range r.Rules {
			rows = append(rows, cells("", "  "+shown(rule)))
		}
	}
	where := strings.Join(e.Namespaces, ", ")
	switch {
	case e.WholeCluster:
		where = "the whole cluster"
	case where == "":
		where = "nowhere yet"
	}
	rows = append(rows, cells("Where", where))
	t.print(rows)
	for i, f := range e.Findings {
		if i == 0 {
			fmt.Fprintf(d.out, "\n%s\n", d.paint(bad, "Missing:"))
		}
		fmt.Fprintf(d.out, "  %s\n    repair: %s\n", shown(f.What), shown(f.Repair))
	}
}

func (d *deps) ends(e rights.Explanation) string {
	if e.EndsAt == nil {
		return "never by itself"
	}
	return fmt.Sprintf("%s (%s)", stamp(*e.EndsAt), inTime(d.clock.Now(), *e.EndsAt))
}

// shown is text of somebody else's on one line, with nothing in it that a terminal obeys: cluster roles have any name.
func shown(text string) string {
	return oneLine(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return '?'
	}, text))
}

// once is a title for the first of several rows.
func once(row int, title string) string {
	if row > 0 {
		return ""
	}
	return title
}
