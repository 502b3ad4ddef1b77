package awstest

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// podIdentity is what a pod with an EKS Pod Identity association is given.
type podIdentity struct {
	role  *Role
	token string
}

// podService is whom a role of Pod Identity trusts.
const podService = "pods.eks.amazonaws.com"

// PodIdentity associates the role with a pod, and returns the environment that EKS puts into it: the SDK's default
// chain asks there for sessions of the role, which has to trust the service pods.eks.amazonaws.com. AWS_ACCESS_KEY_ID
// and AWS_WEB_IDENTITY_TOKEN_FILE have to be empty, as they come first.
func (r *Role) PodIdentity() map[string]string {
	s := r.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	id, token := rand.Text(), rand.Text()
	s.pods[id] = podIdentity{role: r, token: token}
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL + "/v1/credentials/" + id,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN":  token,
	}
}

// servePod answers what the agent on an EKS node answers.
func (s *Server) servePod(w http.ResponseWriter, r *http.Request) {
	call := s.arrive("eks-auth", "AssumeRoleForPodIdentity", s.region)
	creds, failure, err := s.podCredentials(r)
	if err != nil {
		s.update(call, func(c *Call) { c.Code, c.Done = err.Error(), true })
		panic(http.ErrAbortHandler)
	}
	s.update(call, func(c *Call) {
		c.Done = true
		if failure != nil {
			c.Code = failure.Code
		}
	})
	w.Header().Set("Date", s.time().Format(http.TimeFormat))
	if failure != nil {
		writeJSON(w, failure.Status, map[string]string{"code": failure.Code, "message": failure.Message})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"AccessKeyId": creds.AccessKeyID, "SecretAccessKey": creds.SecretAccessKey, "Token": creds.SessionToken,
		"AccountId": creds.AccountID, "Expiration": creds.Expires.Format(time.RFC3339),
	})
}

func (s *Server) podCredentials(r *http.Request) (aws.Credentials, *Failure, error) {
	s.mu.Lock()
	pod, ok := s.pods[r.PathValue("id")]
	s.mu.Unlock()
	if !ok || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(pod.token)) != 1 {
		return aws.Credentials{}, refuse(401, "InvalidTokenException", "The token of the pod is not valid"), nil
	}
	if failure, err := s.meet(r, "AssumeRoleForPodIdentity", pod.role.ARN()); failure != nil || err != nil {
		return aws.Credentials{}, failure, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, action := range []string{"sts:AssumeRole", "sts:TagSession"} {
		q := question{action: action, resource: pod.role.ARN(), caller: &asker{service: podService}, context: map[string][]string{}}
		if d := pod.role.trust.decide(q); pod.role.deleted || (d != allowed && d != granted) {
			return aws.Credentials{}, refuse(400, "AccessDeniedException", "Unauthorized Exception! EKS does not have permissions to assume the associated role."), nil
		}
	}
	name := "eks-pod-" + rand.Text()[:8]
	return pod.role.begin(&session{Session: Session{Name: name}}, min(pod.role.maxSession, 6*time.Hour)).Credentials, nil, nil
}
