package cli

import (
	"cmp"
	"context"

	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/awsidentity"
	"github.com/hawser-io/hawser/inventory/capa"
)

// identities reads the identities of the local cluster, by the rights of the person at the keyboard.
func (d *deps) identities(ctx context.Context, here *cluster) (aws.Reader, error) {
	id, err := d.identityOf(ctx, here.Client)
	return awsidentity.Readers{
		AWSIdentity: awsidentity.Reader{Client: here.Client, Secrets: here.Kube.CoreV1().Secrets(d.namespace)},
		ClusterAPI:  capa.Reader{Client: here.Client, Namespace: cmp.Or(id.ClusterAPI, capa.DefaultNamespace)},
	}, err
}
