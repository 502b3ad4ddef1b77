// Command hawser ties Kubernetes clusters together: the command line, and the
// programs that run inside of clusters.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hawser-io/hawser/internal/cli"
)

func main() {
	// The first signal ends what runs, in order; the second one ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}
