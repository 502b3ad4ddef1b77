package awstest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	tokenPrefix     = "k8s-aws-v1."
	maxTokenLength  = 4096
	clusterIDHeader = "x-k8s-aws-id"
)

// tokenKeys are all that the URL in a token may have, in lower case.
var tokenKeys = []string{
	"action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-security-token",
	"x-amz-signature", "x-amz-signedheaders",
}

// malformed is how a verifier answers to a token that it does not even ask STS about.
func malformed(format string, args ...any) *Failure {
	return refuse(http.StatusForbidden, "Malformed", "input token was not properly formatted: "+format, args...)
}

// readToken finds the presigned request in a token. Its rules are those of the verifier that EKS runs, in that
// order; see also [Server.verifyToken]. Nothing of the token gets into the messages.
func readToken(token, partition string, now time.Time) (*url.URL, *Failure) {
	if len(token) > maxTokenLength {
		return nil, malformed("token is too large")
	}
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, malformed("token is missing expected prefix %q", tokenPrefix)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, malformed("token is not base64 without padding")
	}
	u, err := url.Parse(string(decoded))
	if err != nil {
		return nil, malformed("token holds no URL")
	}
	if u.Scheme != "https" {
		return nil, malformed("unexpected scheme in pre-signed URL")
	}
	if service, region, ok := hostScope(u.Host); !ok || service != "sts" || partitionOf(region) != partition {
		return nil, malformed("unexpected hostname in pre-signed URL")
	}
	if u.Path != "/" || u.User != nil || u.Fragment != "" {
		return nil, malformed("unexpected path in pre-signed URL")
	}
	return u, checkTokenQuery(u.RawQuery, now)
}

func checkTokenQuery(raw string, now time.Time) *Failure {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return malformed("malformed query parameter")
	}
	params := map[string]string{}
	for key, values := range query {
		key = strings.ToLower(key)
		if _, twice := params[key]; twice || len(values) != 1 {
			return malformed("query parameter with multiple values not supported")
		}
		if !slices.Contains(tokenKeys, key) {
			return malformed("non-whitelisted query parameter")
		}
		params[key] = values[0]
	}
	if params["action"] != "GetCallerIdentity" {
		return malformed("unexpected action parameter in pre-signed URL")
	}
	if !slices.ContainsFunc(strings.Split(params["x-amz-signedheaders"], ";"), func(name string) bool {
		return strings.EqualFold(name, clusterIDHeader)
	}) {
		return malformed("client did not sign the %s header in the pre-signed URL", clusterIDHeader)
	}
	if seconds, err := strconv.Atoi(params["x-amz-expires"]); err != nil || seconds < 0 || seconds > 900 {
		return malformed("invalid X-Amz-Expires parameter in pre-signed URL")
	}
	date, err := time.Parse(dateLayout, params["x-amz-date"])
	if err != nil {
		return malformed("error parsing X-Amz-Date parameter")
	}
	if now.After(date.Add(presignedLifetime)) {
		return malformed("X-Amz-Date parameter is expired (%d minute expiration)", int(presignedLifetime/time.Minute))
	}
	return nil
}

// verifyToken says who a token proves to a cluster. It sends the presigned request, with the cluster's own name in
// the header that was signed, to STS: to this server, without the way over the network, its record and its faults.
func (s *Server) verifyToken(r *http.Request, cluster *Cluster, token string) (*caller, *Failure) {
	u, failure := readToken(token, cluster.account.Partition, s.time())
	if failure != nil {
		return nil, failure
	}
	query := u.Query()
	if query.Get("Version") != "2011-06-15" {
		return nil, refuse(400, "InvalidAction", "Could not find operation GetCallerIdentity for that version")
	}
	presigned := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}
	presigned.Header.Set(clusterIDHeader, cluster.Name)
	return s.authenticate(presigned.WithContext(r.Context()), nil, "sts")
}
