package cli

import (
	"github.com/spf13/cobra"
)

func newAWS(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "aws",
		GroupID: groupConnect,
		Short:   "Let Hawser into EKS clusters, and find out why it is not let in",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newAWSBootstrap(d), newAWSGrant(d), newAWSRevoke(d), newAWSCheck(d))
	return cmd
}
