package connection

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/member"
)

// about is what a cluster says of itself, by the ClusterProperties of KEP-2149.
type about struct {
	// known says that it was asked for all of it: what is empty then, it does not say.
	known bool
	// id and set are the values of cluster.clusterset.k8s.io and clusterset.k8s.io.
	id, set string
}

const pathAbout = "/apis/" + member.ClusterPropertyGroup

// maxProperty bounds what is taken over from a cluster: it ends up in the local one. An id is part of DNS names,
// and a ClusterProfile takes no more than this.
const maxProperty = 1024

// ask asks the cluster. What it does not answer, or may not be asked, stays as it was.
func (a *about) ask(ctx context.Context, call caller) {
	version, err := aboutVersion(ctx, call)
	if err != nil {
		return
	}
	next := about{known: true}
	if version == "" {
		*a = next
		return
	}
	for name, value := range map[string]*string{member.ClusterPropertyName: &next.id, member.ClusterSetPropertyName: &next.set} {
		if err := readProperty(ctx, call, version, name, value); err != nil {
			next.known = false
		}
	}
	if next.known {
		*a = next
		return
	}
	a.id, a.set = cmp.Or(next.id, a.id), cmp.Or(next.set, a.set)
}

// aboutVersion is the best version of ClusterProperties that the cluster serves; empty where it serves none. One
// that does not let us look is believed to serve that of today.
func aboutVersion(ctx context.Context, call caller) (string, error) {
	a, err := call.do(ctx, http.MethodGet, pathAbout, nil)
	switch {
	case err != nil:
		return "", err
	case a.status == http.StatusNotFound:
		return "", nil
	case a.status == http.StatusForbidden:
		return member.ClusterPropertyVersion, nil
	}
	var group metav1.APIGroup
	if err := a.decode(pathAbout, &group); err != nil {
		return "", err
	}
	for _, version := range member.ClusterPropertyVersions() {
		if slices.ContainsFunc(group.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == version }) {
			return version, nil
		}
	}
	return "", nil
}

// readProperty leaves the value empty where there is no such property, and where it is longer than maxProperty.
func readProperty(ctx context.Context, call caller, version, name string, value *string) error {
	var property struct{ Spec struct{ Value string } }
	path := pathAbout + "/" + version + "/" + member.ClusterPropertyResource + "/" + name
	err := call.json(ctx, http.MethodGet, path, nil, &property)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return nil
	}
	if err == nil && len(property.Spec.Value) <= maxProperty {
		*value = property.Spec.Value
	}
	return err
}
