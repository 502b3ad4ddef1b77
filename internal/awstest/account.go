package awstest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// An Account is an AWS account with its users, roles, policies, identity providers and EKS clusters.
type Account struct {
	// ID is its twelve digits.
	ID string
	// Partition is aws, aws-cn, aws-us-gov, …
	Partition string

	server       *Server
	organization string
	users        map[string]*User
	roles        map[string]*Role
	policies     map[string]*policy // managed ones, by ARN
	providers    map[string]*oidcProvider
	clusters     map[string]*Cluster // by region/name
}

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

// Account returns an account of the partition aws, and makes it when nobody has asked for it yet.
func (s *Server) Account(id string) *Account { return s.AccountIn("aws", id) }

// AccountIn is Account for any partition.
func (s *Server) AccountIn(partition, id string) *Account {
	if !accountPattern.MatchString(id) {
		panic(fmt.Sprintf("awstest: an account ID has twelve digits, %q has not", id))
	}
	if _, ok := partitions[partition]; !ok {
		panic(fmt.Sprintf("awstest: there is no partition %q", partition))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := partition + "/" + id
	if s.accounts[key] == nil {
		s.accounts[key] = &Account{
			ID: id, Partition: partition, server: s,
			users: map[string]*User{}, roles: map[string]*Role{}, policies: map[string]*policy{},
			providers: map[string]*oidcProvider{}, clusters: map[string]*Cluster{},
		}
	}
	return s.accounts[key]
}

// RootARN stands for the whole account in a trust policy.
func (a *Account) RootARN() string { return a.arn("iam", "root") }

// SetOrganization makes the account part of an organization, o-…, which conditions know as aws:PrincipalOrgID.
func (a *Account) SetOrganization(id string) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.organization = id
}

// arn names something of the account that belongs to no region.
func (a *Account) arn(service, resource string) string {
	return arn.ARN{Partition: a.Partition, Service: service, AccountID: a.ID, Resource: resource}.String()
}

// accessKey is a pair of keys that may sign. It belongs to a user or to a session of a role.
type accessKey struct {
	aws.Credentials
	expires  time.Time // zero for those that do not
	inactive bool
	user     *User
	session  *session
}

// issue makes a pair of keys. prefix is AKIA for lasting and ASIA for temporary ones.
func (s *Server) issue(prefix string, expires time.Time) *accessKey {
	key := &accessKey{expires: expires, Credentials: aws.Credentials{
		AccessKeyID: prefix + rand.Text()[:16], SecretAccessKey: randomText(30), Source: "awstest",
	}}
	if prefix == "ASIA" {
		// As long as the real ones, which an EKS token has to hold, and with the characters that need escaping.
		key.SessionToken = "IQoJb3JpZ2luX2Vj+/" + randomText(400) + "="
		key.CanExpire, key.Expires = true, expires
	}
	s.keys[key.AccessKeyID] = key
	return key
}

func randomText(n int) string {
	data := make([]byte, n)
	_, _ = rand.Read(data) // never fails
	return base64.StdEncoding.EncodeToString(data)
}

// uniqueID is what IAM tells principals apart by when their names are the same: AIDA… for users, AROA… for roles.
func uniqueID(prefix string) string { return prefix + rand.Text()[:17] }

// principalID returns the unique ID of a role or user by its ARN. The caller holds the lock.
func (s *Server) principalID(principal string) (string, bool) {
	role, user := s.find(principal)
	switch {
	case role != nil:
		return role.id, true
	case user != nil:
		return user.id, true
	}
	return "", false
}

// find returns the living role or user of an ARN, which includes its path. The caller holds the lock.
func (s *Server) find(principal string) (*Role, *User) {
	parsed, err := arn.Parse(principal)
	if err != nil || parsed.Service != "iam" {
		return nil, nil
	}
	account := s.accounts[parsed.Partition+"/"+parsed.AccountID]
	if account == nil {
		return nil, nil
	}
	kind, path, _ := strings.Cut(parsed.Resource, "/")
	name := path[strings.LastIndex(path, "/")+1:]
	switch kind {
	case "role":
		if role := account.roles[name]; role != nil && role.ARN() == principal {
			return role, nil
		}
	case "user":
		if user := account.users[name]; user != nil && user.ARN() == principal {
			return nil, user
		}
	}
	return nil, nil
}
