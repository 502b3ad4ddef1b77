package cli

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// mergeKubeconfig puts contexts into a kubeconfig as kubectl config does: under its lock, each entry that is
// there into the file where it is.
func (d *deps) mergeKubeconfig(made *clientcmdapi.Config, f kubeconfigFlags) error {
	access := clientcmd.NewDefaultPathOptions()
	access.LoadingRules.ExplicitPath = f.into
	if f.into == "" {
		access.LoadingRules.ExplicitPath = d.kubeconfig
	}
	config, err := access.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if foreign := foreignEntries(config, made); len(foreign) > 0 && !f.force {
		return fmt.Errorf("merging into the kubeconfig: it has entries of these names that hawser-auth does not serve: %s: choose other names with --prefix, or replace them with --force", strings.Join(foreign, ", "))
	}
	for name, cluster := range made.Clusters {
		if old := config.Clusters[name]; old != nil {
			cluster.LocationOfOrigin = old.LocationOfOrigin
		}
		config.Clusters[name] = cluster
	}
	for name, user := range made.AuthInfos {
		if old := config.AuthInfos[name]; old != nil {
			user.LocationOfOrigin = old.LocationOfOrigin
		}
		config.AuthInfos[name] = user
	}
	for name, context := range made.Contexts {
		if old := config.Contexts[name]; old != nil {
			context.LocationOfOrigin, context.Namespace = old.LocationOfOrigin, old.Namespace // which is the person's
		}
		config.Contexts[name] = context
	}
	if made.CurrentContext != "" {
		config.CurrentContext = made.CurrentContext
	}
	if err := clientcmd.ModifyConfig(access, *config, false); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(made.Contexts)) {
		fmt.Fprintf(d.out, "context %q is in %s\n", name, fileOf(access, config.Contexts[name]))
	}
	return nil
}

func fileOf(access clientcmd.ConfigAccess, context *clientcmdapi.Context) string {
	if context.LocationOfOrigin != "" {
		return context.LocationOfOrigin
	}
	if access.IsExplicitFile() {
		return access.GetExplicitFile()
	}
	return access.GetDefaultFilename()
}

// foreignEntries are those of a kubeconfig that would be replaced, and that we did not make: a context or
// cluster is ours by its user, and a user by its plugin.
func foreignEntries(config, made *clientcmdapi.Config) []string {
	ours := func(user string) bool {
		u := config.AuthInfos[user]
		return u != nil && u.Exec != nil && strings.TrimSuffix(filepath.Base(u.Exec.Command), ".exe") == "hawser-auth"
	}
	var foreign []string
	for name := range made.AuthInfos {
		if config.AuthInfos[name] != nil && !ours(name) {
			foreign = append(foreign, fmt.Sprintf("user %q", name))
		}
		if config.Clusters[name] != nil && !ours(name) {
			foreign = append(foreign, fmt.Sprintf("cluster %q", name))
		}
	}
	for name := range made.Contexts {
		if old := config.Contexts[name]; old != nil && !ours(old.AuthInfo) {
			foreign = append(foreign, fmt.Sprintf("context %q", name))
		}
	}
	slices.Sort(foreign)
	return foreign
}
