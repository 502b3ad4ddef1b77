package awstest

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// A User is an IAM user with one pair of keys.
type User struct {
	identityPolicies

	account *Account
	name    string
	id      string
	key     *accessKey
}

// User returns a user, and makes it when nobody has asked for it yet. It has no rights.
func (a *Account) User(name string) *User {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	if a.users[name] == nil {
		user := &User{account: a, name: name, id: uniqueID("AIDA"), identityPolicies: newIdentityPolicies(a)}
		user.key = user.issue("AKIA", time.Time{})
		a.users[name] = user
	}
	return a.users[name]
}

func (u *User) issue(prefix string, expires time.Time) *accessKey {
	key := u.account.server.issue(prefix, expires)
	key.user, key.AccountID = u, u.account.ID
	return key
}

// ARN of the user.
func (u *User) ARN() string { return u.account.arn("iam", "user/"+u.name) }

// ID is the user's unique ID.
func (u *User) ID() string { return u.id }

// Keys are the user's access key ID and secret.
func (u *User) Keys() aws.Credentials {
	u.account.server.mu.Lock()
	defer u.account.server.mu.Unlock()
	return u.key.Credentials
}

// NewKeys replaces the keys: those of before are deleted.
func (u *User) NewKeys() aws.Credentials {
	s := u.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, u.key.AccessKeyID)
	u.key = u.issue("AKIA", time.Time{})
	return u.key.Credentials
}

// SessionKeys are temporary keys of the user, as GetSessionToken makes them.
func (u *User) SessionKeys(lifetime time.Duration) aws.Credentials {
	s := u.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return u.issue("ASIA", s.now().Add(lifetime)).Credentials
}

// Disable makes all keys of the user inactive.
func (u *User) Disable() { u.setInactive(true) }

// Enable ends Disable.
func (u *User) Enable() { u.setInactive(false) }

func (u *User) setInactive(inactive bool) {
	s := u.account.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		if key.user == u {
			key.inactive = inactive
		}
	}
}
