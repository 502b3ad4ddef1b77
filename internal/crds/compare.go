package crds

import "k8s.io/apimachinery/pkg/util/version"

// mayWrite reports whether a build may replace a definition that a build of version there wrote. Empty: nobody
// has said, as where Helm or a person installed it. A version that is none, as that of a build from a work
// tree, is compared with nothing: it gives way to every release, and takes back none.
func mayWrite(there, own string) bool {
	if there == "" || there == own {
		return true
	}
	theirs, err := version.ParseSemantic(there)
	if err != nil {
		return true
	}
	ours, err := version.ParseSemantic(own)
	return err == nil && !ours.LessThan(theirs)
}
