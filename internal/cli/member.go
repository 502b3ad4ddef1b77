package cli

import (
	"github.com/spf13/cobra"
)

func newMember(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "member",
		GroupID: groupRun,
		Short:   "What runs and what is installed in remote clusters",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newMemberManifests(d), newMemberControllers(d), newMemberIdentity(d))
	return cmd
}
