package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func newKubectl(get dirFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [args]",
		Short: "Run kubectl with the kubeconfig of the fleet",
		Long: `Run the kubectl that is built into devfleet, of the same version as the clusters, with the
kubeconfig of the fleet. Each cluster is a context. Flags of devfleet stand before "kubectl".`,
		Example: `  devfleet kubectl --context alpha get namespaces
  devfleet --dir /tmp/fleet kubectl config get-contexts`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := get()
			if err != nil {
				return err
			}
			if _, err := os.Stat(dir.Kubeconfig()); err != nil {
				return fmt.Errorf("reading the fleet's kubeconfig: %w (is the fleet in another directory? see --dir)", err)
			}
			if err := os.Setenv("KUBECONFIG", dir.Kubeconfig()); err != nil {
				return err
			}
			// kubectl reads os.Args for its plugins and its verbosity.
			os.Args = append([]string{"kubectl"}, args...)
			command := cmd.NewDefaultKubectlCommand()
			command.SetArgs(args)
			if err := cli.RunNoErrOutput(command); err != nil {
				util.CheckErr(err) // prints as kubectl does, and ends the program
			}
			return nil
		},
	}
}
