package rights

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// SubjectKind says how a Subject is to be read.
type SubjectKind string

// The kinds of subjects.
const (
	UserSubject           SubjectKind = "user"
	GroupSubject          SubjectKind = "group"
	ServiceAccountSubject SubjectKind = "serviceaccount"
	// IssuerSubject is an identity of a TrustedIssuer.
	IssuerSubject SubjectKind = "issuer"
	// ClusterSubject is a namespace of a local cluster that is connected to the one that is asked.
	ClusterSubject SubjectKind = "cluster"
	// eitherSubject is one of the last two; what there is in the cluster decides.
	eitherSubject SubjectKind = ""
)

// Subject is who is asked about.
type Subject struct {
	Kind SubjectKind
	// Scope is the namespace of a service account, the TrustedIssuer, or the local cluster.
	Scope string
	// Name of the user, group or account, subject of the issuer, or namespace of the local cluster.
	Name string
}

// String is the subject as ParseSubject reads it.
func (s Subject) String() string {
	name := s.Name
	if s.Scope != "" {
		name = s.Scope + "/" + name
	}
	if s.Kind == eitherSubject {
		return name
	}
	return string(s.Kind) + ":" + name
}

// SubjectForms are what ParseSubject reads, in words.
const SubjectForms = "user:NAME, group:NAME, serviceaccount:NAMESPACE/NAME, ISSUER/SUBJECT or CLUSTER/NAMESPACE"

// ParseSubject reads user:NAME, group:NAME, serviceaccount:NAMESPACE/NAME, ISSUER/SUBJECT and CLUSTER/NAMESPACE. The
// last two may be written issuer:… and cluster:…, where one name is both.
func ParseSubject(text string) (Subject, error) {
	kind, rest, ok := strings.Cut(text, ":")
	// The subject of an issuer has colons, but never before the first slash.
	if !ok || strings.Contains(kind, "/") {
		kind, rest = "", text
	}
	s := Subject{Kind: SubjectKind(kind), Name: rest}
	switch s.Kind {
	case UserSubject, GroupSubject:
		if rest == "" {
			return s, fmt.Errorf("%q names nobody", text)
		}
		return s, nil
	case ServiceAccountSubject, IssuerSubject, ClusterSubject, eitherSubject:
	default:
		return s, fmt.Errorf("%q is no subject: name one as %s", text, SubjectForms)
	}
	s.Scope, s.Name, ok = strings.Cut(rest, "/")
	if !ok || s.Scope == "" || s.Name == "" {
		return s, fmt.Errorf("%q is no subject: name one as %s", text, SubjectForms)
	}
	if s.Kind == eitherSubject && len(validation.IsDNS1123Label(s.Name)) > 0 {
		s.Kind = IssuerSubject // no namespace is called so
	}
	if s.Kind == ClusterSubject && len(validation.IsDNS1123Label(s.Name)) > 0 {
		return s, errors.New("no namespace is called " + s.Name)
	}
	return s, nil
}

const authenticated = "system:authenticated"

// groupsOf are the groups that an API server puts a user into by itself.
func groupsOf(user string) []string {
	namespace, _, ok := strings.Cut(strings.TrimPrefix(user, serviceAccountPrefix), ":")
	if strings.HasPrefix(user, serviceAccountPrefix) && ok {
		return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, authenticated}
	}
	return []string{authenticated}
}

const serviceAccountPrefix = "system:serviceaccount:"

func serviceAccountUser(namespace, name string) string {
	return serviceAccountPrefix + namespace + ":" + name
}
