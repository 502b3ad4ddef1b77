package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// Output formats.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

// outputFlag adds -o with the given formats, of which the first is the default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output format: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, *into) {
			return usageError("--output %q: there is only %s", *into, strings.Join(formats, ", "))
		}
		return nil
	}
}

// encode prints v as JSON or YAML.
func encode(out io.Writer, format string, v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // commands are for people, too
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	if format == formatYAML {
		inYAML, err := yaml.JSONToYAML(text.Bytes())
		if err != nil {
			return fmt.Errorf("encoding the answer: %w", err)
		}
		text = *bytes.NewBuffer(inYAML)
	}
	_, err := out.Write(text.Bytes())
	return err
}

// tone colours a word on a terminal.
type tone string

const (
	plain tone = ""
	good  tone = "32"
	warn  tone = "33"
	bad   tone = "31"
)

func (d *deps) paint(t tone, text string) string {
	if !d.colour || t == plain {
		return text
	}
	return "\x1b[" + string(t) + "m" + text + "\x1b[0m"
}

// cell is one field of a table.
type cell struct {
	text string
	tone tone
}

// table prints rows in columns as kubectl does. Columns keep their width between calls, so that rows
// that a watch adds stand under the first ones.
type table struct {
	d      *deps
	widths []int
}

const columnGap = 3

func (t *table) print(rows [][]cell) {
	for _, row := range rows {
		for i, c := range row {
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(t.d.paint(c.tone, c.text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(c.text)+columnGap))
			}
		}
		fmt.Fprintln(t.d.out, strings.TrimRight(line.String(), " "))
	}
}

func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].text = text
	}
	return row
}

// age says how long ago something was, as kubectl does.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(then))
}

// inTime says how far away a time is, in either direction.
func inTime(now, then time.Time) string {
	if then.Before(now) {
		return duration.HumanDuration(now.Sub(then)) + " ago"
	}
	return "in " + duration.HumanDuration(then.Sub(now))
}

// oneLine keeps a message of another program on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
