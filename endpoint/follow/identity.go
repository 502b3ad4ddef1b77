package follow

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/rest"
)

// systemNamespace is the namespace whose UID is the cluster's id.
const systemNamespace = "kube-system"

// ErrOtherCluster says that another cluster answers.
var ErrOtherCluster = errors.New("another cluster answers under this name")

// Identity is which cluster is meant. A connection refuses another one, too, but only from its next probe on, and what is
// listed until then would be taken for this cluster's. Nil: nobody knows which is meant, and none is another.
type Identity struct {
	core rest.Interface
	id   string
}

// NewIdentity makes that of the cluster whose namespace kube-system has that UID; nil without one. core is a client of the
// core API, of somebody who may list namespaces.
func NewIdentity(core rest.Interface, id string) *Identity {
	if id == "" {
		return nil
	}
	return &Identity{core, id}
}

// version asks for that of the state which the cluster is in, and fails where it is another cluster, with ErrOtherCluster,
// or where that cannot be found out.
func (i *Identity) version(ctx context.Context) (string, error) {
	if i == nil {
		return "", nil
	}
	o := metav1.ListOptions{FieldSelector: "metadata.name=" + systemNamespace}
	list, err := i.core.Get().Resource("namespaces").VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
	if err != nil {
		return "", fmt.Errorf("finding out which cluster answers: %w", err)
	}
	of, err := meta.ListAccessor(list)
	if err != nil {
		return "", fmt.Errorf("finding out which cluster answers: %w", err)
	}
	all, err := meta.ExtractList(list)
	if err != nil || len(all) != 1 {
		return "", ErrOtherCluster
	}
	if m, err := meta.Accessor(all[0]); err != nil || string(m.GetUID()) != i.id {
		return "", ErrOtherCluster
	}
	return of.GetResourceVersion(), nil
}

func (i *Identity) verify(ctx context.Context) error {
	_, err := i.version(ctx)
	return err
}

// sure makes sure that a cluster that we had something of before, at the version since, is still the same, before it is
// asked what has become of that: another one may take a while to say that it has not got as far.
func (i *Identity) sure(ctx context.Context, since string) error {
	if since == "" || since == "0" {
		return nil
	}
	return i.verify(ctx)
}

// reconsider says why a cluster answers with an error, if it is because it is another one: of what we name, it knows
// nothing.
func (i *Identity) reconsider(ctx context.Context, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	if other := i.verify(ctx); errors.Is(other, ErrOtherCluster) {
		return other
	}
	return err
}

// behind is verify, and reports whether the cluster is in an earlier state than the one of a version that it has given out
// before: it was restored from a backup.
func (i *Identity) behind(ctx context.Context, since string) (bool, error) {
	now, err := i.version(ctx)
	if err != nil || since == "" || since == "0" {
		return false, err
	}
	order, err := resourceversion.CompareResourceVersion(now, since)
	return err == nil && order < 0, nil // versions that are no numbers have no order
}
