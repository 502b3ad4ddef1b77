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
// owns what lies outside of it. What a Helm release has made is used as it is, and where that lacks something, it is
// a LacksError before anything is changed.
func ApplyObjects(ctx context.Context, c client.Client, local string, objs []client.Object, report Report) error {
	helms, err := used(ctx, c, local, objs)
	if err != nil {
		return err
	}
	apply := func(obj client.Object) error {
		if helms[Describe(obj)] {
			report(obj, Used)
			return nil
		}
		return applyOne(ctx, c, obj, report)
	}
	own := func(obj client.Object) bool {
		return isNamespace(obj) && obj.GetName() == v1alpha1.MemberNamespace(local)
	}
	for _, obj := range objs {
		if !own(obj) {
			continue
		}
		if err := apply(obj); err != nil {
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
		if err := apply(obj); err != nil {
			return err
		}
	}
	return nil
}

// Planned sorts what ApplyObjects would be given: what it would write, and by name what is of a release and is used as it
// is. Where a release lacks something it fails as ApplyObjects does.
func Planned(ctx context.Context, c client.Client, local string, objs []client.Object) (written []client.Object, held []string, err error) {
	helms, err := used(ctx, c, local, objs)
	if err != nil {
		return nil, nil, err
	}
	for _, obj := range objs {
		if helms[Describe(obj)] {
			held = append(held, Describe(obj))
		} else {
			written = append(written, obj)
		}
	}
	return written, held, nil
}

// CutGrants deletes the AccessGrants for the connection from local, those that join made and those of a Helm release:
// the member controllers take away what was made of them, accounts and bindings, and so end it whatever way it came in.
func CutGrants(ctx context.Context, c client.Client, local string, report Report) error {
	return removeFederation(ctx, c, local, report, []string{v1alpha1.ManagedBy, Helm}, "AccessGrant")
}

// RemoveFederation deletes what join made of TrustedIssuers and AccessGrants for the connection from local.
func RemoveFederation(ctx context.Context, c client.Client, local string, report Report) error {
	return removeFederation(ctx, c, local, report, []string{v1alpha1.ManagedBy}, "AccessGrant", "TrustedIssuer")
}

func removeFederation(ctx context.Context, c client.Client, local string, report Report, managers []string, kinds ...string) error {
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
		err := c.List(ctx, list, client.MatchingLabelsSelector{Selector: connectionOf(local, managers...)})
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue // the cluster has no such kind
		}
		if err != nil {
			return fmt.Errorf("listing each %s of the connection from %q: %w", kind, local, err)
		}
		for i := range list.Items {
			if err := removeNow(ctx, c, &list.Items[i], report); err != nil {
				return err
			}
		}
	}
	return nil
}
