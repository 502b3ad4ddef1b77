package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// answered is an error of the API as the SDK wraps it.
func answered(service, operation, code, message string) error {
	return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: &awshttp.ResponseError{
		RequestID: "3f0c6a2e-changes-each-time",
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 403, Header: http.Header{}, Request: &http.Request{Header: http.Header{"X-Amz-Security-Token": {"FWOGTOKEN"}}}}},
			Err:      &smithy.GenericAPIError{Code: code, Message: message},
		},
	}}
}

func unreached(err error) error {
	return &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &smithyhttp.RequestSendError{
		Err: &url.Error{Op: "Post", URL: "https://sts.eu-north-1.amazonaws.com/", Err: err}}}
}

func TestAsError(t *testing.T) {
	const canonical = "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:FWOGTOKEN'"
	tests := []struct {
		name   string
		err    error
		reason string
		text   string
		repair string // a part of it
	}{
		{"a trust policy that does not admit", answered("STS", "AssumeRole", "AccessDenied", "User: a is not authorized to perform: sts:AssumeRole on resource: b"),
			v1alpha1.ReasonAssumeRoleDenied, "AccessDenied: User: a is not authorized to perform: sts:AssumeRole on resource: b", "bootstrap target"},
		{"a trust policy that does not admit the service account", answered("STS", "AssumeRoleWithWebIdentity", "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
			v1alpha1.ReasonAssumeRoleDenied, "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", "service account"},
		{"an issuer that is not registered", answered("STS", "AssumeRoleWithWebIdentity", "InvalidIdentityToken", "No OpenIDConnect provider found in your account"),
			v1alpha1.ReasonCredentialsInvalid, "InvalidIdentityToken: No OpenIDConnect provider found in your account", "OIDC provider"},
		{"an issuer that cannot be reached", answered("STS", "AssumeRoleWithWebIdentity", "IDPCommunicationError", "x"), v1alpha1.ReasonAWSError, "IDPCommunicationError: x", "openid-configuration"},
		{"an EKS API that says no", answered("EKS", "DescribeCluster", "AccessDeniedException", "no"), v1alpha1.ReasonEKSDenied, "AccessDeniedException: no", "allow eks:DescribeCluster"},
		{"an IAM API that says no", answered("IAM", "ListAttachedRolePolicies", "AccessDenied", "no"), v1alpha1.ReasonAWSError, "AccessDenied: no", "allow iam:ListAttachedRolePolicies"},
		{"a cluster that is not there", answered("EKS", "DescribeCluster", "ResourceNotFoundException", "No cluster found for name: x."), v1alpha1.ReasonEKSClusterNotFound, "ResourceNotFoundException: No cluster found for name: x.", "region"},
		{"an access key that is unknown", answered("STS", "AssumeRole", "InvalidClientTokenId", "The security token included in the request is invalid."), v1alpha1.ReasonCredentialsInvalid, "InvalidClientTokenId: The security token included in the request is invalid.", "access key"},
		{"the same of EKS", answered("EKS", "ListClusters", "UnrecognizedClientException", "x"), v1alpha1.ReasonCredentialsInvalid, "UnrecognizedClientException: x", "region is enabled"},
		{"a wrong secret key", answered("STS", "AssumeRole", "SignatureDoesNotMatch", canonical), v1alpha1.ReasonCredentialsInvalid, "SignatureDoesNotMatch", "secret access key"},
		{"the same of EKS in its words", answered("EKS", "ListClusters", "InvalidSignatureException", canonical), v1alpha1.ReasonCredentialsInvalid, "InvalidSignatureException", "secret access key"},
		{"keys that have ended", answered("STS", "AssumeRole", "ExpiredToken", "The security token included in the request is expired"), v1alpha1.ReasonCredentialsExpired, "ExpiredToken: The security token included in the request is expired", "renew"},
		{"a clock that is slow", answered("STS", "AssumeRole", "SignatureDoesNotMatch", "Signature expired: 20260301T115000Z is now earlier than 20260301T115500Z (20260301T120003Z - 5 min.)"), v1alpha1.ReasonClockSkew,
			"SignatureDoesNotMatch: our clock is 10m0s behind that of AWS", "clock"},
		{"a clock that is fast", answered("EKS", "ListClusters", "InvalidSignatureException", "Signature not yet current: 20260301T121500Z is still later than 20260301T120500Z (20260301T120000Z + 5 min.)"), v1alpha1.ReasonClockSkew,
			"InvalidSignatureException: our clock is 15m0s ahead of that of AWS", "clock"},
		{"a clock that is off by who knows how much", answered("STS", "AssumeRole", "SignatureDoesNotMatch", "Signature expired: x-amz-security-token:FWOGTOKEN"), v1alpha1.ReasonClockSkew,
			"SignatureDoesNotMatch: our clock is off", "clock"},
		{"a clock by another code", answered("STS", "AssumeRole", "RequestExpired", "x"), v1alpha1.ReasonClockSkew, "RequestExpired: x", "clock"},
		{"a region that is off", answered("STS", "AssumeRole", "RegionDisabledException", "STS is not activated in this region"), v1alpha1.ReasonRegionDisabled, "RegionDisabledException: STS is not activated in this region", "role.region"},
		{"throttling", answered("STS", "AssumeRole", "Throttling", "Rate exceeded"), v1alpha1.ReasonThrottled, "Throttling: Rate exceeded", ""},
		{"throttling of EKS", answered("EKS", "ListClusters", "ThrottlingException", "Rate exceeded"), v1alpha1.ReasonThrottled, "ThrottlingException: Rate exceeded", ""},
		{"too many requests", answered("EKS", "ListClusters", "TooManyRequestsException", "x"), v1alpha1.ReasonThrottled, "TooManyRequestsException: x", ""},
		{"a policy that is too large", answered("STS", "AssumeRole", "PackedPolicyTooLarge", "x"), v1alpha1.ReasonSpecInvalid, "PackedPolicyTooLarge: x", "inlinePolicy"},
		{"a policy that is none", answered("STS", "AssumeRole", "MalformedPolicyDocument", "x"), v1alpha1.ReasonSpecInvalid, "MalformedPolicyDocument: x", "inlinePolicy"},
		{"a session that is too long for the role", answered("STS", "AssumeRole", "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."), v1alpha1.ReasonDurationTooLong,
			"ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", "durationSeconds"},
		{"another field that is wrong", answered("STS", "AssumeRole", "ValidationError", "x"), v1alpha1.ReasonSpecInvalid, "ValidationError: x", "field"},
		{"trouble of AWS", answered("STS", "AssumeRole", "InternalFailure", "x"), v1alpha1.ReasonAWSError, "InternalFailure: x", ""},
		{"a name that is not known", unreached(&net.DNSError{Err: "no such host", Name: "sts.eu-north-1.amazonaws.com", Server: "10.0.0.10:53"}), v1alpha1.ReasonAWSUnreachable, "looking up sts.eu-north-1.amazonaws.com: no such host", "HTTPS_PROXY"},
		{"a connection that is refused", unreached(&net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: 48381}, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: errors.New("connection refused")}),
			v1alpha1.ReasonAWSUnreachable, "dial 10.0.0.1:443: connection refused", "HTTPS_PROXY"},
		{"no answer", unreached(context.DeadlineExceeded), v1alpha1.ReasonAWSUnreachable, "no answer in time", "HTTPS_PROXY"},
		{"a certificate that is not trusted", unreached(errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority")), v1alpha1.ReasonAWSUnreachable,
			"tls: failed to verify certificate: x509: certificate signed by unknown authority", "HTTPS_PROXY"},
		{"no instance metadata", &smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata", Err: context.DeadlineExceeded}, v1alpha1.ReasonNoAWSCredentials, "no answer in time", "IRSA"},
		{"anything else", errors.New("odd\n  and long"), v1alpha1.ReasonAWSError, "odd and long", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := AsError(ours("a"), fmt.Errorf("wrapped: %w", test.err))
			if test.name == "anything else" {
				got = AsError(ours("a"), test.err)
			}
			if got.Reason != test.reason || got.Err.Error() != test.text || got.Ref != ours("a") {
				t.Errorf("got %s: %s\nwant %s: %s", got.Reason, got.Err, test.reason, test.text)
			}
			if !strings.Contains(got.Repair, test.repair) || (test.repair == "") != (got.Repair == "") {
				t.Errorf("repair %q, want %q in it", got.Repair, test.repair)
			}
			noSecrets(t, got)
		})
	}
}

