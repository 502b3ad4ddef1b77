package awstest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A Role is an IAM role.
type Role struct {
	identityPolicies
	// Name is without the path.
	Name string

	account    *Account
	path       string // begins and ends with a slash
	id         string
	created    time.Time
	trust      *policy
	maxSession time.Duration
	deleted    bool
	sessions   []*session
}

// A Session is what somebody got by assuming a role.
type Session struct {
	ARN        string // arn:P:sts::ACCOUNT:assumed-role/ROLE/NAME
	Name       string
	Issued     time.Time
	Expires    time.Time
	Chained    bool // whether another role's session assumed it
	ExternalID string
	Policy     string // the inline session policy, as it was sent
	PolicyARNs []string
	Tags       map[string]string
}

type session struct {
	Session
	role     *Role
	policies []*policy // of Policy and PolicyARNs
	narrowed bool      // whether policies bound it
}

// Role makes a role. Its name may have a path: "ci/deploy". Where it exists already, only its trust changes; after
// [Role.Delete] it is a new principal with a new unique ID, although its ARN is the same.
func (a *Account) Role(name string, trust Trust) *Role {
	s := a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	path, short := "/", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		path, short = "/"+strings.Trim(name[:i], "/")+"/", name[i+1:]
	}
	role := a.roles[short]
	if role == nil {
		role = &Role{
			Name: short, account: a, path: path, id: uniqueID("AROA"), created: s.now(), maxSession: time.Hour,
			identityPolicies: newIdentityPolicies(a),
		}
	}
	document, err := s.trustPolicy(trust.document(a))
	if err != nil {
		panic(fmt.Sprintf("awstest: making role %q: %v", name, err))
	}
	role.trust = document
	a.roles[short] = role
	return role
}

// ARN of the role, with its path.
func (r *Role) ARN() string { return r.account.arn("iam", "role"+r.path+r.Name) }

// ID is the role's unique ID, which trust policies and access entries keep.
func (r *Role) ID() string { return r.id }

// SetTrust replaces the trust policy. A role may so trust one that was made after it.
func (r *Role) SetTrust(trust Trust) {
	r.account.server.mu.Lock()
	defer r.account.server.mu.Unlock()
	document, err := r.account.server.trustPolicy(trust.document(r.account))
	if err != nil {
		panic(fmt.Sprintf("awstest: trust of role %q: %v", r.Name, err))
	}
	r.trust = document
}

// SetTrustPolicy replaces the trust policy by a document in JSON (AssumeRolePolicyDocument). The error is IAM's.
func (r *Role) SetTrustPolicy(document string) error {
	r.account.server.mu.Lock()
	defer r.account.server.mu.Unlock()
	trust, err := r.account.server.trustPolicy(document)
	if err != nil {
		return err
	}
	r.trust = trust
	return nil
}

// SetMaxSession sets the longest session, an hour at first.
func (r *Role) SetMaxSession(d time.Duration) {
	r.account.server.mu.Lock()
	defer r.account.server.mu.Unlock()
	r.maxSession = d
}

// Delete deletes the role. Its sessions die with it.
func (r *Role) Delete() {
	s := r.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	r.deleted = true
	if r.account.roles[r.Name] == r {
		delete(r.account.roles, r.Name)
	}
	for id, key := range s.keys {
		if key.session != nil && key.session.role == r {
			delete(s.keys, id)
		}
	}
}

// Session makes a session without asking anybody, as an instance profile or Pod Identity does.
func (r *Role) Session(name string, lifetime time.Duration) aws.Credentials {
	s := r.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.begin(&session{Session: Session{Name: name}}, lifetime).Credentials
}

// Sessions are all that were made of the role, also those that have expired.
func (r *Role) Sessions() []Session {
	r.account.server.mu.Lock()
	defer r.account.server.mu.Unlock()
	var sessions []Session
	for _, s := range r.sessions {
		session := s.Session
		session.PolicyARNs = slices.Clone(session.PolicyARNs)
		sessions = append(sessions, session)
	}
	return sessions
}

// begin completes a session and makes its keys. The caller holds the lock.
func (r *Role) begin(s *session, lifetime time.Duration) *accessKey {
	server := r.account.server
	s.role = r
	s.ARN = r.account.arn("sts", "assumed-role/"+r.Name+"/"+s.Name)
	s.Issued = server.now()
	s.Expires = s.Issued.Add(lifetime).Truncate(time.Second) // STS's answer has no fractions
	key := server.issue("ASIA", s.Expires)
	key.session, key.AccountID = s, r.account.ID
	r.sessions = append(r.sessions, s)
	return key
}
