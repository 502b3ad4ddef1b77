package grant

import (
	"fmt"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// DefaultMaxLifetime is the longest lifetime of a token of a grant that sets none.
const DefaultMaxLifetime = time.Hour

// Ended reports whether a grant lets nobody in any more: its end has come, or it is being deleted.
func Ended(g *v1alpha1.AccessGrant, now time.Time) bool {
	return g.DeletionTimestamp != nil || (g.Spec.EndsAt != nil && !now.Before(g.Spec.EndsAt.Time))
}

// MaxLifetime is the longest lifetime of a token that comes of a grant, whenever it is asked for.
func MaxLifetime(g *v1alpha1.AccessGrant) time.Duration {
	if g.Spec.MaxLifetime == nil {
		return DefaultMaxLifetime
	}
	return g.Spec.MaxLifetime.Duration
}

// Lifetime is how long a token of a grant may live that is asked for now: MaxLifetime, or what is left
// until the grant ends. Less than an API server grants (10 minutes) may come out.
func Lifetime(g *v1alpha1.AccessGrant, now time.Time) time.Duration {
	longest := MaxLifetime(g)
	if g.Spec.EndsAt != nil {
		longest = min(longest, g.Spec.EndsAt.Sub(now))
	}
	return longest
}

// Describe names a subject as a person would: namespace "shop" of local cluster "a".
func Describe(s v1alpha1.GrantSubject) string {
	switch {
	case s.LocalCluster != nil:
		return fmt.Sprintf("namespace %q of local cluster %q", s.LocalCluster.Namespace, s.LocalCluster.Name)
	case s.Issuer != nil && s.Issuer.SubjectPattern != "":
		return fmt.Sprintf("subjects like %q of issuer %q", s.Issuer.SubjectPattern, s.Issuer.Name)
	case s.Issuer != nil:
		return fmt.Sprintf("subject %q of issuer %q", s.Issuer.Subject, s.Issuer.Name)
	case s.User != "":
		return fmt.Sprintf("user %q", s.User)
	default:
		return fmt.Sprintf("group %q", s.Group)
	}
}
