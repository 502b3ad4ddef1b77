// Package trust owns whose identities a cluster believes: what a TrustedIssuer means, the keys of
// an issuer, the rules for its tokens, which issuers exclude each other, and the configuration by
// which an API server believes the same ones. What an identity may do is not decided here: that is
// package grant's.
//
// Tokens are verified without asking anybody. Only Fetch goes over the network.
package trust

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// DefaultMaxLifetime is the longest lifetime of a token where a TrustedIssuer says nothing.
const DefaultMaxLifetime = time.Hour

// An Issuer is a TrustedIssuer that is ready to verify: rules compiled, keys parsed. It never
// changes and may be used by several at once: make a new one when the object changes.
type Issuer struct {
	name        string
	url         string
	created     time.Time
	prefix      string
	audiences   []string
	maxLifetime time.Duration
	mapping     *mapping
	keys        []usedKey
	// unjudged is the generation that nobody has looked at yet, 0 where somebody has.
	unjudged int64
}

// New reads a TrustedIssuer: its spec, and the keys of its status where they are fetched.
// defaultAudience is what tokens are for where the spec names no audience:
// v1alpha1.DefaultAudience of the cluster's id.
//
// An error means that the spec is not one that can be trusted. An issuer whose keys are not known
// yet is none: it refuses every token. So is one whose latest edit the controller has not judged:
// until then nobody knows whether it collides with others.
func New(ti *v1alpha1.TrustedIssuer, defaultAudience string) (*Issuer, error) {
	i, err := compile(ti, defaultAudience)
	if err != nil {
		return nil, fmt.Errorf("reading TrustedIssuer %q: %w", ti.Name, err)
	}
	return i, nil
}

func compile(ti *v1alpha1.TrustedIssuer, defaultAudience string) (*Issuer, error) {
	if err := checkPrefix(ti.Spec.Prefix); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(ti.Spec.URL, "https://") {
		return nil, fmt.Errorf("url %q is not https", ti.Spec.URL)
	}
	mapping, err := newMapping(&ti.Spec)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		name: ti.Name, url: ti.Spec.URL, created: ti.CreationTimestamp.Time, prefix: ti.Spec.Prefix,
		audiences: Audiences(&ti.Spec, defaultAudience), maxLifetime: MaxLifetime(&ti.Spec), mapping: mapping,
	}
	if len(i.audiences) == 0 {
		return nil, errors.New("no audience is known: neither in spec.audiences nor by the id of this cluster")
	}
	if i.keys, err = usedKeys(ti); err != nil {
		return nil, err
	}
	if ti.Generation != ti.Status.ObservedGeneration {
		i.unjudged = ti.Generation
	}
	return i, nil
}

// Name of the TrustedIssuer.
func (i *Issuer) Name() string { return i.name }

// URL is what its tokens have as iss.
func (i *Issuer) URL() string { return i.url }

// MaxLifetime is the longest lifetime of its tokens, and of those that they are exchanged for.
func (i *Issuer) MaxLifetime() time.Duration { return i.maxLifetime }

// Audiences of an issuer's tokens, of which each must name one.
func Audiences(spec *v1alpha1.TrustedIssuerSpec, defaultAudience string) []string {
	if len(spec.Audiences) == 0 && defaultAudience != "" {
		return []string{defaultAudience}
	}
	return slices.Clone(spec.Audiences)
}

// MaxLifetime is the longest lifetime of an issuer's tokens.
func MaxLifetime(spec *v1alpha1.TrustedIssuerSpec) time.Duration {
	if spec.MaxLifetime == nil || spec.MaxLifetime.Duration <= 0 {
		return DefaultMaxLifetime
	}
	return spec.MaxLifetime.Duration
}

// Usable reports whether the controller of TrustedIssuers has judged this one, and found nothing
// that forbids to trust it: a conflict, the cluster's own issuer, no keys.
func Usable(ti *v1alpha1.TrustedIssuer) bool {
	return ti.DeletionTimestamp.IsZero() && meta.IsStatusConditionTrue(ti.Status.Conditions, v1alpha1.Ready)
}

// The API server checks the same by the rules of the kind: this is for objects that came another way.
var prefixPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?:$`)

var reservedPrefixes = []string{"system:", "hawser:", "kubernetes:", "kubeadm:", "eks:", "aks:", "gke:"}

func checkPrefix(prefix string) error {
	if len(prefix) > 64 || !prefixPattern.MatchString(prefix) {
		return fmt.Errorf("prefix %.80q is not a lower-case name and a colon", prefix)
	}
	if slices.Contains(reservedPrefixes, prefix) {
		return fmt.Errorf("prefix %q is one that Kubernetes or Hawser keeps for itself", prefix)
	}
	return nil
}
