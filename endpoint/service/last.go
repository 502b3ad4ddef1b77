package service

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// LastSelector is the selector that the slices of the Service of that UID were made by, the first by the name of the
// cluster where they differ: "" where there are none.
func (l *Local) LastSelector(whole Key, uid types.UID) string {
	for _, cluster := range l.Clusters(whole) {
		key := whole.Of(cluster)
		of := slices.DeleteFunc(l.Slices(key), func(s *discoveryv1.EndpointSlice) bool {
			return !slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == uid })
		})
		if text := SourceOf(key, of).Selector; text != "" {
			return text
		}
	}
	return ""
}
