package awstest

import (
	"maps"
	"net/url"
	"slices"
	"time"
)

// paramRoleName names a role of the caller's account.
func paramRoleName(r *request) string {
	if r.caller == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.params.Get("RoleName")
	if role := r.caller.account.roles[name]; role != nil {
		return role.ARN()
	}
	return r.caller.account.arn("iam", "role/"+name)
}

// iamRole returns the role that the request is about, if the caller may ask. The caller of iamRole holds the lock.
func (r *request) iamRole() (*Role, *Failure) {
	q := question{action: "iam:" + r.op.name, resource: r.resource, context: map[string][]string{}}
	if failure := r.caller.may(q); failure != nil {
		return nil, failure
	}
	name := r.params.Get("RoleName")
	role := r.caller.account.roles[name]
	if role == nil {
		return nil, refuse(404, "NoSuchEntity", "The role with name %s cannot be found.", name)
	}
	return role, nil
}

type iamRoleDetail struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId" json:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	MaxSessionDuration       int
}

func (r *request) getRole() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	role, failure := r.iamRole()
	if failure != nil {
		return nil, failure
	}
	return struct{ Role iamRoleDetail }{iamRoleDetail{
		Path: role.path, RoleName: role.Name, RoleID: role.id, Arn: role.ARN(),
		CreateDate:               role.created.Truncate(time.Second).Format(time.RFC3339),
		AssumeRolePolicyDocument: url.QueryEscape(role.trust.source),
		MaxSessionDuration:       int(role.maxSession.Seconds()),
	}}, nil
}

func (r *request) getRolePolicy() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	role, failure := r.iamRole()
	if failure != nil {
		return nil, failure
	}
	name := r.params.Get("PolicyName")
	p := role.inline[name]
	if p == nil {
		return nil, refuse(404, "NoSuchEntity", "The role policy with name %s cannot be found.", name)
	}
	return struct{ RoleName, PolicyName, PolicyDocument string }{role.Name, name, url.QueryEscape(p.source)}, nil
}

type attachedPolicy struct {
	PolicyName string
	PolicyArn  string
}

func (r *request) listAttachedRolePolicies() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	role, failure := r.iamRole()
	if failure != nil {
		return nil, failure
	}
	var policies []attachedPolicy
	for _, id := range slices.Sorted(maps.Keys(role.attached)) {
		policies = append(policies, attachedPolicy{PolicyName: lastSegment(id), PolicyArn: id})
	}
	return struct {
		AttachedPolicies []attachedPolicy `xml:"AttachedPolicies>member"`
		IsTruncated      bool
	}{AttachedPolicies: policies}, nil
}

func (r *request) listRolePolicies() (any, *Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	role, failure := r.iamRole()
	if failure != nil {
		return nil, failure
	}
	return struct {
		PolicyNames []string `xml:"PolicyNames>member"`
		IsTruncated bool
	}{PolicyNames: slices.Sorted(maps.Keys(role.inline))}, nil
}
