package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hawser-io/hawser/endpoint/index"
)

// Gap is something that is missing from what is known of a cluster, and why.
type Gap struct {
	// Reason is one of the constants, or one of those why addresses are refused.
	Reason string `json:"reason"`
	// Message says it to people. It is the same for as long as the reason is.
	Message string `json:"message"`
	// Count of addresses, or of lists.
	Count int `json:"count,omitempty"`
}

// String says a gap in one line.
func (g Gap) String() string {
	if g.Count > 1 {
		return fmt.Sprintf("%s (%d): %s", g.Reason, g.Count, g.Message)
	}
	return g.Reason + ": " + g.Message
}

func (g Gap) compare(other Gap) int {
	return cmp.Or(cmp.Compare(g.Reason, other.Reason), cmp.Compare(g.Message, other.Message))
}

// Reasons of gaps, besides those why addresses are refused.
const (
	ReasonUnreachable  = "Unreachable"        // it does not answer
	ReasonUnauthorized = "CredentialRefused"  // it does not accept the credential
	ReasonForbidden    = "Forbidden"          // something may not be listed and watched
	ReasonListFailed   = "ListFailed"         // it answers with an error
	ReasonOtherCluster = "WrongCluster"       // another cluster answers
	ReasonNotListed    = "NotListedYet"       // not everything was listed since it is followed
	ReasonNoCapability = "NoCapability"       // its RemoteCluster lacks the capability endpoints
	ReasonDisabled     = "Disabled"           // its RemoteCluster is disabled
	ReasonNotConnected = "NotConnected"       // there is no connection that knows which cluster it is
	ReasonDuplicate    = "DuplicateAddresses" // another cluster has the same addresses
)

// fault is what an error of a list says, the same for as long as it is the same trouble: which port it was from,
// and whether a connection was refused or reset, says nothing more.
type fault struct{ reason, message string }

func classify(err error) fault {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return fault{}
	case errors.Is(err, ErrOtherCluster):
		return fault{ReasonOtherCluster, ErrOtherCluster.Error()}
	case apierrors.IsForbidden(err):
		return fault{ReasonForbidden, "the connection may not list and watch them"}
	case apierrors.IsUnauthorized(err):
		return fault{ReasonUnauthorized, "the cluster does not accept the credential"}
	case errors.As(err, &status):
		s := status.Status()
		return fault{ReasonListFailed, fmt.Sprintf("the API server answers %d %s", s.Code, short(string(s.Reason), mostText))}
	}
	return fault{ReasonUnreachable, "the cluster does not answer"}
}

// gaps are what the state of a feed lacks, sorted.
func (s State) gaps() (all []Gap) {
	byFault := map[fault][]string{}
	for resource, f := range s.Faults {
		what := classify(f.Err)
		byFault[what] = append(byFault[what], resource)
	}
	for what, resources := range byFault {
		slices.Sort(resources)
		all = append(all, Gap{what.reason, strings.Join(resources, ", ") + ": " + what.message, len(resources)})
	}
	for reason, r := range s.Refused {
		all = append(all, Gap{reason, fmt.Sprintf("%s, as %s of %s", refusedBecause(reason), r.Address, name(r.Of)), r.Count})
	}
	if !s.Synced {
		all = append(all, Gap{Reason: ReasonNotListed, Message: "not everything was listed yet"})
	}
	slices.SortFunc(all, Gap.compare)
	return all
}

func refusedBecause(reason string) string {
	switch reason {
	case ReasonUnbounded:
		return "addresses are not taken from a cluster without spec.endpointCIDRs"
	case ReasonOutside:
		return "addresses outside of spec.endpointCIDRs"
	case ReasonOwn:
		return "addresses of the local cluster's nodes and API servers"
	case ReasonSpecial:
		return "addresses that no endpoint can have"
	case ReasonTooMany:
		return fmt.Sprintf("addresses of pods with more than %d", mostAddresses)
	}
	return "addresses that cannot be read"
}

// short is a text of a cluster that may lie: as it is, or, where it is longer than it can be in one that does not, quoted
// and cut.
func short(text string, most int) string {
	if len(text) > most {
		return quoted(text)
	}
	return text
}

// mostName is how long names of Kubernetes may be.
const mostName = 253

// name says which endpoint it is.
func name(id index.ID) string {
	kind := [...]string{index.Pod: "pod", index.Node: "node", index.HostEndpoint: "host endpoint", index.NetworkSet: "network set"}[id.Kind]
	if id.Namespace != "" {
		return kind + " " + short(id.Namespace, mostName) + "/" + short(id.Name, mostName)
	}
	return kind + " " + short(id.Name, mostName)
}
