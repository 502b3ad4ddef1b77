package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/internal/version"
)

func newVersion(d *deps) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  hawser version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(d.out, "hawser %s (%s, %s/%s)\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
