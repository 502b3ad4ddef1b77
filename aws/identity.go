package aws

import (
	"context"
	"fmt"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// Ref names an identity. It is comparable. The zero Ref is the manager's own identity: IRSA, Pod
// Identity, environment or instance.
type Ref struct {
	Kind v1alpha1.AWSIdentityKind
	Name string
}

// RefOf is the identity that r names; nil is the manager's own.
func RefOf(r *v1alpha1.AWSIdentityRef) Ref {
	if r == nil {
		return Ref{}
	}
	ref := Ref{Kind: r.Kind, Name: r.Name}
	if ref.Kind == "" {
		ref.Kind = v1alpha1.KindAWSIdentity
	}
	return ref
}

// IsZero reports whether it is the manager's own identity, which no object stands for.
func (r Ref) IsZero() bool { return r == Ref{} }

func (r Ref) String() string {
	if r.IsZero() {
		return "the manager's own identity"
	}
	return fmt.Sprintf("%s %q", r.Kind, r.Name)
}

// Identity is one identity as plain data, whatever object it was read from.
type Identity struct {
	Ref Ref
	// Version changes whenever the identity does: UID and generation of its object, and
	// resourceVersion of its Secret. It stands for the keys where they must not be seen.
	Version string
	Type    v1alpha1.AWSIdentityType
	// Role of type role.
	Role *Role
	// Keys of type static.
	Keys *Keys
	// Source of type role; zero is the manager's own identity.
	Source Ref
	// Namespaces that may use it.
	Namespaces Namespaces
	// Deleting says that the object waits for its last user to go. It works until then.
	Deleting bool
}

// Role is a role and how it is assumed.
type Role struct {
	ARN          string
	SessionName  string // by default hawser-<name of the identity>
	ExternalID   string
	InlinePolicy string
	PolicyARNs   []string
	Region       string        // whose STS is asked
	Duration     time.Duration // by default an hour
}

// Keys are a pair of access keys. What they print does not hold the secret ones.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey credential.Secret
	SessionToken    credential.Secret // set for temporary keys
	Region          string
}

// Reader reads identities. What it cannot read it answers with an *Error, whose reason is
// IdentityNotFound, or InputMissing, InputUnlabeled, InputForbidden or InputInvalid for the Secret of
// static keys.
type Reader interface {
	Identity(ctx context.Context, ref Ref) (Identity, error)
}
