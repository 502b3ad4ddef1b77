package awstest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	dateLayout       = "20060102T150405Z"
	// requestWindow is how far the date of a signed request may be from AWS's clock.
	requestWindow = 5 * time.Minute
	// presignedLifetime is how long STS takes a presigned request, whatever its X-Amz-Expires says.
	presignedLifetime = 15 * time.Minute
)

// signature is what a request says about its own signature, unproved.
type signature struct {
	accessKeyID     string
	region, service string
	date            time.Time
	headers         string // names, in lower case, joined by semicolons
	value           string
	token           string // session token
	presigned       bool
}

var authorizationPattern = regexp.MustCompile(`^` + signingAlgorithm + ` Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})$`)

// readSignature finds the signature in the Authorization header or in the query.
func readSignature(r *http.Request) (signature, *Failure) {
	query := r.URL.Query()
	sig := signature{presigned: query.Has("X-Amz-Signature")}
	header := r.Header.Get("Authorization")
	var credential, date string
	switch {
	case header == "" && !sig.presigned:
		return sig, refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
	case header != "" && sig.presigned:
		return sig, refuse(400, "IncompleteSignature", "Request has a signature in its header and in its query")
	case sig.presigned:
		if query.Get("X-Amz-Algorithm") != signingAlgorithm {
			return sig, refuse(400, "IncompleteSignature", "Unsupported X-Amz-Algorithm")
		}
		credential, sig.headers = query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders")
		sig.value, date, sig.token = query.Get("X-Amz-Signature"), query.Get("X-Amz-Date"), query.Get("X-Amz-Security-Token")
	default:
		parts := authorizationPattern.FindStringSubmatch(header)
		if parts == nil {
			return sig, refuse(400, "IncompleteSignature", "Authorization header is not that of %s", signingAlgorithm)
		}
		credential, sig.headers, sig.value = parts[1], parts[2], parts[3]
		date, sig.token = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Security-Token")
	}
	return sig, sig.readScope(credential, date)
}

// readScope reads AKIA…/20260101/eu-north-1/sts/aws4_request.
func (sig *signature) readScope(credential, date string) *Failure {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return refuse(400, "IncompleteSignature", "Credential must have five slash-separated parts and end with aws4_request")
	}
	parsed, err := time.Parse(dateLayout, date)
	if err != nil {
		return refuse(400, "IncompleteSignature", "Date must be in ISO-8601 'basic format'")
	}
	if parsed.Format("20060102") != scope[1] {
		return refuse(403, "SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
	}
	sig.accessKeyID, sig.region, sig.service, sig.date = scope[0], scope[2], scope[3], parsed
	return nil
}

