package charttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// Process is the container of a Deployment of the chart as a process of this machine, not started yet: program with the
// arguments and the environment that are rendered, a token of the Deployment's service account for an hour, and what is
// mounted of Secrets as files in dir, an absolute path. Metrics and probes are served nowhere. args come last, and so
// win: they are for what a pod has of its own, as addresses are.
func Process(ctx context.Context, c *fleettest.Cluster, program, dir, deployment string, args ...string) (*exec.Cmd, error) {
	d, err := c.Client().AppsV1().Deployments(v1alpha1.Namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading what the chart installed in %q: %w", c.Name, err)
	}
	pod := d.Spec.Template.Spec
	kubeconfig := filepath.Join(dir, c.Name+"-"+deployment+".kubeconfig")
	if err := writeKubeconfig(ctx, c, pod.ServiceAccountName, kubeconfig); err != nil {
		return nil, err
	}
	mounted, err := mount(ctx, c, pod, dir)
	if err != nil {
		return nil, err
	}
	container := pod.Containers[0]
	cmd := exec.Command(program)
	for _, arg := range container.Args {
		cmd.Args = append(cmd.Args, mounted.Replace(arg))
	}
	cmd.Args = append(cmd.Args, "--kubeconfig", kubeconfig, "--metrics-bind-address=0", "--health-probe-bind-address=0")
	cmd.Args = append(cmd.Args, args...)
	cmd.Env = os.Environ()
	for _, e := range container.Env {
		if e.ValueFrom == nil {
			cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
		}
	}
	return cmd, nil
}

// mount writes what the container mounts of Secrets into folders, and replaces the mounts' paths by theirs.
func mount(ctx context.Context, c *fleettest.Cluster, pod corev1.PodSpec, dir string) (*strings.Replacer, error) {
	var paths []string
	for _, m := range pod.Containers[0].VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name && v.Secret != nil })
		if i < 0 {
			continue
		}
		secret, err := c.Client().CoreV1().Secrets(v1alpha1.Namespace).Get(ctx, pod.Volumes[i].Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("mounting %s: %w", m.MountPath, err)
		}
		here := filepath.Join(dir, c.Name+"-"+m.Name)
		if err := os.MkdirAll(here, 0o700); err != nil {
			return nil, fmt.Errorf("mounting %s: %w", m.MountPath, err)
		}
		for name, data := range secret.Data {
			if err := os.WriteFile(filepath.Join(here, name), data, 0o600); err != nil {
				return nil, fmt.Errorf("mounting %s: %w", m.MountPath, err)
			}
		}
		paths = append(paths, m.MountPath, here)
	}
	return strings.NewReplacer(paths...), nil
}

// writeKubeconfig makes a kubeconfig with a token of a service account of namespace hawser.
func writeKubeconfig(ctx context.Context, c *fleettest.Cluster, account, path string) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	answer, err := c.Client().CoreV1().ServiceAccounts(v1alpha1.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("minting a token for service account %q in %q: %w", account, c.Name, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Server, CertificateAuthorityData: c.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: answer.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("writing the kubeconfig of %q: %w", account, err)
	}
	return nil
}
