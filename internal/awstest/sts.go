package awstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// queryOperations are those of STS and IAM, by the API's version and their name.
var queryOperations = map[string]map[string]operation{
	"2011-06-15": {
		"GetCallerIdentity": {service: "sts", name: "GetCallerIdentity", run: (*request).getCallerIdentity},
		"AssumeRole":        {service: "sts", name: "AssumeRole", resource: paramRole, run: (*request).assumeRole},
		"AssumeRoleWithWebIdentity": {
			service: "sts", name: "AssumeRoleWithWebIdentity", unsigned: true,
			resource: paramRole, run: (*request).assumeRoleWithWebIdentity,
		},
	},
	"2010-05-08": {
		"GetRole":                  {service: "iam", name: "GetRole", resource: paramRoleName, run: (*request).getRole},
		"GetRolePolicy":            {service: "iam", name: "GetRolePolicy", resource: paramRoleName, run: (*request).getRolePolicy},
		"ListAttachedRolePolicies": {service: "iam", name: "ListAttachedRolePolicies", resource: paramRoleName, run: (*request).listAttachedRolePolicies},
		"ListRolePolicies":         {service: "iam", name: "ListRolePolicies", resource: paramRoleName, run: (*request).listRolePolicies},
	},
}

func paramRole(r *request) string { return r.params.Get("RoleArn") }

type callerIdentity struct {
	Account string
	Arn     string
	UserID  string `xml:"UserId" json:"UserId"`
}

// getCallerIdentity needs no permission and cannot be denied one.
func (r *request) getCallerIdentity() (any, *Failure) { return r.caller.identity(), nil }

func (c *caller) identity() callerIdentity {
	return callerIdentity{Account: c.account.ID, Arn: c.arn, UserID: c.userID}
}

type assumeRoleResult struct {
	SubjectFromWebIdentityToken string `xml:",omitempty" json:",omitempty"`
	Audience                    string `xml:",omitempty" json:",omitempty"`
	Provider                    string `xml:",omitempty" json:",omitempty"`
	Credentials                 sessionCredentials
	AssumedRoleUser             assumedRoleUser
	PackedPolicySize            int
}

type sessionCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

// wish is a checked request for a session.
type wish struct {
	role       string
	session    Session
	duration   time.Duration
	packedSize int
}

