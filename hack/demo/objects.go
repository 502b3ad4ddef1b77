package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

var getOptions metav1.GetOptions

// mint makes a token for a service account of namespace hawser.
func mint(ctx context.Context, c kubernetes.Interface, account string) (string, error) {
	answer, err := c.CoreV1().ServiceAccounts(v1alpha1.Namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("minting a token for service account %q: %w", account, err)
	}
	return answer.Status.Token, nil
}

func writeKubeconfig(file string, config *rest.Config) error {
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	k.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	k.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	k.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*k, file); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

// awaitLease waits until the member controllers hold their Lease.
func awaitLease(ctx context.Context, c *fleettest.Cluster) error {
	leases := c.Client().CoordinationV1().Leases(v1alpha1.Namespace)
	return await(ctx, "for the member controllers", func(ctx context.Context) error {
		lease, err := leases.Get(ctx, v1alpha1.MemberControllersLease, getOptions)
		if err == nil && lease.Spec.RenewTime == nil {
			err = errors.New("nobody holds their Lease")
		}
		return err
	})
}

// await waits for as long as a step may take.
func await(ctx context.Context, what string, check func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := fleettest.Until(ctx, 200*time.Millisecond, func() error { return check(ctx) }); err != nil {
		return fmt.Errorf("waiting %s: %w", what, err)
	}
	return nil
}
