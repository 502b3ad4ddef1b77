package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// completionTimeout is how long a shell may be kept waiting for suggestions.
const completionTimeout = 3 * time.Second

// completeClusters suggests the names of RemoteClusters for up to most arguments; 0 means any number.
func (d *deps) completeClusters(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := d.local()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		list, err := listClusters(ctx, c.Client, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, rc := range list {
			if !slices.Contains(args, rc.Name) {
				names = append(names, cobra.CompletionWithDesc(rc.Name, string(rc.Spec.Auth.Type)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeContexts suggests the contexts of a kubeconfig.
func completeContexts(kubeconfig *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = *kubeconfig
		config, err := rules.Load()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
	}
}

// isMissingKind tells that the cluster does not know RemoteClusters at all.
func isMissingKind(err error) bool { return meta.IsNoMatchError(err) }

func explainMissingKind(err error) error {
	if !isMissingKind(err) {
		return err
	}
	return fmt.Errorf("this cluster does not know the kind RemoteCluster (%s): apply Hawser's CRDs, or name the cluster that Hawser runs in with --context", v1alpha1.GroupVersion)
}