var (
	sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalIDPattern  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

// packedSpace stands for the room that session policies have after STS has packed them.
const packedSpace = 2048

// readWish checks the parameters, as STS does before anything else.
func (r *request) readWish() (wish, *Failure) {
	invalid := func(value, name, constraint string) (wish, *Failure) {
		return wish{}, refuse(400, "ValidationError",
			"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, name, constraint)
	}
	role, name, external := r.params.Get("RoleArn"), r.params.Get("RoleSessionName"), r.params.Get("ExternalId")
	parsed, err := arn.Parse(role)
	if err != nil || parsed.Service != "iam" || !strings.HasPrefix(parsed.Resource, "role/") {
		return wish{}, refuse(400, "ValidationError", "%s is invalid", role)
	}
	if !sessionNamePattern.MatchString(name) {
		return invalid(name, "roleSessionName", "Member must satisfy regular expression pattern: [\\w+=,.@-]* and have length 2 to 64")
	}
	if external != "" && (len(external) > 1224 || !externalIDPattern.MatchString(external)) {
		return invalid(external, "externalId", "Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*")
	}
	w := wish{role: role, duration: time.Hour, session: Session{
		Name: name, ExternalID: external, Policy: r.params.Get("Policy"), Tags: r.tags(),
	}}
	if given := r.params.Get("DurationSeconds"); given != "" {
		seconds, err := strconv.Atoi(given)
		if err != nil || seconds < 900 {
			return invalid(given, "durationSeconds", "Member must have value greater than or equal to 900")
		}
		if seconds > 43200 {
			return invalid(given, "durationSeconds", "Member must have value less than or equal to 43200")
		}
		w.duration = time.Duration(seconds) * time.Second
	}
	w.session.PolicyARNs = r.members("PolicyArns.member.%d.arn")
	if len(w.session.PolicyARNs) > 10 {
		return invalid(strconv.Itoa(len(w.session.PolicyARNs)), "policyArns", "Member must have length less than or equal to 10")
	}
	return w, w.pack()
}

// pack refuses session policies that are too large. How STS packs them is not known; this is stricter.
func (w *wish) pack() *Failure {
	policy := []byte(w.session.Policy)
	var compact bytes.Buffer
	if json.Compact(&compact, policy) == nil {
		policy = compact.Bytes()
	}
	size := len(policy)
	for _, id := range w.session.PolicyARNs {
		size += len(id)
	}
	w.packedSize = size * 100 / packedSpace
	if w.packedSize > 100 {
		return refuse(400, "PackedPolicyTooLarge", "Packed policy consumes %d%% of allotted space, please use smaller policy.", w.packedSize)
	}
	return nil
}

// members reads a list: PolicyArns.member.1.arn, PolicyArns.member.2.arn, …
func (r *request) members(pattern string) []string {
	var values []string
	for i := 1; r.params.Has(fmt.Sprintf(pattern, i)); i++ {
		values = append(values, r.params.Get(fmt.Sprintf(pattern, i)))
	}
	return values
}

func (r *request) tags() map[string]string {
	keys, values := r.members("Tags.member.%d.Key"), r.members("Tags.member.%d.Value")
	if len(keys) == 0 || len(keys) != len(values) {
		return nil
	}
	tags := map[string]string{}
	for i, key := range keys {
		tags[key] = values[i]
	}
	return tags
}

// assumeRole needs the role's trust, and the caller's permission unless that trust names the caller itself in
// the same account.
func (r *request) assumeRole() (any, *Failure) {
	w, failure := r.readWish()
	if failure != nil {
		return nil, failure
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	role, failure := r.mayAssume(w)
	if failure != nil {
		return nil, failure
	}
	w.session.Chained = r.caller.session != nil
	if w.session.Chained && w.duration > time.Hour {
		return nil, refuse(400, "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	return role.grant(w, assumeRoleResult{})
}

// mayAssume returns the role if the caller may assume it. All reasons why not look the same from outside, as a
// role that does not exist does. The caller of mayAssume holds the lock.
func (r *request) mayAssume(w wish) (*Role, *Failure) {
	c := r.caller
	deny := func() *Failure {
		return refuse(403, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.arn, w.role)
	}
	role, _ := r.find(w.role)
	if role == nil || role.account.Partition != c.account.Partition {
		return nil, deny()
	}
	actions := []string{"sts:AssumeRole"}
	if len(w.session.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	for _, action := range actions {
		q := question{action: action, resource: w.role, context: map[string][]string{
			"sts:rolesessionname": {w.session.Name}, "aws:requestedregion": {r.region},
		}}
		addContext(q.context, c)
		if w.session.ExternalID != "" {
			q.context["sts:externalid"] = []string{w.session.ExternalID}
		}
		q.caller = &asker{caller: c}
		trust := role.trust.decide(q)
		if trust != allowed && trust != granted {
			return nil, deny()
		}
		if trust == granted && role.account == c.account {
			q.caller = nil
			if decideAll(c.policies(), q) == denied || c.mayInSession(q) != nil {
				return nil, deny()
			}
			continue
		}
		if c.may(q) != nil {
			return nil, deny()
		}
	}
	return role, nil
}

// grant makes the session that was wished for. The caller holds the lock.
func (role *Role) grant(w wish, result assumeRoleResult) (any, *Failure) {
	if w.duration > role.maxSession {
		return nil, refuse(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	s := &session{Session: w.session}
	if w.session.Policy != "" {
		p, err := identityPolicy(w.session.Policy)
		if err != nil {
			return nil, refuse(400, "MalformedPolicyDocument", "%v", err)
		}
		s.policies = append(s.policies, p)
	}
	for _, id := range w.session.PolicyARNs {
		p := role.account.managed(id)
		if p == nil {
			return nil, refuse(400, "MalformedPolicyDocument", "Policy %s does not exist or is not attachable", id)
		}
		s.policies = append(s.policies, p)
	}
	s.narrowed = len(s.policies) > 0
	key := role.begin(s, w.duration)
	result.Credentials = sessionCredentials{
		AccessKeyID: key.AccessKeyID, SecretAccessKey: key.SecretAccessKey, SessionToken: key.SessionToken,
		Expiration: s.Expires.Format(time.RFC3339),
	}
	result.AssumedRoleUser = assumedRoleUser{AssumedRoleID: role.id + ":" + s.Name, Arn: s.ARN}
	result.PackedPolicySize = w.packedSize
	return result, nil
}