// authenticate proves who signed a request for a service.
func (s *Server) authenticate(r *http.Request, body []byte, service string) (*caller, *Failure) {
	sig, failure := readSignature(r)
	if failure != nil {
		return nil, failure
	}
	if failure := s.checkScope(r, sig, service); failure != nil {
		return nil, failure
	}
	s.mu.Lock()
	now := s.now()
	who, creds, failure := s.identify(sig, now)
	s.mu.Unlock()
	if failure != nil {
		return nil, failure
	}
	if failure := sig.checkDate(now); failure != nil {
		return nil, failure
	}
	if !sig.matches(r.Context(), r, body, creds) {
		return nil, refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return who, nil
}

// checkScope holds the scope of a signature against the service, and against the host where that is a real one.
func (s *Server) checkScope(r *http.Request, sig signature, service string) *Failure {
	if sig.service != service {
		return refuse(403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", service)
	}
	if partitionOf(sig.region) == "" {
		return refuse(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.")
	}
	if "http://"+r.Host == s.URL {
		return nil // one address for all regions
	}
	hostService, region, ok := hostScope(r.Host)
	if !ok || hostService != service || (region != "" && region != sig.region) {
		return refuse(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.")
	}
	return nil
}

// identify finds whom the keys belong to. The caller holds the lock.
func (s *Server) identify(sig signature, now time.Time) (*caller, aws.Credentials, *Failure) {
	invalid := refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	key := s.keys[sig.accessKeyID]
	if key == nil || key.inactive || subtle.ConstantTimeCompare([]byte(key.SessionToken), []byte(sig.token)) != 1 {
		return nil, aws.Credentials{}, invalid
	}
	who := key.caller()
	if who.account.Partition != partitionOf(sig.region) || (s.disabled[sig.region] && sig.service != "sts") {
		return nil, aws.Credentials{}, invalid // in that region nobody knows them
	}
	if !key.expires.IsZero() && !now.Before(key.expires) {
		return nil, aws.Credentials{}, refuse(403, "ExpiredToken", "The security token included in the request is expired")
	}
	if s.disabled[sig.region] {
		return nil, aws.Credentials{}, regionDisabled(sig.region, who.account.ID)
	}
	return who, key.Credentials, nil
}

func regionDisabled(region, account string) *Failure {
	return refuse(403, "RegionDisabledException", "STS is not activated in this region (%s) for account: %s. "+
		"Your account administrator can activate STS in this region using the IAM Console.", region, account)
}

func (sig signature) checkDate(now time.Time) *Failure {
	window := requestWindow
	if sig.presigned {
		window = presignedLifetime
	}
	minutes := int(window / time.Minute)
	now = now.Truncate(time.Second)
	if oldest := now.Add(-window); sig.date.Before(oldest) {
		return refuse(403, "SignatureDoesNotMatch", "Signature expired: %s is now earlier than %s (%s - %d min.)",
			sig.date.Format(dateLayout), oldest.Format(dateLayout), now.Format(dateLayout), minutes)
	}
	if newest := now.Add(requestWindow); sig.date.After(newest) {
		return refuse(403, "SignatureDoesNotMatch", "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			sig.date.Format(dateLayout), newest.Format(dateLayout), now.Format(dateLayout))
	}
	return nil
}

// matches signs the request anew, with nothing of it but what the signature claims to cover, and compares.
func (sig signature) matches(ctx context.Context, r *http.Request, body []byte, creds aws.Credentials) bool {
	again := &http.Request{Method: r.Method, URL: new(*r.URL), Host: r.Host, Header: http.Header{}}
	for name := range strings.SplitSeq(sig.headers, ";") {
		switch name {
		case "host": // the signer takes it from the request
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			if values := r.Header.Values(name); len(values) > 0 {
				again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
			}
		}
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if given := again.Header.Get("X-Amz-Content-Sha256"); given != "" && given != hash {
		return false
	}
	signer := v4.NewSigner() // its cache of derived keys must not outlive a secret
	if sig.presigned {
		return sig.matchesPresigned(ctx, signer, again, creds, hash)
	}
	if err := signer.SignHTTP(ctx, creds, again, hash, sig.service, sig.region, sig.date); err != nil {
		return false
	}
	parts := authorizationPattern.FindStringSubmatch(again.Header.Get("Authorization"))
	return parts != nil && sig.equal(parts[2], parts[3])
}

func (sig signature) matchesPresigned(ctx context.Context, signer *v4.Signer, again *http.Request, creds aws.Credentials, hash string) bool {
	query := again.URL.Query()
	query.Del("X-Amz-Signature")
	again.URL.RawQuery = query.Encode()
	signed, _, err := signer.PresignHTTP(ctx, creds, again, hash, sig.service, sig.region, sig.date)
	if err != nil {
		return false
	}
	parsed, err := url.Parse(signed)
	if err != nil {
		return false
	}
	query = parsed.Query()
	return sig.equal(query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"))
}

// equal compares in constant time. Other header names than the claimed ones mean that a claimed one was missing,
// or that one was not claimed which has to be.
func (sig signature) equal(headers, value string) bool {
	return headers == sig.headers && subtle.ConstantTimeCompare([]byte(value), []byte(sig.value)) == 1
}
