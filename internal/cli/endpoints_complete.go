package cli

import (
	"context"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// mostCompleted bounds how many names are fetched for a shell.
const mostCompleted = 500

// complete suggests names of objects of the local cluster for the one argument.
func (d *deps) complete(names func(context.Context, *cluster) []cobra.Completion) func(*cobra.Command, []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string) ([]cobra.Completion, cobra.ShellCompDirective) {
		here, err := d.local()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return names(ctx, here), cobra.ShellCompDirectiveNoFileComp
	}
}

// completePods suggests pods of the local cluster.
func (d *deps) completePods(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return d.complete(func(ctx context.Context, here *cluster) (names []cobra.Completion) {
		pods, err := here.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: mostCompleted})
		if err != nil {
			return nil
		}
		for _, p := range pods.Items {
			names = append(names, p.Namespace+"/"+p.Name)
		}
		return names
	})(cmd, args)
}

// completeNodes suggests nodes of the local cluster.
func (d *deps) completeNodes(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return d.complete(func(ctx context.Context, here *cluster) (names []cobra.Completion) {
		nodes, err := here.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: mostCompleted})
		if err != nil {
			return nil
		}
		for _, n := range nodes.Items {
			names = append(names, n.Name)
		}
		return names
	})(cmd, args)
}

// completePolicies suggests FederatedNetworkPolicies.
func (d *deps) completePolicies(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return d.complete(func(ctx context.Context, here *cluster) (names []cobra.Completion) {
		var all v1alpha1.FederatedNetworkPolicyList
		if err := here.Client.List(ctx, &all); err != nil {
			return nil
		}
		for _, p := range all.Items {
			names = append(names, p.Namespace+"/"+p.Name)
		}
		return names
	})(cmd, args)
}

// completeSets suggests EndpointSets.
func (d *deps) completeSets(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return d.complete(func(ctx context.Context, here *cluster) (names []cobra.Completion) {
		var all v1alpha1.EndpointSetList
		if err := here.Client.List(ctx, &all); err != nil {
			return nil
		}
		for _, s := range all.Items {
			names = append(names, s.Name)
		}
		return names
	})(cmd, args)
}
