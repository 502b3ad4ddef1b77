package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

const (
	// maxRoles is how many roles a chain may have.
	maxRoles = 4
	// defaultDuration of a session, and the most that AWS gives to a role that is assumed from
	// temporary credentials (IAM User Guide, "Role chaining").
	defaultDuration = time.Hour
	maxChained      = time.Hour
)

// Chain is the way to an identity: what it starts from, and the roles in the order in which they are assumed.
type Chain struct {
	// Ground is the manager's own identity or static keys.
	Ground Identity
	Roles  []Identity
}

// Resolve finds the way to the identity that ref names, for ns. It asks r and nothing else, so that
// what it refuses is refused before AWS hears of it. What it refuses is an *Error; another error of r is
// passed on.
func Resolve(ctx context.Context, r Reader, ref Ref, ns Namespace) (Chain, error) {
	chain, err := walk(ctx, r, ref)
	if err != nil {
		return Chain{}, err
	}
	for _, check := range []func() *Error{chain.checkSpecs, chain.checkPartitions, chain.checkDurations, func() *Error { return chain.checkNamespaces(ref, ns) }} {
		if err := check(); err != nil {
			return Chain{}, err
		}
	}
	return chain, nil
}

// walk reads from the target to the ground.
func walk(ctx context.Context, r Reader, ref Ref) (Chain, error) {
	var targetFirst []Identity
	seen := map[Ref]bool{}
	for !ref.IsZero() {
		if seen[ref] {
			return Chain{}, cycle(targetFirst, ref)
		}
		seen[ref] = true
		id, err := read(ctx, r, ref, len(targetFirst))
		if err != nil {
			return Chain{}, err
		}
		if id.Type != v1alpha1.AWSRoleIdentity {
			return chainOf(id, targetFirst), nil
		}
		targetFirst = append(targetFirst, id)
		if n := len(targetFirst); n > maxRoles {
			return Chain{}, &Error{Hop: 1, Hops: n, Ref: id.Ref, Reason: v1alpha1.ReasonChainTooDeep,
				Repair: "let one of them name an earlier one as its sourceIdentityRef",
				Err:    fmt.Errorf("the chain %s has more than %d roles", way(targetFirst), maxRoles)}
		}
		ref = id.Source
	}
	return chainOf(Identity{Type: v1alpha1.AWSControllerIdentity}, targetFirst), nil
}

// read reads one identity, after which there are later ones in the chain. Whether it is a role is not
// known where it cannot be read: it is then counted as the first hop.
func read(ctx context.Context, r Reader, ref Ref, later int) (Identity, error) {
	id, err := r.Identity(ctx, ref)
	var known *Error
	switch {
	case err == nil:
		id.Ref = ref
		return id, nil
	case errors.As(err, &known):
		broken := *known
		broken.Ref = ref
		broken.Hop, broken.Hops = 1, later+1
		if later == 0 { // alone, it needs no number
			broken.Hop, broken.Hops = 0, 0
		}
		return Identity{}, &broken
	}
	return Identity{}, fmt.Errorf("reading %s: %w", ref, err)
}

func chainOf(ground Identity, targetFirst []Identity) Chain {
	slices.Reverse(targetFirst)
	return Chain{Ground: ground, Roles: targetFirst}
}

func cycle(targetFirst []Identity, again Ref) *Error {
	last := targetFirst[len(targetFirst)-1]
	return &Error{Hop: 1, Hops: len(targetFirst), Ref: last.Ref, Reason: v1alpha1.ReasonIdentityCycle,
		Repair: "let one of them be assumed from an identity outside of the circle: correct its sourceIdentityRef",
		Err:    fmt.Errorf("its sourceIdentityRef %s leads back: %s, from %s", again, way(targetFirst), again)}
}

// way prints the identities from the target down to where they come from.
func way(targetFirst []Identity) string {
	var names []string
	for _, id := range targetFirst {
		names = append(names, id.Ref.String())
	}
	return strings.Join(names, ", from ")
}

// checkSpecs finds what only an API server's validation would have refused: identities also come
// from objects of other people's kinds.
func (c Chain) checkSpecs() *Error {
	switch {
	case c.Ground.Type == v1alpha1.AWSStaticIdentity && c.Ground.Keys == nil:
		return c.broken(0, v1alpha1.ReasonInputMissing, "", errors.New("it has no access keys"))
	case c.Ground.Type != v1alpha1.AWSStaticIdentity && c.Ground.Type != v1alpha1.AWSControllerIdentity:
		return c.broken(0, v1alpha1.ReasonSpecInvalid, "correct its type", fmt.Errorf("its type %q is unknown", c.Ground.Type))
	}
	for i, id := range c.Roles {
		if id.Role == nil {
			return c.broken(i+1, v1alpha1.ReasonSpecInvalid, "fill in role", errors.New("it has no role"))
		}
		if _, err := PartitionOfARN(id.Role.ARN); err != nil || !strings.Contains(id.Role.ARN, ":role/") {
			return c.broken(i+1, v1alpha1.ReasonSpecInvalid, "write arn:<partition>:iam::<account>:role/<name>", fmt.Errorf("its roleARN %q is no ARN of a role", id.Role.ARN))
		}
	}
	return nil
}

