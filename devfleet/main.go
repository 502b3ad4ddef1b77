// Command devfleet runs real Kubernetes control planes on the loopback address: one process for each cluster,
// for tests, demonstrations and development. See README.md.
package main

import (
	"os"

	"github.com/hawser-io/hawser/devfleet/internal/cli"
)

func main() { os.Exit(cli.Main()) }
