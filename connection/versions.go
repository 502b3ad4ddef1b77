package connection

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/hawser-io/hawser/internal/advice"
)

// leastKubernetes is the first that serves SelfSubjectReview, by which a credential is proved.
var leastKubernetes = version.MustParseGeneric("1.28")

// Of the range that Hawser is tested with and that its client library supports: before policyKubernetes there are
// no ValidatingAdmissionPolicies, and newestKubernetes is one release newer than the client library's own.
var (
	policyKubernetes = version.MustParseGeneric("1.30")
	newestKubernetes = version.MustParseGeneric("1.38")
)

// maxMinorSkew is how many minor releases a member install and the manager may be apart.
const maxMinorSkew = 1

// versionSkew says what is too far apart to work together, and what mends it; "" where nothing is. A
// version that is none, as that of a build from a work tree, is compared with nothing.
func versionSkew(mend advice.Cluster, kubernetes, member, own string) string {
	if v, err := version.ParseGeneric(kubernetes); err == nil && v.LessThan(leastKubernetes) {
		return fmt.Sprintf("Kubernetes %s is older than %s, which Hawser needs: upgrade the remote cluster", kubernetes, leastKubernetes)
	}
	theirs, err := version.ParseSemantic(member)
	if err != nil {
		return ""
	}
	ours, err := version.ParseSemantic(own)
	if err != nil {
		return ""
	}
	apart := int(ours.Minor()) - int(theirs.Minor())
	switch {
	case ours.Major() == theirs.Major() && -maxMinorSkew <= apart && apart <= maxMinorSkew:
		return ""
	case ours.LessThan(theirs):
		return fmt.Sprintf("its member install is of Hawser %s, and this manager is %s: upgrade the manager", member, own)
	}
	return fmt.Sprintf("its member install is of Hawser %s, and this manager is %s. Repair it: %s", member, own, mend.UpgradeThere(""))
}

// untested says what works and has not been tried, or works less well, and what mends it; "" where nothing is.
func untested(kubernetes string) string {
	v, err := version.ParseGeneric(kubernetes)
	switch {
	case err != nil:
		return ""
	case v.LessThan(policyKubernetes):
		return fmt.Sprintf("Kubernetes %s is older than %s: it has no ValidatingAdmissionPolicies, so that nothing there caps the lifetime of tokens, and grants are not carried out: upgrade the remote cluster", kubernetes, policyKubernetes)
	case v.Major() > newestKubernetes.Major() || v.Major() == newestKubernetes.Major() && v.Minor() > newestKubernetes.Minor():
		return fmt.Sprintf("Kubernetes %s is newer than %s, the newest that this version of Hawser has been made for: upgrade Hawser", kubernetes, newestKubernetes)
	}
	return ""
}
