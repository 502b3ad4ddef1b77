package access

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Principal is an IAM role or user, which an access entry can be for.
type Principal struct {
	// ARN is arn:<partition>:iam::<account>:role/<path and name>, or user/ instead of role/.
	ARN string
	// Partition and AccountID that it belongs to.
	Partition, AccountID string
	// Role tells a role from a user. Name is that without its path.
	Role bool
	Name string
	// PathUnknown says that the ARN was made from that of a session, which does not tell the path of
	// its role. Where the role has one, the ARN is wrong.
	PathUnknown bool
}

// ParsePrincipal reads the ARN of a role or a user. That of an assumed role's session becomes that of
// its role, since access entries are for the role. Whatever else STS knows cannot have an entry.
func ParsePrincipal(text string) (Principal, error) {
	parsed, err := arn.Parse(text)
	if err != nil {
		return Principal{}, fmt.Errorf("reading principal %q: it is no ARN such as arn:aws:iam::111122223333:role/name", text)
	}
	p := Principal{ARN: text, Partition: parsed.Partition, AccountID: parsed.AccountID}
	kind, rest, _ := strings.Cut(parsed.Resource, "/")
	path := strings.Split(rest, "/")
	p.Name = path[len(path)-1]
	switch parsed.Service + " " + kind {
	case "iam role":
		p.Role = true
	case "iam user":
	case "sts assumed-role":
		if len(path) != 2 || path[0] == "" || path[1] == "" {
			return Principal{}, fmt.Errorf("reading principal %q: the ARN of a session is arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION", text)
		}
		p.Role, p.PathUnknown, p.Name = true, true, path[0]
		p.ARN = arn.ARN{Partition: parsed.Partition, Service: "iam", AccountID: parsed.AccountID, Resource: "role/" + p.Name}.String()
	default:
		return Principal{}, fmt.Errorf("reading principal %q: an access entry is for a role or a user, not for %s", text, describeKind(parsed.Service, kind))
	}
	if len(p.AccountID) != 12 || strings.Trim(p.AccountID, "0123456789") != "" || parsed.Region != "" || p.Name == "" {
		return Principal{}, fmt.Errorf("reading principal %q: it is no ARN such as arn:aws:iam::111122223333:role/name", text)
	}
	return p, nil
}

func describeKind(service, kind string) string {
	switch kind {
	case "root":
		return "the root of an account"
	case "federated-user":
		return "a federated user, who is temporary"
	}
	return service + " " + kind
}

// sameButPath reports whether another ARN is that of the same role, with its path.
func (p Principal) sameButPath(other string) bool {
	q, err := ParsePrincipal(other)
	return err == nil && q.Role == p.Role && q.Partition == p.Partition && q.AccountID == p.AccountID && q.Name == p.Name
}