// checkPartitions refuses hops between partitions: AWS has no bridge there.
func (c Chain) checkPartitions() *Error {
	var before string
	if c.Ground.Keys != nil && c.Ground.Keys.Region != "" {
		before = PartitionOfRegion(c.Ground.Keys.Region)
	}
	for i, id := range c.Roles {
		here, _ := PartitionOfARN(id.Role.ARN) // it was parsed before
		if before != "" && here != before {
			return c.broken(i+1, v1alpha1.ReasonCrossPartition, "use an identity of the partition "+here+" as its source",
				fmt.Errorf("its role is in the partition %s and is assumed from %s: AWS has no way between them", here, before))
		}
		if region := id.Role.Region; region != "" && PartitionOfRegion(region) != here {
			return c.broken(i+1, v1alpha1.ReasonCrossPartition, "name a region of the partition "+here+" in role.region, or none",
				fmt.Errorf("its role is in the partition %s and its region %s is not", here, region))
		}
		before = here
	}
	return nil
}

// checkDurations refuses sessions of more than an hour that are made from temporary credentials. The
// manager's own identity counts as temporary: everywhere but with plain keys in its environment it is.
func (c Chain) checkDurations() *Error {
	temporary := c.Ground.Keys == nil || !c.Ground.Keys.SessionToken.IsZero()
	for i, id := range c.Roles {
		if temporary && id.Role.Duration > maxChained {
			return c.broken(i+1, v1alpha1.ReasonDurationTooLong, "lower durationSeconds to 3600",
				fmt.Errorf("its session of %s is longer than the hour that AWS gives to a role that is assumed from temporary credentials", id.Role.Duration))
		}
		temporary = true
	}
	return nil
}

// checkNamespaces asks every identity of the chain, also the one that it starts from. The manager's
// own identity has no object that could admit anybody: it is lent by the role that names no source,
// and to a namespace directly never.
func (c Chain) checkNamespaces(target Ref, ns Namespace) *Error {
	if ns.Name == "" {
		return nil
	}
	if target.IsZero() {
		return c.broken(0, v1alpha1.ReasonNamespaceNotAllowed, "make an AWSIdentity of type controller whose allowedNamespaces admit it, and name that",
			fmt.Errorf("no object says that namespace %q may use it", ns.Name))
	}
	for hop := 0; hop <= len(c.Roles); hop++ {
		id := c.identity(hop)
		if !id.Ref.IsZero() && !id.Namespaces.Admit(ns) {
			return c.broken(hop, v1alpha1.ReasonNamespaceNotAllowed, "add it to the allowedNamespaces of "+id.Ref.String(),
				fmt.Errorf("namespace %q is not among its allowedNamespaces", ns.Name))
		}
	}
	return nil
}

func (c Chain) broken(hop int, reason, repair string, err error) *Error {
	return &Error{Hop: hop, Hops: len(c.Roles), Ref: c.identity(hop).Ref, Reason: reason, Repair: repair, Err: err}
}

// identity is that of a hop: 0 is the ground.
func (c Chain) identity(hop int) Identity {
	if hop == 0 {
		return c.Ground
	}
	return c.Roles[hop-1]
}

// prefix is the chain as far as a hop.
func (c Chain) prefix(hop int) Chain { return Chain{Ground: c.Ground, Roles: c.Roles[:hop]} }

// Fingerprint names what the credentials of the chain depend on, without a byte of a secret: the
// versions of the identities stand for their keys.
func (c Chain) Fingerprint() string { return c.fingerprints()[len(c.Roles)] }

// fingerprints are those of all prefixes, the ground first.
func (c Chain) fingerprints() []string {
	prints := make([]string, 0, len(c.Roles)+1)
	prints = append(prints, groundFingerprint(c.Ground))
	for i, id := range c.Roles {
		r := id.Role
		parts := [][]byte{[]byte(prints[i])}
		for _, s := range []string{string(id.Ref.Kind), id.Ref.Name, id.Version, r.ARN, r.SessionName, r.ExternalID, r.InlinePolicy, r.Region, strconv.FormatInt(int64(r.Duration), 10)} {
			parts = append(parts, []byte(s))
		}
		for _, s := range r.PolicyARNs {
			parts = append(parts, []byte(s))
		}
		prints = append(prints, credential.Fingerprint(parts...))
	}
	return prints
}

// groundFingerprint is one and the same for all identities of type controller: there is one manager.
func groundFingerprint(id Identity) string {
	if id.Keys == nil {
		return credential.Fingerprint([]byte(v1alpha1.AWSControllerIdentity))
	}
	return credential.Fingerprint([]byte(v1alpha1.AWSStaticIdentity), []byte(id.Ref.Kind), []byte(id.Ref.Name), []byte(id.Version), []byte(id.Keys.AccessKeyID))
}

// Names are the identities of the chain as a status prints them, the first that is taken on first.
func (c Chain) Names() []string {
	var names []string
	for hop := 0; hop <= len(c.Roles); hop++ {
		ref := c.identity(hop).Ref
		switch ref.Kind {
		case "", v1alpha1.KindAWSIdentity:
			if ref.IsZero() {
				ref.Name = "(manager)"
			}
			names = append(names, ref.Name)
		default:
			names = append(names, string(ref.Kind)+"/"+ref.Name)
		}
	}
	return names
}

// ARN is that of the last role; empty where there is none.
func (c Chain) ARN() string {
	if len(c.Roles) == 0 {
		return ""
	}
	return c.Roles[len(c.Roles)-1].Role.ARN
}

// Partition is that of the last role, or of the region of static keys; empty where it is not known.
func (c Chain) Partition() string {
	if arn := c.ARN(); arn != "" {
		partition, _ := PartitionOfARN(arn) // Resolve parsed it
		return partition
	}
	if c.Ground.Keys != nil && c.Ground.Keys.Region != "" {
		return PartitionOfRegion(c.Ground.Keys.Region)
	}
	return ""
}