// noSecrets prints an error and everything that it wraps in every way.
func noSecrets(t *testing.T, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		text, _ := json.Marshal(err) //nolint:errchkjson // what cannot be encoded does not leak
		all := fmt.Sprintf("%v %+v %#v %s", err, err, err, text)
		for _, secret := range []string{"FWOGTOKEN", "changes-each-time"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s is in: %s", secret, all)
			}
		}
	}
}

func TestAsErrorKeepsWhatIsKnown(t *testing.T) {
	known := &Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonThrottled, Err: errors.New("x")}
	if got := AsError(ours("a"), fmt.Errorf("operation error STS: %w", known)); got != known {
		t.Errorf("got %v", got)
	}
	if AsError(ours("a"), nil) != nil {
		t.Error("no error is no error")
	}
	got := AsError(ours("a"), answered("STS", "AssumeRole", "AccessDenied", "no"))
	var code smithy.APIError
	if !errors.As(got, &code) || code.ErrorCode() != "AccessDenied" {
		t.Errorf("the code is lost: %v", got)
	}
	if !errors.Is(AsError(ours("a"), unreached(context.Canceled)), context.Canceled) {
		t.Error("the end of the context is lost")
	}
}

func TestErrorText(t *testing.T) {
	fault := errors.New("assuming role r: no")
	tests := []struct {
		name string
		err  Error
		want [2]string // Error, Message
	}{
		{"a hop", Error{Hop: 1, Hops: 2, Ref: ours("hub"), Err: fault, Repair: "let it in"}, [2]string{`hop 1 of 2, AWSIdentity "hub": assuming role r: no`, `hop 1 of 2, AWSIdentity "hub": assuming role r: no. Let it in`}},
		{"the ground", Error{Hop: 0, Hops: 2, Err: fault}, [2]string{`before hop 1 of 2, the manager's own identity: assuming role r: no`, `before hop 1 of 2, the manager's own identity: assuming role r: no`}},
		{"an identity alone", Error{Ref: ours("hub"), Err: fault}, [2]string{`AWSIdentity "hub": assuming role r: no`, `AWSIdentity "hub": assuming role r: no`}},
		{"nobody in particular", Error{Err: fault}, [2]string{`assuming role r: no`, `assuming role r: no`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, [2]string{test.err.Error(), test.err.Message()}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	if n := len([]rune(clean(strings.Repeat("ä", 5000)))); n != 401 {
		t.Errorf("%d runes", n)
	}
}
