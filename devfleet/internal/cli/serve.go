package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/devfleet/internal/server"
)

// newServe is what `up` and `start` run for each cluster.
func newServe() *cobra.Command {
	var opts server.Options
	cmd := &cobra.Command{
		Use:    "serve",
		Short:  "Run one cluster that `up` has prepared",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
				return err
			}
			return server.Run(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Dir, "dir", "", "directory of the cluster")
	cmd.Flags().StringVar(&opts.OwnerLock, "owner-lock", "", "file whose lock the owner holds")
	cmd.Flags().BoolVar(&opts.Ephemeral, "ephemeral", false, "remove the directory when the owner is gone")
	return cmd
}
