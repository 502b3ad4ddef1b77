package publish

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Selects says whether endpoints are taken from a cluster: one that has a name and the labels of its RemoteCluster.
// The local one is taken where the scope says local, and never otherwise. A selector of clusters that cannot be read
// selects none; see CheckScope.
func Selects(s v1alpha1.ClusterScope, name string, of map[string]string, local bool) bool {
	switch {
	case local:
		return s.Local
	case s.All:
		return true
	case s.Names != nil:
		return slices.Contains(s.Names, name)
	case s.Selector != nil:
		if empty(s.Selector) { // which would be all of them, and the API server refuses it
			return false
		}
		by, err := metav1.LabelSelectorAsSelector(s.Selector)
		return err == nil && by.Matches(labels.Set(of))
	}
	return false
}

func empty(s *metav1.LabelSelector) bool {
	return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// CheckScope says what is wrong with a scope that was written where nothing checked it.
func CheckScope(s v1alpha1.ClusterScope) error {
	if s.Selector == nil {
		return nil
	}
	if _, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		return fmt.Errorf("spec.clusters.selector: %w", err)
	}
	return nil
}
