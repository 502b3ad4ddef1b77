package endpoint

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/hawser-io/hawser/endpoint/wire"
)

// systemNamespace is the namespace whose UID is the cluster's id.
const systemNamespace = "kube-system"

// errOtherCluster says that another cluster answers.
var errOtherCluster = errors.New("another cluster answers under this name")

// verify fails if another cluster than the one that is followed answers. A connection refuses that, too, but only
// from its next probe on, and what is listed until then would be taken for this cluster's.
func (f *Feed) verify(ctx context.Context) error {
	_, err := f.identify(ctx)
	return err
}

// behind is verify, and reports whether the cluster is in an earlier state than the one of a version that it has
// given out before: it was restored from a backup.
func (f *Feed) behind(ctx context.Context, since string) (bool, error) {
	now, err := f.identify(ctx)
	if err != nil || since == "" || since == "0" {
		return false, err
	}
	order, err := resourceversion.CompareResourceVersion(now, since)
	return err == nil && order < 0, nil // versions that are no numbers have no order
}

// identify returns the version of the state that the cluster is in.
func (f *Feed) identify(ctx context.Context) (version string, err error) {
	if f.options.ID == "" {
		return "", nil
	}
	var list wire.List
	o := metav1.ListOptions{FieldSelector: "metadata.name=" + systemNamespace}
	if err := f.client.Get().Resource("namespaces").VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Into(&list); err != nil {
		return "", fmt.Errorf("finding out which cluster answers: %w", err)
	}
	if len(list.Items) != 1 || string(list.Items[0].UID) != f.options.ID {
		return "", errOtherCluster
	}
	return list.ResourceVersion, nil
}
