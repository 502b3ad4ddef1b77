// Package grant owns what an AccessGrant means: the accounts, bindings and rights that are made of
// it, who may have a token of which account, what it lets somebody do, and what else in the cluster
// keeps its author within their own rights.
//
// Pure functions: objects in, objects out. The controller of AccessGrants applies them.
package grant

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// AccountName is the name of the service account, in v1alpha1.GrantsNamespace, that stands for a
// subject of a grant. It is empty for users and groups, who need none. Both sides know it without
// asking: it depends on the grant's name and on who the subject is, and on nothing else.
func AccountName(grant string, s v1alpha1.GrantSubject) string {
	var parts []string
	switch {
	case s.LocalCluster != nil:
		parts = []string{"localCluster", s.LocalCluster.Name, s.LocalCluster.Namespace}
	case s.Issuer != nil && s.Issuer.SubjectPattern != "":
		parts = []string{"pattern", s.Issuer.Name, s.Issuer.SubjectPattern}
	case s.Issuer != nil:
		parts = []string{"subject", s.Issuer.Name, s.Issuer.Subject}
	default:
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(append(parts, grant), "\x00")))
	return grant + "-" + hex.EncodeToString(sum[:8])
}

// AccountFor is the account of a grant that an identity of a TrustedIssuer may have tokens of: that
// of the subject that names it, or else that of the first pattern that matches. ok is false where
// the grant does not let it in. Whether the grant has ended is the caller's to check: Ended.
func AccountFor(g *v1alpha1.AccessGrant, issuer, subject string) (account string, ok bool) {
	for _, s := range g.Spec.Subjects {
		if s.Issuer != nil && s.Issuer.Name == issuer && s.Issuer.Subject != "" && s.Issuer.Subject == subject {
			return AccountName(g.Name, s), true
		}
	}
	for _, s := range g.Spec.Subjects {
		if s.Issuer != nil && s.Issuer.Name == issuer && s.Issuer.SubjectPattern != "" && matches(s.Issuer.SubjectPattern, subject) {
			return AccountName(g.Name, s), true
		}
	}
	return "", false
}

// matches reports whether subject is what pattern says, where * stands for any characters but a colon.
func matches(pattern, subject string) bool {
	patterns, parts := strings.Split(pattern, ":"), strings.Split(subject, ":")
	return slices.EqualFunc(patterns, parts, matchesPart)
}

// matchesPart is matches between two colons. Each piece is looked for once, leftmost, so that no
// pattern takes longer than the subject is long.
func matchesPart(pattern, part string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return pattern == part
	}
	part, ok := strings.CutPrefix(part, pieces[0])
	if !ok {
		return false
	}
	last := len(pieces) - 1
	for _, piece := range pieces[1:last] {
		_, after, found := strings.Cut(part, piece)
		if !found {
			return false
		}
		part = after
	}
	return strings.HasSuffix(part, pieces[last])
}
