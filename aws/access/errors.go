package access

import (
	"errors"
	"fmt"
	"strings"

	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// failure says what went wrong with an entry. It wraps an *aws.Error, which holds the reason and the
// repair, and whose text begins with an identity of Hawser's: here it may be anybody who asks.
type failure struct {
	text  string
	cause *aws.Error
}

func (f *failure) Error() string { return f.text }

// Unwrap returns the *aws.Error.
func (f *failure) Unwrap() error { return f.cause }

func fail(reason, repair string, cause error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if cause == nil {
		cause = errors.New(text)
	}
	return &failure{text, &aws.Error{Reason: reason, Repair: repair, Err: cause}}
}

// asFailure is an error of package aws without an identity that nobody named. That of an identity's own
// credentials stays as it is.
func asFailure(err error) error {
	known := aws.AsError(aws.Ref{}, err)
	if !known.Ref.IsZero() || known.Hops > 0 {
		return known
	}
	return fail(known.Reason, known.Repair, known.Err, "%v", known.Err)
}

// refusal is the error of a plan that does nothing.
func (t Target) refusal(doing string, p Plan) error {
	return fail(p.Reason, p.Repair, nil, "%s: %s", doing, p.Why)
}

// isNoEntry tells an entry that is missing from a cluster that is: EKS answers both alike, but for the words.
func isNoEntry(err error) bool {
	missing := new(ekstypes.ResourceNotFoundException)
	return errors.As(err, &missing) && !strings.Contains(missing.ErrorMessage(), "No cluster found")
}

func isInUse(err error) bool {
	inUse := new(ekstypes.ResourceInUseException)
	return errors.As(err, &inUse)
}

func reasonOf(err error) string {
	if known := new(aws.Error); errors.As(err, &known) {
		return known.Reason
	}
	return ""
}

// explain says what an error of the EKS API means for an entry, and what to do. permission is what the
// call takes. A ResourceInUseException stays to be seen.
func (t Target) explain(doing, permission string, err error) error {
	doing = fmt.Sprintf("%s the access entry of %s in cluster %q in %s", doing, t.Principal.ARN, t.Cluster, t.Region)
	if isInUse(err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if request := new(ekstypes.InvalidRequestException); errors.As(err, &request) && strings.Contains(request.ErrorMessage(), "authentication mode") {
		return t.refusal(doing, t.refuseConfigMap())
	}
	known := aws.AsError(aws.Ref{}, err)
	if !known.Ref.IsZero() || known.Hops > 0 {
		return known
	}
	reason, repair := known.Reason, known.Repair
	parameter := new(ekstypes.InvalidParameterException)
	switch {
	case errors.As(err, &parameter) && strings.Contains(parameter.ErrorMessage(), "principal"):
		reason = v1alpha1.ReasonAccessEntryMissing
		repair = "see whether it exists, and by which ARN, with its path: aws iam get-role --role-name " + quote(t.Principal.Name) + " --query Role.Arn"
	case reason == v1alpha1.ReasonEKSDenied:
		repair = fmt.Sprintf("have %s on cluster %q allowed to whoever asks, or ask as somebody else", permission, t.Cluster)
	}
	return fail(reason, repair, known.Err, "%s: %v", doing, known.Err)
}
