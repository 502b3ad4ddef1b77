package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Error says which link of a chain broke. It holds no secret, neither in its text nor in what it wraps.
type Error struct {
	// Hop is the link that broke: the roles are counted from 1 in the order in which they are assumed,
	// and 0 is what they start from, the manager's own identity or static keys.
	Hop int
	// Hops is the number of roles of the chain; 0 where no hop is meant.
	Hops int
	// Ref is the identity of the broken link. Alone, without a hop, the zero one says that it is not known.
	Ref Ref
	// Reason is one of the reasons of the API.
	Reason string
	// Repair is the next command or step; empty where there is nothing to do but wait.
	Repair string
	// Err is the fault.
	Err error
}

// Error names the hop, the identity and the fault; Message adds the repair.
func (e *Error) Error() string {
	switch {
	case e.Hops == 0 && e.Ref.IsZero():
		return e.Err.Error()
	case e.Hops == 0:
		return fmt.Sprintf("%s: %v", e.Ref, e.Err)
	case e.Hop == 0:
		return fmt.Sprintf("before hop 1 of %d, %s: %v", e.Hops, e.Ref, e.Err)
	}
	return fmt.Sprintf("hop %d of %d, %s: %v", e.Hop, e.Hops, e.Ref, e.Err)
}

// Message is the error with its repair, for conditions.
func (e *Error) Message() string {
	if e.Repair == "" {
		return e.Error()
	}
	return e.Error() + ". " + strings.ToUpper(e.Repair[:1]) + e.Repair[1:]
}

// Unwrap returns the fault.
func (e *Error) Unwrap() error { return e.Err }

// at is e as it is seen on a chain of hops roles.
func (e *Error) at(hops int) *Error {
	seen := *e
	seen.Hops = hops
	return &seen
}

// AsError says what an error of the AWS SDK means for the identity that asked, as an *Error with a
// reason and a repair. What already is an *Error stays as it is; nil stays nil.
func AsError(ref Ref, err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	f := factsOf(err)
	v := f.verdict()
	return &Error{Ref: ref, Reason: v.reason, Repair: v.repair, Err: f.fault}
}

// doing is e with the thing that was being done before its fault.
func (e *Error) doing(format string, args ...any) *Error {
	done := *e
	done.Err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), e.Err)
	return &done
}

// fault is an error of the SDK without what must not be shown or changes from one attempt to the
// next: request ids, ports, and the canonical request, with its session token, that STS sends back
// with a bad signature.
type fault struct {
	text string
	err  error
}

func (f *fault) Error() string { return f.text }

// Unwrap returns a bare API error, or the end of a context.
func (f *fault) Unwrap() error { return f.err }

// facts are what an error of the SDK says, taken apart.
type facts struct {
	service, operation string
	code, message      string // of the API's answer
	unreachable        bool   // no answer of AWS came
	fault              *fault
}

func factsOf(err error) facts {
	var f facts
	var op *smithy.OperationError
	if errors.As(err, &op) {
		f.service, f.operation = op.Service(), op.Operation()
	}
	var inner *smithy.OperationError // the SDK nests those of its credential providers
	for op != nil && errors.As(op.Err, &inner) {
		f.service, f.operation = inner.Service(), inner.Operation()
		op = inner
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		f.code, f.message = answer.ErrorCode(), clean(answer.ErrorMessage())
		text := f.code + ": " + f.message
		if f.aboutSignature() {
			text = f.code // its message may hold the canonical request
			if f.aboutTime() {
				text += ": " + skewOf(f.message)
			}
		}
		bare := &smithy.GenericAPIError{Code: f.code, Message: strings.TrimPrefix(text, f.code+": "), Fault: answer.ErrorFault()}
		f.fault = &fault{text: text, err: bare}
		return f
	}
	f.fault, f.unreachable = wayFault(err)
	return f
}

// wayFault is the fault of an error that came without an answer of the API; unreachable says that the
// way to AWS is to blame.
func wayFault(err error) (f *fault, unreachable bool) {
	var (
		dns     *net.DNSError
		op      *net.OpError
		request *url.Error
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, context.Canceled):
		return &fault{text: "the request was given up", err: context.Canceled}, true
	case errors.As(err, &dns):
		return &fault{text: fmt.Sprintf("looking up %s: %s", dns.Name, dns.Err)}, true
	case errors.Is(err, context.DeadlineExceeded):
		return &fault{text: "no answer in time", err: context.DeadlineExceeded}, true
	case errors.As(err, &op) && op.Addr != nil:
		return &fault{text: fmt.Sprintf("%s %s: %v", op.Op, op.Addr, op.Err)}, true
	case errors.As(err, &timeout) && timeout.Timeout():
		return &fault{text: "no answer in time"}, true
	case errors.As(err, &request):
		return &fault{text: clean(request.Err.Error())}, true
	}
	return &fault{text: clean(err.Error())}, false
}

// signatureTimes are ours and that of AWS in "Signature expired: 20260301T120000Z is now earlier than
// 20260301T121500Z (20260301T122000Z - 5 min.)".
var signatureTimes = regexp.MustCompile(`(\d{8}T\d{6}Z).*\((\d{8}T\d{6}Z)`)

// skewOf says by how much our clock is off, in words that stay the same while it is.
func skewOf(message string) string {
	const form = "20060102T150405Z"
	if times := signatureTimes.FindStringSubmatch(message); times != nil {
		own, err := time.Parse(form, times[1])
		theirs, err2 := time.Parse(form, times[2])
		if off := theirs.Sub(own).Round(time.Minute); err == nil && err2 == nil {
			if off > 0 {
				return fmt.Sprintf("our clock is %s behind that of AWS", off)
			}
			return fmt.Sprintf("our clock is %s ahead of that of AWS", -off)
		}
	}
	return "our clock is off"
}

