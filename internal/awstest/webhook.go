package awstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// WebhookKubeconfig is the file for --authentication-token-webhook-config-file of the API server that plays this
// cluster. The server of this package has to run for as long as that one.
func (c *Cluster) WebhookKubeconfig() []byte {
	path := strings.Join([]string{"token-review", c.account.Partition, c.account.ID, c.Region, c.Name}, "/")
	return webhookKubeconfig(c.account.server.URL + "/" + path)
}

func webhookKubeconfig(url string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: webhook
  cluster:
    server: %s
users:
- name: api-server
contexts:
- name: webhook
  context:
    cluster: webhook
    user: api-server
current-context: webhook
`, url)
}

// Review says who a token is to this cluster, as its webhook does.
func (c *Cluster) Review(token string) (authenticationv1.UserInfo, error) {
	user, failure := c.account.server.review(&http.Request{}, c, token)
	if failure != nil {
		return authenticationv1.UserInfo{}, failure
	}
	return user, nil
}

// serveReview answers an API server at the address of one cluster.
func (s *Server) serveReview(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var cluster *Cluster
	if account := s.accounts[r.PathValue("partition")+"/"+r.PathValue("account")]; account != nil {
		cluster = account.clusters[r.PathValue("region")+"/"+r.PathValue("cluster")]
	}
	s.mu.Unlock()
	s.reviewFor(w, r, cluster)
}

// reviewFor answers an API server. As of the real webhook, the status is 429 where STS throttles, and 403 where
// anything else is wrong.
func (s *Server) reviewFor(w http.ResponseWriter, r *http.Request, cluster *Cluster) {
	call := s.arrive("webhook", "TokenReview", "")
	var review authenticationv1.TokenReview
	var failure *Failure
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&review); err != nil || review.Kind != "TokenReview" {
		failure = refuse(400, "BadRequest", "this is no TokenReview")
	} else if cluster == nil {
		failure = refuse(403, "ResourceNotFoundException", "the cluster does not exist")
	} else {
		s.update(call, func(c *Call) { c.Region, c.Resource = cluster.Region, cluster.ARN() })
		var err error
		if failure, err = s.meet(r, "TokenReview", cluster.ARN()); err != nil {
			s.update(call, func(c *Call) { c.Code, c.Done = err.Error(), true })
			panic(http.ErrAbortHandler)
		}
	}
	token := review.Spec.Token
	review.Spec, review.Status = authenticationv1.TokenReviewSpec{}, authenticationv1.TokenReviewStatus{}
	status := http.StatusOK
	if failure == nil {
		review.Status.User, failure = s.review(r, cluster, token)
	}
	switch {
	case failure == nil:
		review.Status.Authenticated = true
	case failure.Code == "Throttling":
		status = http.StatusTooManyRequests
	default:
		status = http.StatusForbidden
	}
	s.update(call, func(c *Call) {
		c.Done = true
		if failure != nil {
			c.Code = failure.Code
			return
		}
		c.Caller, c.Account = review.Status.User.Extra["arn"][0], cluster.account.ID
	})
	writeJSON(w, status, review)
}

// errUnmapped is the code of an identity that is proved and that the cluster does not know.
const errUnmapped = "NotMapped"

// review verifies a token and finds its user.
func (s *Server) review(r *http.Request, cluster *Cluster, token string) (authenticationv1.UserInfo, *Failure) {
	who, failure := s.verifyToken(r, cluster, token)
	if failure != nil {
		return authenticationv1.UserInfo{}, failure
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cluster.deleted {
		return authenticationv1.UserInfo{}, refuse(403, "ResourceNotFoundException", "the cluster does not exist")
	}
	username, groups, ok := cluster.user(who)
	if !ok {
		return authenticationv1.UserInfo{}, refuse(403, errUnmapped, "%s is not mapped in cluster %s", who.arn, cluster.Name)
	}
	session := ""
	if who.session != nil {
		session = who.session.Name
	}
	return authenticationv1.UserInfo{
		Username: strings.NewReplacer(
			"{{SessionName}}", strings.ReplaceAll(session, "@", "-"), "{{SessionNameRaw}}", session,
			"{{AccountID}}", who.account.ID, "{{AccessKeyID}}", who.accessKeyID,
		).Replace(username),
		UID:    "aws-iam-authenticator:" + who.account.ID + ":" + who.principalID,
		Groups: groups,
		Extra: map[string]authenticationv1.ExtraValue{
			"arn":          {who.arn},
			"canonicalArn": {who.canonicalARN()},
			"principalId":  {who.principalID},
			"sessionName":  {session},
			"accessKeyId":  {who.accessKeyID},
		},
	}, nil
}

// canonicalARN is the role or user as STS knows it: without a path, which an assumed-role ARN has lost.
func (c *caller) canonicalARN() string {
	if c.session != nil {
		return c.account.arn("iam", "role/"+c.session.role.Name)
	}
	return c.arn
}

// user finds the access entry of a principal by its unique ID, then the aws-auth ConfigMap by its ARN, as far as
// the authentication mode says. The caller holds the lock.
func (c *Cluster) user(who *caller) (username string, groups []string, ok bool) {
	if c.opts.AuthenticationMode != "CONFIG_MAP" {
		for _, entry := range c.entries {
			if entry.PrincipalID == who.principalID {
				return entry.Username, entry.Groups, true
			}
		}
	}
	if c.opts.AuthenticationMode != "API" {
		for _, m := range c.mappings {
			if m.role == who.canonicalARN() {
				return m.username, m.groups, true
			}
		}
	}
	return "", nil, false
}

// IsNotMapped says whether [Cluster.Review] refused an identity that is proved, because nothing maps it.
func IsNotMapped(err error) bool {
	var failure *Failure
	return errors.As(err, &failure) && failure.Code == errUnmapped
}
