package install

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// ApplyObjects applies the objects of one connection, the connection's namespace among them: it comes first, and
// owns what lies outside of it.
func ApplyObjects(ctx context.Context, c client.Client, local string, objs []client.Object, report Report) error {
	own := func(obj client.Object) bool {
		return isNamespace(obj) && obj.GetName() == v1alpha1.MemberNamespace(local)
	}
	for _, obj := range objs {
		if !own(obj) {
			continue
		}
		if err := applyOne(ctx, c, obj, report); err != nil {
			return err
		}
	}
	uid, err := NamespaceUID(ctx, c, local)
	if err != nil {
		return err
	}
	member.SetOwner(objs, uid)
	for _, obj := range objs {
		if own(obj) {
			continue
		}
		if err := applyOne(ctx, c, obj, report); err != nil {
			return err
		}
	}
	return nil
}

// CutGrants deletes the AccessGrants that join made for the connection from local: the member controllers take
// away what was made of them, accounts and bindings, and so end it whatever way it came in.
func CutGrants(ctx context.Context, c client.Client, local string, report Report) error {
	return removeFederation(ctx, c, local, report, "AccessGrant")
}

// RemoveFederation deletes what join made of TrustedIssuers and AccessGrants for the connection from local.
func RemoveFederation(ctx context.Context, c client.Client, local string, report Report) error {
	return removeFederation(ctx, c, local, report, "AccessGrant", "TrustedIssuer")
}

func removeFederation(ctx context.Context, c client.Client, local string, report Report, kinds ...string) error {
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
		err := c.List(ctx, list, client.MatchingLabels{v1alpha1.LocalClusterLabel: local, v1alpha1.ManagedByLabel: v1alpha1.ManagedBy})
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue // the cluster has no such kind
		}
		if err != nil {
			return fmt.Errorf("listing each %s of the connection from %q: %w", kind, local, err)
		}
		for i := range list.Items {
			if err := remove(ctx, c, &list.Items[i], report); err != nil {
				return err
			}
		}
	}
	return nil
}
