package shard

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newer reports whether a is a later version of an object than b, also where it was deleted and made anew in between.
func newer(a, b metav1.Object) bool { return versionOf(a) > versionOf(b) }

// versionOf is a resourceVersion as the number that it is; zero where it is none.
func versionOf(o metav1.Object) uint64 {
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
