package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/aws/bootstrap"
)

type bootstrapFlags struct {
	file         string
	output       string
	commandsOnly bool
}

func newAWSBootstrap(d *deps) *cobra.Command {
	var f bootstrapFlags
	accounts := []string{string(bootstrap.Management), string(bootstrap.Target)}
	cmd := &cobra.Command{
		Use:   "bootstrap management|target -f FILE",
		Short: "Print what an AWS account needs, as a CloudFormation template",
		Long: `Print the CloudFormation template of one account: management, which the manager runs in, or
target, whose clusters are reached. It reads a file, and asks neither AWS nor a cluster.

The file is of kind AWSBootstrap (hawser.io/v1alpha1), or Cluster API Provider AWS's own
AWSIAMConfiguration. A field that is unknown, or that Hawser does not render, is refused by name.

The template goes to stdout. The commands that deploy it, in the order that IAM needs, and
warnings go to stderr. docs/aws.md has an example for both accounts.`,
		Example: `  hawser aws bootstrap management -f config.yaml > management.yaml
  hawser aws bootstrap target -f config.yaml > target.yaml
  hawser aws bootstrap target -f config.yaml --commands-only`,
		ValidArgs: accounts,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(accounts, args[0]) {
				return usageError("name one account: %s", strings.Join(accounts, " or "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return d.bootstrap(bootstrap.Account(args[0]), f)
		},
	}
	outputFlag(cmd, &f.output, formatYAML, formatJSON)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "configuration file; - reads stdin (required)")
	flags.BoolVar(&f.commandsOnly, "commands-only", false, "print the commands, on stdout, and no template")
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
	return cmd
}

func (d *deps) bootstrap(account bootstrap.Account, f bootstrapFlags) error {
	config, err := d.readConfig(f.file)
	if err != nil {
		return err
	}
	result, err := bootstrap.Render(config, account, bootstrap.Options{Format: bootstrap.Format(f.output)})
	if err != nil {
		return fmt.Errorf("%s: %w", f.file, err)
	}
	for _, warning := range result.Warnings {
		fmt.Fprintf(d.err, "%s %s\n", d.paint(warn, "Warning:"), warning)
	}
	if f.commandsOnly {
		printCommands(d.out, result.Commands)
		return nil
	}
	if _, err := d.out.Write(result.Template); err != nil {
		return fmt.Errorf("writing the template: %w", err)
	}
	fmt.Fprintf(d.err, "# With the template in %s.%s:\n", account, f.output)
	printCommands(d.err, result.Commands)
	return nil
}

// readConfig reads a file, or stdin for "-".
func (d *deps) readConfig(file string) ([]byte, error) {
	if file == "-" {
		text, err := io.ReadAll(d.in)
		if err != nil {
			return nil, fmt.Errorf("reading stdin: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading --file: %w", err)
	}
	return text, nil
}

// printCommands prints what a shell takes: everything but the commands is a comment.
func printCommands(out io.Writer, commands []bootstrap.Command) {
	for i, c := range commands {
		where := ""
		if c.Account != "" {
			where = fmt.Sprintf(" (credentials of %s)", c.Account)
		}
		fmt.Fprintf(out, "# %d. %s%s.\n%s\n", i+1, c.Note, where, c)
	}
}
