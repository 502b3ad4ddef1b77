package trust

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Local is what is known of the cluster that is entered.
type Local struct {
	// Issuers are the urls of its own issuer of service-account tokens.
	Issuers []string
	// Keys are the thumbprints of the keys that it signs these with.
	Keys []string
	// Audiences are those that its API server accepts itself.
	Audiences []string
	// ClusterID is the UID of its namespace kube-system.
	ClusterID string
}

// A Conflict is why an issuer cannot be trusted beside the others, or in this cluster at all.
type Conflict struct {
	// Reason is one of v1alpha1's reasons of TrustedIssuer's Ready.
	Reason string
	// Message says what to do.
	Message string
	// With is the name of the other TrustedIssuer, where there is one.
	With string
}

// sharedAudiences are written on tokens that are shown to many: whoever is shown one could enter with it.
var sharedAudiences = []string{
	"https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "https://kubernetes.default",
	"sts.amazonaws.com", "api://AzureADTokenExchange",
}

// Conflicts finds those of a cluster's TrustedIssuers that must not be trusted, by name. Of two that
// exclude each other the older stays; where they are of one age, the first by name. It stays even
// where it is not trusted for another reason: who is known by a prefix must not become somebody
// else because an issuer failed.
func Conflicts(all []v1alpha1.TrustedIssuer, local Local) map[string]Conflict {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b v1alpha1.TrustedIssuer) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	conflicts, byURL, byPrefix := map[string]Conflict{}, map[string]string{}, map[string]string{}
	for i := range all {
		ti := &all[i]
		if c, found := conflictOf(ti, local, byURL, byPrefix); found {
			conflicts[ti.Name] = c
		}
		if at := canonical(ti.Spec.URL); byURL[at] == "" {
			byURL[at] = ti.Name
		}
		if byPrefix[ti.Spec.Prefix] == "" {
			byPrefix[ti.Spec.Prefix] = ti.Name
		}
	}
	return conflicts
}

func conflictOf(ti *v1alpha1.TrustedIssuer, local Local, byURL, byPrefix map[string]string) (Conflict, bool) {
	at := canonical(ti.Spec.URL)
	if slices.ContainsFunc(local.Issuers, func(own string) bool { return canonical(own) == at }) {
		return Conflict{Reason: v1alpha1.ReasonIssuerIsLocal, Message: fmt.Sprintf("%s is the issuer of this cluster itself: "+
			"two clusters that call themselves the same cannot be told apart. Give one of them another --service-account-issuer", ti.Spec.URL)}, true
	}
	if own := ownKey(ti, local); own != "" {
		return Conflict{Reason: v1alpha1.ReasonIssuerIsLocal, Message: fmt.Sprintf("%s signs with key %s, which is this cluster's own: "+
			"it is this cluster under another name, or has a copy of its key", ti.Spec.URL, own)}, true
	}
	if other := byURL[at]; other != "" {
		return Conflict{v1alpha1.ReasonIssuerConflict, fmt.Sprintf("TrustedIssuer %q has the same url, and is older: "+
			"where two clusters have the same issuer, give one of them another --service-account-issuer", other), other}, true
	}
	if other := byPrefix[ti.Spec.Prefix]; other != "" {
		return Conflict{v1alpha1.ReasonPrefixConflict, fmt.Sprintf("TrustedIssuer %q has the prefix %s, and is older: choose another one", other, ti.Spec.Prefix), other}, true
	}
	return audienceConflict(ti, local)
}

// ownKey finds a key of the cluster itself among those that the issuer publishes.
func ownKey(ti *v1alpha1.TrustedIssuer, local Local) string {
	for _, k := range ti.Status.Keys {
		if k.Unused != NotAnyMore && slices.Contains(local.Keys, k.Thumbprint) {
			return k.Thumbprint
		}
	}
	return ""
}

func audienceConflict(ti *v1alpha1.TrustedIssuer, local Local) (Conflict, bool) {
	conflict := func(format string, args ...any) (Conflict, bool) {
		return Conflict{Reason: v1alpha1.ReasonAudienceConflict, Message: fmt.Sprintf(format, args...)}, true
	}
	own := v1alpha1.DefaultAudience(local.ClusterID)
	for _, audience := range Audiences(&ti.Spec, own) {
		switch {
		case slices.Contains(local.Audiences, audience) || slices.Contains(local.Issuers, audience):
			return conflict("this cluster's API server accepts the audience %q itself: choose one that is only for tokens of this issuer, such as %s", audience, own)
		case slices.Contains(sharedAudiences, audience):
			return conflict("the audience %q is not this cluster's alone: whoever is shown such a token could enter with it. Choose one such as %s", audience, own)
		case strings.HasPrefix(audience, v1alpha1.DefaultAudience("")) && local.ClusterID != "" && audience != own:
			return conflict("the audience %q is that of another cluster: this one's is %s", audience, own)
		}
	}
	return Conflict{}, false
}

// canonical is a url in one spelling: two issuers that differ by less are a mistake, or a trick.
func canonical(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if port := u.Port(); port != "" && port != "443" {
		host += ":" + port
	}
	return strings.ToLower(u.Scheme) + "://" + host + strings.TrimRight(u.Path, "/")
}
