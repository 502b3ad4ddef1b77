package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes. newExitCodes documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 3
	exitInterrupted = 130
)

// exitError ends a command with a code. Without err there is nothing more to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// gaps ends a command that has said already, on stderr, what is missing from its answer.
func gaps() error { return &exitError{code: exitFailed} }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func timeoutError(format string, args ...any) error {
	return &exitError{exitTimeout, fmt.Errorf(format, args...)}
}

// newExitCodes is a topic of `hawser help`, not a command.
func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes of commands mean",
		Long: `Exit codes of hawser:

  0    The command did what it was asked, and found nothing wrong.
  1    It failed, or its answer has gaps or findings: a cluster that is not Ready in
       hawser clusters, an error that hawser check found. stderr says which.
  2    It was called wrongly: an unknown flag, a missing argument. Nothing was done.
  3    It was done, but did not take effect within --timeout: a cluster that did not
       become Ready, a credential that was not renewed. It may still do so.
  130  It was interrupted.

Answers are printed to stdout; progress, gaps and errors to stderr.`,
	}
}
