package publish

import (
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// WorkedBy says whether what an item asks for was written by that generation of it in some cluster, as the entries of its
// status say. The generation that the conditions speak of says less: the leader also tells of one that it holds back.
func WorkedBy(entries []v1alpha1.FederatedCluster, generation int64) bool {
	return slices.ContainsFunc(entries, func(e v1alpha1.FederatedCluster) bool { return e.ObservedGeneration == generation })
}
