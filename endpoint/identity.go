package endpoint

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/hawser-io/hawser/endpoint/wire"
)

// SystemNamespace is the namespace whose UID is the cluster's id.
const SystemNamespace = "kube-system"

// ErrOtherCluster says that another cluster answers.
var ErrOtherCluster = errors.New("another cluster answers under this name")

// Verify fails if another cluster than the one that is followed answers, with ErrOtherCluster, or if that cannot be found
// out. A connection refuses another one, too, but only from its next probe on, and what is listed until then would be taken
// for this cluster's. Nil: nobody knows which is meant, and none is another.
type Verify func(ctx context.Context) error

// Now asks.
func (v Verify) Now(ctx context.Context) error {
	if v == nil {
		return nil
	}
	return v(ctx)
}

// Sure makes sure that a cluster that we had something of before, at the version since, is still the same, before it is
// asked what has become of that: another one may take a while to say that it has not got as far.
func (v Verify) Sure(ctx context.Context, since string) error {
	if since == "" || since == "0" {
		return nil
	}
	return v.Now(ctx)
}

// Reconsider says why a cluster answers with an error, if it is because it is another one: of what we name, it knows
// nothing.
func (v Verify) Reconsider(ctx context.Context, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	if other := v.Now(ctx); errors.Is(other, ErrOtherCluster) {
		return other
	}
	return err
}

// verify is a Verify.
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
	o := metav1.ListOptions{FieldSelector: "metadata.name=" + SystemNamespace}
	if err := f.client.Get().Resource("namespaces").VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Into(&list); err != nil {
		return "", fmt.Errorf("finding out which cluster answers: %w", err)
	}
	if len(list.Items) != 1 || string(list.Items[0].UID) != f.options.ID {
		return "", ErrOtherCluster
	}
	return list.ResourceVersion, nil
}
