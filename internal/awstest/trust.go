package awstest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Trust says who may assume a role. It becomes a trust policy; [Role.SetTrustPolicy] takes one as it is.
type Trust struct {
	// Principals are ARNs of users, roles and sessions of roles, or whole accounts by their root ARN or ID. Roles
	// and users must exist: IAM keeps their unique IDs and refuses those that it does not know.
	Principals []string
	// Services, for example pods.eks.amazonaws.com.
	Services []string
	// Federated may come in with a token of an OIDC issuer (AssumeRoleWithWebIdentity).
	Federated []Federated
	// ExternalID that the Principals must give (sts:ExternalId).
	ExternalID string
	// PrincipalOrgID that the account of the Principals must belong to (aws:PrincipalOrgID).
	PrincipalOrgID string
}

// Federated are the web identities of one issuer. The issuer has to be an OIDC provider of the role's account.
type Federated struct {
	Issuer   string // its URL
	Subject  string // sub; empty for any
	Audience string // aud; empty for any that the provider knows
}

// document renders the trust policy.
func (t Trust) document(a *Account) string {
	p := policy{Version: "2012-10-17"}
	if len(t.Principals) > 0 {
		st := statement{Effect: "Allow", Action: list{"sts:AssumeRole", "sts:TagSession"}, Principal: principals{"AWS": t.Principals}}
		equals := map[string]list{}
		if t.ExternalID != "" {
			equals["sts:ExternalId"] = list{t.ExternalID}
		}
		if t.PrincipalOrgID != "" {
			equals["aws:PrincipalOrgID"] = list{t.PrincipalOrgID}
		}
		if len(equals) > 0 {
			st.Condition = map[string]map[string]list{"StringEquals": equals}
		}
		p.Statement = append(p.Statement, st)
	}
	if len(t.Services) > 0 {
		p.Statement = append(p.Statement, statement{
			Effect: "Allow", Action: list{"sts:AssumeRole", "sts:TagSession"}, Principal: principals{"Service": t.Services},
		})
	}
	for _, f := range t.Federated {
		host := strings.TrimPrefix(f.Issuer, "https://")
		st := statement{
			Effect: "Allow", Action: list{"sts:AssumeRoleWithWebIdentity"},
			Principal: principals{"Federated": {a.arn("iam", "oidc-provider/"+host)}},
		}
		equals := map[string]list{}
		if f.Subject != "" {
			equals[host+":sub"] = list{f.Subject}
		}
		if f.Audience != "" {
			equals[host+":aud"] = list{f.Audience}
		}
		if len(equals) > 0 {
			st.Condition = map[string]map[string]list{"StringEquals": equals}
		}
		p.Statement = append(p.Statement, st)
	}
	if p.Statement == nil {
		p.Statement = []statement{}
	}
	document, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and maps of strings
	}
	return string(document)
}

// trustPolicy reads a trust policy and resolves whom it names, as IAM does when it is saved. The caller holds
// the lock.
func (s *Server) trustPolicy(document string) (*policy, error) {
	p, err := parsePolicy(document)
	if err != nil {
		return nil, refuse(400, "MalformedPolicyDocument", "%v", err)
	}
	p.ids = map[string]string{}
	for _, st := range p.Statement {
		if len(st.Resource)+len(st.NotResource) > 0 {
			return nil, refuse(400, "MalformedPolicyDocument", "Has prohibited field Resource")
		}
		if (len(st.Principal) == 0) == (len(st.NotPrincipal) == 0) {
			return nil, refuse(400, "MalformedPolicyDocument", "Missing required field Principal")
		}
		for _, name := range slices.Concat(st.Principal["AWS"], st.NotPrincipal["AWS"]) {
			id, ok := s.resolve(name)
			if !ok {
				return nil, refuse(400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"%s"`, name)
			}
			p.ids[name] = id
		}
		for kind := range st.Principal {
			if kind != "AWS" && kind != "Service" && kind != "Federated" {
				return nil, refuse(400, "MalformedPolicyDocument", "Invalid principal in policy: %q", kind)
			}
		}
	}
	return p, nil
}

// resolve returns the unique ID of a user or role; "" for principals that have none. False: it does not exist.
func (s *Server) resolve(principal string) (string, bool) {
	if principal == "*" || accountPattern.MatchString(principal) {
		return "", true
	}
	parsed, err := arn.Parse(principal)
	if err != nil {
		return "", false
	}
	if parsed.Resource == "root" || (parsed.Service == "sts" && strings.HasPrefix(parsed.Resource, "assumed-role/")) {
		return "", true
	}
	return s.principalID(principal)
}

// asker is who a trust policy is asked about: somebody with keys, a service or a web identity.
type asker struct {
	caller    *caller
	service   string
	federated string // ARN of the OIDC provider
}

// matchPrincipal says whether a statement speaks of the asker, and how directly.
func (p *policy) matchPrincipal(st statement, who *asker) (decision, bool) {
	if who == nil { // an identity policy, which has no principals
		return allowed, len(st.Principal) == 0 && len(st.NotPrincipal) == 0
	}
	if len(st.NotPrincipal) > 0 {
		_, named := p.matchAny(st.NotPrincipal, who)
		return allowed, !named
	}
	return p.matchAny(st.Principal, who)
}

func (p *policy) matchAny(names principals, who *asker) (decision, bool) {
	switch {
	case who.service != "":
		return allowed, slices.Contains(names["Service"], who.service)
	case who.federated != "":
		return granted, slices.Contains(names["Federated"], who.federated)
	}
	best := silent
	for _, name := range names["AWS"] {
		best = max(best, p.matchName(name, who.caller))
	}
	return best, best != silent
}

func (p *policy) matchName(name string, c *caller) decision {
	account := c.account
	switch {
	case name == "*", name == account.ID, name == account.RootARN():
		return allowed
	case name == c.arn, p.ids[name] != "" && p.ids[name] == c.principalID:
		return granted
	}
	return silent
}
