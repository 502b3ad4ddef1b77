package fleet

import (
	"fmt"
	"os"
	"path/filepath"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"k8s.io/client-go/tools/clientcmd"
)

// writeClusterKubeconfigs writes the admin's and the controller manager's kubeconfig of one cluster.
func writeClusterKubeconfigs(path string, spec Spec) error {
	for file, identity := range map[string]string{
		ConfigFile:                      "admin",
		"controller-manager.kubeconfig": "controller-manager",
	} {
		config := clientcmdapi.NewConfig()
		if err := addContext(config, path, spec, identity); err != nil {
			return err
		}
		config.CurrentContext = spec.Name
		if err := writeKubeconfig(filepath.Join(path, file), config); err != nil {
			return err
		}
	}
	return nil
}

// writeFleetKubeconfig writes the one file with an admin context for each cluster of the fleet.
func writeFleetKubeconfig(dir Dir, specs []Spec) error {
	config := clientcmdapi.NewConfig()
	for _, spec := range specs {
		spec, err := dir.Spec(spec.Name) // the address as it was written
		if err != nil {
			return err
		}
		if err := addContext(config, dir.Cluster(spec.Name), spec, "admin"); err != nil {
			return err
		}
	}
	if len(specs) > 0 {
		config.CurrentContext = specs[0].Name
	}
	return writeKubeconfig(dir.Kubeconfig(), config)
}

func addContext(config *clientcmdapi.Config, path string, spec Spec, identity string) error {
	read := map[string][]byte{"ca.crt": nil, identity + ".crt": nil, identity + ".key": nil}
	for file := range read {
		data, err := os.ReadFile(filepath.Join(path, file))
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		read[file] = data
	}
	config.Clusters[spec.Name] = &clientcmdapi.Cluster{
		Server:                   spec.Server,
		CertificateAuthorityData: read["ca.crt"],
	}
	config.AuthInfos[spec.Name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: read[identity+".crt"],
		ClientKeyData:         read[identity+".key"],
	}
	config.Contexts[spec.Name] = &clientcmdapi.Context{Cluster: spec.Name, AuthInfo: spec.Name}
	return nil
}

func writeKubeconfig(path string, config *clientcmdapi.Config) error {
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding kubeconfig: %w", err)
	}
	return writeFile(path, data)
}
