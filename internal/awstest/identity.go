package awstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// identityPolicies are what a role or a user may do. Everything is refused that none of them allows.
type identityPolicies struct {
	owner    *Account
	inline   map[string]*policy
	attached map[string]*policy // by ARN
}

func newIdentityPolicies(a *Account) identityPolicies {
	return identityPolicies{owner: a, inline: map[string]*policy{}, attached: map[string]*policy{}}
}

// Allow adds an inline policy that allows an action, for example sts:AssumeRole or eks:*, on resources; on all
// if none is named.
func (p *identityPolicies) Allow(action string, resources ...string) {
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	document, err := json.Marshal(policy{
		Version: "2012-10-17", Statement: []statement{{Effect: "Allow", Action: list{action}, Resource: resources}},
	})
	if err != nil {
		panic(err) // strings
	}
	parsed := mustIdentityPolicy(string(document))
	p.owner.server.mu.Lock()
	defer p.owner.server.mu.Unlock()
	p.inline[fmt.Sprintf("allow-%d", len(p.inline))] = parsed
}

// PutPolicy adds or replaces an inline policy, a document in JSON.
func (p *identityPolicies) PutPolicy(name, document string) {
	parsed := mustIdentityPolicy(document)
	p.owner.server.mu.Lock()
	defer p.owner.server.mu.Unlock()
	p.inline[name] = parsed
}

// Attach attaches a managed policy.
func (p *identityPolicies) Attach(policyARN string) {
	p.owner.server.mu.Lock()
	defer p.owner.server.mu.Unlock()
	managed := p.owner.managed(policyARN)
	if managed == nil {
		panic(fmt.Sprintf("awstest: attaching %q: there is no such policy", policyARN))
	}
	p.attached[policyARN] = managed
}

// RemovePolicies takes all rights away.
func (p *identityPolicies) RemovePolicies() {
	p.owner.server.mu.Lock()
	defer p.owner.server.mu.Unlock()
	clear(p.inline)
	clear(p.attached)
}

// all returns every policy. The caller holds the lock.
func (p *identityPolicies) all() []*policy {
	return slices.AppendSeq(slices.Collect(maps.Values(p.inline)), maps.Values(p.attached))
}

// ManagedPolicy makes a policy of the account, and returns its ARN.
func (a *Account) ManagedPolicy(name, document string) string {
	parsed := mustIdentityPolicy(document)
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	id := a.arn("iam", "policy/"+name)
	a.policies[id] = parsed
	return id
}

// awsManaged are the policies of AWS itself that are played here.
var awsManaged = map[string]*policy{
	"AdministratorAccess":    mustIdentityPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`),
	"ReadOnlyAccess":         mustIdentityPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["eks:Describe*","eks:List*","iam:Get*","iam:List*"],"Resource":"*"}}`),
	"AmazonEKSClusterPolicy": mustIdentityPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:DescribeInstances","Resource":"*"}}`),
}

// managed returns a managed policy that the account may use, nil for none. The caller holds the lock.
func (a *Account) managed(policyARN string) *policy {
	for name, p := range awsManaged {
		if policyARN == "arn:"+a.Partition+":iam::aws:policy/"+name {
			return p
		}
	}
	return a.policies[policyARN]
}

// identityPolicy reads a policy that has resources and no principals: of a role, a user or a session.
func identityPolicy(document string) (*policy, error) {
	p, err := parsePolicy(document)
	if err != nil {
		return nil, err
	}
	for _, st := range p.Statement {
		if len(st.Principal)+len(st.NotPrincipal) > 0 {
			return nil, errors.New("policy document should not specify a principal")
		}
		if (len(st.Resource) == 0) == (len(st.NotResource) == 0) {
			return nil, errors.New("policy statement must contain resources")
		}
	}
	return p, nil
}

func mustIdentityPolicy(document string) *policy {
	p, err := identityPolicy(document)
	if err != nil {
		panic(fmt.Sprintf("awstest: %v", err))
	}
	return p
}

// caller is who made a request, as its signature has proved.
type caller struct {
	account     *Account
	arn         string
	userID      string // of GetCallerIdentity: AROA…:session, AIDA…
	principalID string // unique ID of the role or user
	accessKeyID string
	user        *User
	session     *session
}

func (k *accessKey) caller() *caller {
	if k.user != nil {
		return &caller{
			account: k.user.account, arn: k.user.ARN(), userID: k.user.id, principalID: k.user.id,
			accessKeyID: k.AccessKeyID, user: k.user,
		}
	}
	role := k.session.role
	return &caller{
		account: role.account, arn: k.session.ARN, userID: role.id + ":" + k.session.Name, principalID: role.id,
		accessKeyID: k.AccessKeyID, session: k.session,
	}
}

// principalARN is the role or user behind the caller (aws:PrincipalArn).
func (c *caller) principalARN() string {
	if c.session != nil {
		return c.session.role.ARN()
	}
	return c.arn
}

func (c *caller) policies() []*policy {
	if c.session != nil {
		return c.session.role.all()
	}
	return c.user.all()
}

// may says whether the caller may do something, by its own policies and those of its session; nil if so. The
// caller of may holds the lock.
func (c *caller) may(q question) *Failure {
	q.caller = nil
	addContext(q.context, c)
	switch decideAll(c.policies(), q) {
	case denied:
		return c.denied(q, "of an explicit deny in an identity-based policy")
	case silent:
		return c.denied(q, "no identity-based policy allows the "+q.action+" action")
	}
	return c.mayInSession(q)
}

func (c *caller) denied(q question, because string) *Failure {
	return refuse(403, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s because %s", c.arn, q.action, q.resource, because)
}

// mayInSession asks only the session's policies, which can narrow and never widen.
func (c *caller) mayInSession(q question) *Failure {
	if c.session == nil || !c.session.narrowed {
		return nil
	}
	switch decideAll(c.session.policies, q) {
	case denied:
		return c.denied(q, "of an explicit deny in a session policy")
	case silent:
		return c.denied(q, "no session policy allows the "+q.action+" action")
	}
	return nil
}

func decideAll(policies []*policy, q question) decision {
	result := silent
	for _, p := range policies {
		result = max(result, p.decide(q)) // a denial is the greatest
	}
	return result
}

// addContext adds the condition keys that every request of the caller has.
func addContext(context map[string][]string, c *caller) {
	context["aws:principalarn"] = []string{c.principalARN()}
	context["aws:principalaccount"] = []string{c.account.ID}
	context["aws:userid"] = []string{c.userID}
	if c.account.organization != "" {
		context["aws:principalorgid"] = []string{c.account.organization}
	}
}