var requestID = regexp.MustCompile(`,? ?RequestID: [^,]*`)

// clean makes one line of bounded length of what a server or the SDK says.
func clean(text string) string {
	const most = 400
	text = strings.Join(strings.Fields(requestID.ReplaceAllString(text, "")), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// verdict is what follows from an error.
type verdict struct{ reason, repair string }

const (
	repairClock   = "set the clock of the machine that runs the manager: AWS refuses signatures that are more than five minutes off"
	repairExpired = "renew keys in the Secret of the static identity; a session of a role is made anew by itself, within a minute"
	repairPolicy  = "shorten inlinePolicy or name fewer policyARNs, and check them with: aws accessanalyzer validate-policy"
)

// verdicts by the code of the answer, where it decides alone.
var verdicts = map[string]verdict{
	"RegionDisabledException":     {v1alpha1.ReasonRegionDisabled, "enable the region for the account, or name another one in the identity's role.region"},
	"PackedPolicyTooLarge":        {v1alpha1.ReasonSpecInvalid, repairPolicy},
	"MalformedPolicyDocument":     {v1alpha1.ReasonSpecInvalid, repairPolicy},
	"ExpiredToken":                {v1alpha1.ReasonCredentialsExpired, repairExpired},
	"ExpiredTokenException":       {v1alpha1.ReasonCredentialsExpired, repairExpired},
	"InvalidClientTokenId":        {v1alpha1.ReasonCredentialsInvalid, "check that the access key exists and is active, that its session token is whole, and that the region is enabled for the account; new keys need a few seconds"},
	"UnrecognizedClientException": {v1alpha1.ReasonCredentialsInvalid, "check that the access key exists and is active, that its session token is whole, and that the region is enabled for the account; new keys need a few seconds"},
	"AuthFailure":                 {v1alpha1.ReasonCredentialsInvalid, "check that the access key exists and is active"},
	"InvalidIdentityToken":        {v1alpha1.ReasonCredentialsInvalid, "register the cluster's issuer as an OIDC provider in the account of the role, with the audience sts.amazonaws.com: see hawser aws bootstrap management"},
	"IDPCommunicationError":       {v1alpha1.ReasonAWSError, "make the issuer's /.well-known/openid-configuration and keys readable for AWS"},
	"RequestExpired":              {v1alpha1.ReasonClockSkew, repairClock},
	"RequestTimeTooSkewed":        {v1alpha1.ReasonClockSkew, repairClock},
	"RequestInTheFuture":          {v1alpha1.ReasonClockSkew, repairClock},
}

func (f facts) verdict() verdict {
	if v, ok := verdicts[f.code]; ok {
		return v
	}
	switch {
	case f.code == "" && f.service == "ec2imds":
		return verdict{v1alpha1.ReasonNoAWSCredentials, repairGround}
	case f.unreachable:
		return verdict{v1alpha1.ReasonAWSUnreachable, "let the manager reach the endpoints of AWS over HTTPS, directly or through HTTPS_PROXY"}
	case f.throttled():
		return verdict{reason: v1alpha1.ReasonThrottled}
	case f.aboutSignature() && f.aboutTime():
		return verdict{v1alpha1.ReasonClockSkew, repairClock}
	case f.aboutSignature():
		return verdict{v1alpha1.ReasonCredentialsInvalid, "check the secret access key: it does not belong to the access key"}
	case f.denied():
		return f.denial()
	case f.code == "ResourceNotFoundException" && f.service == "EKS":
		return verdict{v1alpha1.ReasonEKSClusterNotFound, "check clusterName, region and the account of the identity"}
	case f.code == "ValidationError" && strings.Contains(f.message, "DurationSeconds"):
		return verdict{v1alpha1.ReasonDurationTooLong, "lower durationSeconds, or raise the role's maximum session duration"}
	case f.code == "ValidationError":
		return verdict{v1alpha1.ReasonSpecInvalid, "correct the field of the identity that the message names"}
	}
	return verdict{reason: v1alpha1.ReasonAWSError}
}

func (f facts) throttled() bool {
	switch f.code {
	case "TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "LimitExceededException", "PriorRequestNotComplete":
		return true
	}
	return strings.Contains(f.code, "Throttl")
}

func (f facts) denied() bool {
	switch f.code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedException":
		return true
	}
	return false
}

// denial tells the denials of STS from those of the EKS API.
func (f facts) denial() verdict {
	switch {
	case f.operation == "AssumeRoleWithWebIdentity":
		return verdict{v1alpha1.ReasonAssumeRoleDenied, "let the trust policy of the manager's role admit the cluster's issuer and the manager's service account: see hawser aws bootstrap management"}
	case f.operation == "AssumeRole":
		return verdict{v1alpha1.ReasonAssumeRoleDenied, "see hawser aws bootstrap target"}
	case f.service == "EKS":
		return verdict{v1alpha1.ReasonEKSDenied, fmt.Sprintf("allow eks:%s to the identity: see hawser aws bootstrap target", f.operation)}
	}
	return verdict{reason: v1alpha1.ReasonAWSError, repair: fmt.Sprintf("allow %s:%s to the identity", strings.ToLower(f.service), f.operation)}
}

func (f facts) aboutSignature() bool {
	switch f.code {
	case "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException", "InvalidSignature":
		return true
	}
	return false
}

// aboutTime tells a signature of the wrong time from one of the wrong key: the code is the same.
func (f facts) aboutTime() bool {
	return strings.HasPrefix(f.message, "Signature expired") || strings.HasPrefix(f.message, "Signature not yet current")
}
